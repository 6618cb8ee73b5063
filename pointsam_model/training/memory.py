"""How glibc's allocator is to work in a process that does nothing but train on a CPU."""

from __future__ import annotations

import ctypes

# Of malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
NEVER, PAD_BYTES = 2**31 - 1, 256 * 2**20


def keep_freed_memory() -> None:
    """Has freed blocks stay with the process; only glibc needs that.

    By itself glibc asks the system for each block above 32 MiB and gives it back at once, and the
    system clears every page of it anew: a third of the time of a step whose tensors are that large.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, PAD_BYTES)):
        mallopt(option, value)
