"""How glibc's allocator is to work in a process that lives long and moves large tensors."""

from __future__ import annotations

import ctypes
import os

# Of malloc.h, with the variable of the environment that says the same.
M_MMAP_THRESHOLD, THRESHOLD_VARIABLE = -3, "MALLOC_MMAP_THRESHOLD_"
M_ARENA_MAX, ARENAS_VARIABLE = -8, "MALLOC_ARENA_MAX"
LARGE_BYTES = 256 * 2**10


def return_freed_memory() -> None:
    """Has freed blocks go back to the system at once, from 256 KiB on; only glibc needs that.

    By itself glibc soon takes blocks of up to 32 MiB from its heaps, one heap for every few
    threads. What is retained between them (clouds, embeddings, sessions) then keeps the freed ones
    from going back, and the heaps grow for hours. What the environment says wins.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for option, variable, value in (
        (M_MMAP_THRESHOLD, THRESHOLD_VARIABLE, LARGE_BYTES),
        (M_ARENA_MAX, ARENAS_VARIABLE, 1),
    ):
        if variable not in os.environ:
            mallopt(option, value)
