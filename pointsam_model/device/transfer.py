"""Copies between host and device: few, and only those to the host are waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def sent(array: NDArray[Any], device: torch.device) -> Tensor:
    """Copies an array to the device, asynchronously on its current stream.

    On a CPU the tensor shares the array's memory. For a GPU, pinned memory is reused.
    """
    tensor = torch.from_numpy(array)
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def fetched(*tensors: Tensor) -> tuple[NDArray[Any], ...]:
    """Copies tensors to arrays on the host: those on a GPU in a single copy, which is waited for.

    Arrays of CPU tensors share their memory.
    """
    away = [tensor for tensor in tensors if tensor.device.type != "cpu"]
    if not away:
        return tuple(tensor.numpy() for tensor in tensors)
    there = packed(away)
    here = torch.empty(there.shape, dtype=torch.uint8, pin_memory=True)
    here.copy_(there, non_blocking=True)
    torch.cuda.current_stream(there.device).synchronize()
    arrived = iter(unpacked(here.numpy(), away))
    return tuple(
        tensor.numpy() if tensor.device.type == "cpu" else next(arrived) for tensor in tensors
    )


def packed(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors' bytes, concatenated in `_order`: (bytes,) uint8 on their device."""
    return torch.cat(
        [tensors[place].contiguous().view(-1).view(torch.uint8) for place in _order(tensors)]
    )


def unpacked(raw: NDArray[np.uint8], tensors: Sequence[Tensor]) -> tuple[NDArray[Any], ...]:
    """Views of the bytes from `packed`, with the shapes and types of `tensors`."""
    arrays: dict[int, NDArray[Any]] = {}
    start = 0
    for place in _order(tensors):
        like = tensors[place]
        stop = start + like.numel() * like.element_size()
        kind = torch.empty(0, dtype=like.dtype).numpy().dtype
        arrays[place] = raw[start:stop].view(kind).reshape(tuple(like.shape))
        start = stop
    return tuple(arrays[place] for place in range(len(tensors)))


def _order(tensors: Sequence[Tensor]) -> list[int]:
    """Order of the tensors, wide types first, so that each array is aligned."""
    return sorted(range(len(tensors)), key=lambda place: -tensors[place].element_size())
