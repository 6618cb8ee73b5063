"""How glibc's allocator is to work in a process that lives long and moves large tensors."""

from __future__ import annotations

import ctypes
import os

M_MMAP_THRESHOLD = -3  # of malloc.h
LARGE_BYTES = 4 * 2**20
VARIABLE = "MALLOC_MMAP_THRESHOLD_"


def return_freed_memory() -> None:
    """Has large freed blocks go back to the system at once; only glibc needs and takes that.

    By itself glibc soon takes blocks of up to 32 MiB from its heaps, where what is retained between
    them (clouds, embeddings, sessions) keeps the freed ones from going back. What the environment's
    MALLOC_MMAP_THRESHOLD_ says wins.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and VARIABLE not in os.environ:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
