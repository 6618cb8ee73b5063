"""Work in batches that fit into memory; smaller ones when it runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from pointsam_model.device.memory import free_device_memory
from pointsam_model.errors import OutOfMemory

Result = TypeVar("Result")

# In messages of PyTorch, CUDA and its libraries that have no exception type for it.
SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")
FREE_SHARE = 0.25  # share of a GPU's free memory for one batch, which stays reserved


def in_batches(count: int, step: int, work: Callable[[slice], None]) -> None:
    """Processes `count` objects in order, in batches of `step`, at least 1.

    If memory runs out, the batch size is halved until it suffices, also for all later batches.

    Args:
        work: processes the rows of a batch; called again with fewer rows if memory ran out, so it
            must store its results only at its end.

    Raises:
        OutOfMemory: not enough memory for a single object.
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
    """Runs work that cannot be split, and returns its result.

    Raises:
        OutOfMemory: not enough memory.
    """
    results: list[Result] = []
    in_batches(1, 1, lambda _: results.append(work()))
    return results[0]


def batch_bytes(device: torch.device, on_cpu: int) -> int:
    """Memory for a batch [bytes]: a share of what is free on a GPU, `on_cpu` elsewhere."""
    if device.type != "cuda":
        return on_cpu
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(FREE_SHARE * (free + unused))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def _suffices(work: Callable[[slice], None], rows: slice) -> bool:
    """Does the work; False if memory ran out. The error is dropped with all it references."""
    try:
        work(rows)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True
