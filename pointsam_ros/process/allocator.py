"""Configures glibc's allocator for a long-running process with large tensors."""

from __future__ import annotations

import ctypes
import os
import threading
import time

# From malloc.h, with the equivalent environment variable.
M_MMAP_THRESHOLD, THRESHOLD_VARIABLE = -3, "MALLOC_MMAP_THRESHOLD_"
M_ARENA_MAX, ARENAS_VARIABLE = -8, "MALLOC_ARENA_MAX"
LARGE_BYTES = 256 * 2**10
TRIM_S = 60.0  # period [s]; trimming takes some 20 ms, and blocks all allocations


def return_freed_memory(trim_s: float = TRIM_S) -> None:
    """Makes glibc return freed memory to the system; does nothing with other allocators.

    By default glibc comes to serve blocks of up to 32 MiB from its heaps, of which there are
    several. Retained data between them (clouds, embeddings, sessions) keeps freed blocks from being
    returned, and the heaps grow for hours. So blocks from 256 KiB are returned at once, there is a
    single heap, and its gaps are returned every `trim_s` [s]. Environment variables take
    precedence.
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
