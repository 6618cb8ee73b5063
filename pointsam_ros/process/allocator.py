"""How glibc's allocator is to work in a process that lives long and moves large tensors."""

from __future__ import annotations

import ctypes
import os
import threading
import time

# Of malloc.h, with the variable of the environment that says the same.
M_MMAP_THRESHOLD, THRESHOLD_VARIABLE = -3, "MALLOC_MMAP_THRESHOLD_"
M_ARENA_MAX, ARENAS_VARIABLE = -8, "MALLOC_ARENA_MAX"
LARGE_BYTES = 256 * 2**10
TRIM_S = 60.0  # it takes some 20 ms, in which nobody else gets memory


def return_freed_memory(trim_s: float = TRIM_S) -> None:
    """Has freed blocks go back to the system; only glibc needs that.

    By itself glibc soon takes blocks of up to 32 MiB from its heaps, one heap for every few
    threads. What is retained between them (clouds, embeddings, sessions) then keeps the freed ones
    from going back, and the heaps grow for hours. So blocks from 256 KiB on go back at once, there
    is one heap, and its gaps are given back every `trim_s` [s]. What the environment says wins.
    """
    library = ctypes.CDLL(None)
    mallopt, trim = (getattr(library, name, None) for name in ("mallopt", "malloc_trim"))
    if mallopt is None or trim is None:
        return
    for option, variable, value in (
        (M_MMAP_THRESHOLD, THRESHOLD_VARIABLE, LARGE_BYTES),
        (M_ARENA_MAX, ARENAS_VARIABLE, 1),
    ):
        if variable not in os.environ:
            mallopt(option, value)

    def trim_for_ever() -> None:
        while True:
            time.sleep(trim_s)
            trim(0)

    threading.Thread(target=trim_for_ever, name="memory", daemon=True).start()
