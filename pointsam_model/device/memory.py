"""Memory of the model's device, and waiting for its work."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class DeviceMemory:
    """This process's memory on a GPU.

    Attributes:
        allocated: held by tensors [bytes].
        reserved: taken from the GPU: `allocated`, and what is cached for later tensors [bytes].
    """

    allocated: int
    reserved: int


def device_memory(device: torch.device) -> DeviceMemory | None:
    """The GPU memory held by this process; None: the device is a CPU."""
    if device.type != "cuda":
        return None
    return DeviceMemory(torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device))


def free_device_memory() -> None:
    """Frees the memory of unused tensors; on a GPU, returns it to the system."""
    gc.collect()  # exceptions and their frames form cycles, which keep tensors
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def wait_for_device(device: torch.device) -> None:
    """Waits until the device has finished this thread's work; returns at once on a CPU.

    Only the thread's stream is waited for: waiting for the whole device is an error while another
    thread captures a CUDA graph.
    """
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
