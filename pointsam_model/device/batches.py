"""Work over many objects in batches that the memory holds, smaller ones where it runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from pointsam_model.device.memory import free_device_memory
from pointsam_model.errors import OutOfMemory

Result = TypeVar("Result")

# How PyTorch, CUDA and its libraries say it, where they have no exception of its own for it.
SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")
FREE_SHARE = 0.25  # of a GPU's free memory for one batch: others need some, and it stays reserved


def in_batches(count: int, step: int, work: Callable[[slice], None]) -> None:
    """Does work over `count` objects in their order, `step` of them at a time, at least 1.

    Where the memory runs out, the batch is halved until it suffices, and so for all that follow.

    Args:
        work: takes the rows of a batch; called again on fewer of them where the memory ran out, so
            it keeps its results only at its end.

    Raises:
        OutOfMemory: it does not suffice for a single object.
    """
    start = 0
    while start < count:
        rows = slice(start, min(start + step, count))
        if _suffices(work, rows):
            start = rows.stop
            continue
        free_device_memory()
        if rows.stop - start == 1:
            raise OutOfMemory(
                "the device's memory does not suffice: keep fewer points (max_points), cut fewer "
                "or smaller patches (num_patches, patch_size), keep fewer embeddings, or use "
                "dtype bfloat16"
            )
        step = (rows.stop - start + 1) // 2


def in_one(work: Callable[[], Result]) -> Result:
    """The result of work that cannot be done in parts.

    Raises:
        OutOfMemory: the memory does not suffice for it.
    """
    results: list[Result] = []
    in_batches(1, 1, lambda _: results.append(work()))
    return results[0]


def batch_bytes(device: torch.device, on_cpu: int) -> int:
    """Memory that a batch may take: a share of what is free on a GPU, `on_cpu` elsewhere."""
    if device.type != "cuda":
        return on_cpu
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(FREE_SHARE * (free + unused))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it says that some memory did not suffice."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def _suffices(work: Callable[[slice], None], rows: slice) -> bool:
    """Does the work; False where the memory ran out. The error goes, and with it all it held."""
    try:
        work(rows)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True
