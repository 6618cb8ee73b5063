"""The device that a model runs on: its memory, and when its work is done."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class DeviceMemory:
    """This process's memory on a GPU.

    Attributes:
        allocated: held by tensors [bytes].
        reserved: taken from the GPU, `allocated` and what is kept for the next tensors [bytes].
    """

    allocated: int
    reserved: int


def device_memory(device: torch.device) -> DeviceMemory | None:
    """What this process holds of a GPU's memory; None: the device is a CPU."""
    if device.type != "cuda":
        return None
    return DeviceMemory(torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device))


def free_device_memory() -> None:
    """Gives the memory of tensors that nobody needs any more back: a GPU's to the system."""
    gc.collect()  # an exception and the frames it went through hold each other, and their tensors
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def wait_for_device(device: torch.device) -> None:
    """Returns when the device has done all that this thread asked for; at once on a CPU.

    It waits for the thread's stream alone: while another thread captures a CUDA graph, to wait for
    the whole device would be an error.
    """
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
