"""Work over many rows on a CPU, in chunks that stay in a core's cache, each core on its own.

A layer over all rows at once writes its output to memory, where the next layer fetches it again;
chunk by chunk it is still in the cache. And cores that take whole chunks need not wait for each
other after every layer, which costs most on a robot whose cores have other work too.
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
    """Whether chunks pay for layers on this input: on a CPU, when no gradient needs the layers.

    Not under autocast, which other threads know nothing of.
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
    """`work` of consecutive slices that cover `count` rows, concatenated.

    Args:
        work: from rows to their results; called in several threads, each with one core.
        count: how many rows there are.
        width: values of the widest intermediate result for a row; dtype: their type.
        dim: along which the results are laid together.
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
