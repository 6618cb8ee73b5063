"""Layers over many rows on a CPU, in chunks that fit a core's cache, one core per chunk.

A layer over all rows writes its output to memory, from which the next layer reads it again; in
chunks it stays in the cache. And cores with whole chunks need not synchronise after every layer,
which is slow if they also have other work.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pointsam_model.device.cores import cores

# Values of the widest layer in a chunk, by the bytes of a value: 1 MiB was fastest in float32,
# half-precision kernels take longer to start.
CHUNK_VALUES = {2: 1 << 20, 4: 1 << 18, 8: 1 << 17}


def chunked(where: Tensor) -> bool:
    """Whether to process this input in chunks: on a CPU, and without gradients.

    Not under autocast, which does not apply in other threads.
    """
    if where.device.type != "cpu" or torch.is_grad_enabled():
        return False
    return not _autocast()


def _autocast() -> bool:
    try:
        return torch.is_autocast_enabled("cpu")
    except TypeError:  # before torch 2.4
        return torch.is_autocast_cpu_enabled()


def map_chunks(
    work: Callable[[slice], Tensor], count: int, width: int, dtype: torch.dtype, dim: int = 0
) -> Tensor:
    """Applies `work` to consecutive slices of `count` rows, and concatenates the results.

    Args:
        work: computes the result for a slice; called in several threads, each with one core.
        count: number of rows.
        width: number of values per row in the widest intermediate result; dtype: their type.
        dim: dimension along which the results are concatenated.
    """
    threads = torch.get_num_threads()
    turns = math.ceil(count * width / (threads * CHUNK_VALUES[dtype.itemsize]))
    step = math.ceil(count / (threads * turns))
    slices = [slice(start, min(start + step, count)) for start in range(0, count, step)]
    if threads == 1 or len(slices) == 1:
        return torch.cat([work(rows) for rows in slices], dim)
    inference = torch.is_inference_mode_enabled()

    def on_one_core(rows: slice) -> Tensor:
        with torch.inference_mode(inference), torch.no_grad():
            return work(rows)

    return torch.cat(list(cores(threads).map(on_one_core, slices)), dim)
