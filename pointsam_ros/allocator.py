"""How glibc's allocator is to work in a process that lives long and moves large tensors."""

from __future__ import annotations

import ctypes
import os

M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3  # of malloc.h
LARGE_BYTES = 4 * 2**20


def return_freed_memory() -> None:
    """Has freed memory go back to the system; without effect where the C library is not glibc.

    By itself glibc takes ever larger blocks from heaps, of which each thread has its own; what is
    retained between them (clouds, embeddings, sessions) keeps the freed ones from going back. The
    environment's MALLOC_ARENA_MAX and MALLOC_MMAP_THRESHOLD_ win.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for variable, parameter, value in (
        ("MALLOC_ARENA_MAX", M_ARENA_MAX, 1),
        ("MALLOC_MMAP_THRESHOLD_", M_MMAP_THRESHOLD, LARGE_BYTES),
    ):
        if variable not in os.environ:
            mallopt(parameter, value)
