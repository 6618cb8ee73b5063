"""Single-threaded work on the cores of a CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import TypeVar

import torch

Result = TypeVar("Result")


def on_one_core(work: Callable[[], Result]) -> Result:
    """Runs work whose PyTorch operations are too small to be split between cores.

    If other work uses the cores too, a split operation waits for the slowest; for small operations
    that took ten times as long as the work itself.
    """
    threads = torch.get_num_threads()
    return work() if threads == 1 else cores(threads).submit(work).result()


@cache
def cores(threads: int) -> ThreadPoolExecutor:
    """A pool of threads that each compute on one core."""
    pool = ThreadPoolExecutor(threads, "pointsam_cores")
    all_started = Barrier(threads)

    def start() -> None:
        torch.set_num_threads(1)
        # A thread takes over the number that is set when it first asks: now, and not once the
        # number is another again.
        torch.get_num_threads()
        all_started.wait()

    for started in [pool.submit(start) for _ in range(threads)]:
        started.result()
    torch.set_num_threads(threads)  # what other new threads get, which the calls above changed too
    return pool


# Threads do not live on in a fork.
os.register_at_fork(after_in_child=cores.cache_clear)
