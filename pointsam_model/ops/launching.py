"""Runs CUDA kernels by name: CuPy compiles them, on PyTorch's stream and memory.

Kernels get the addresses of PyTorch's tensors: nothing is copied, and since every launch is on
PyTorch's current stream, its allocator may reuse memory without synchronising.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

__all__ = ["COMMON", "FOLDER", "KERNEL_FILES", "Argument", "CupyLauncher", "Launcher", "source"]

FOLDER = Path(__file__).parent / "kernels"
COMMON = "common"
# The file of each kernel; it is compiled when one of its kernels is first launched.
KERNEL_FILES = {
    "axes_of_moments": "axes",
    "morton_codes": "buckets",
    "make_buckets": "buckets",
    "farthest_of_few": "farthest_points",
    "farthest_of_buckets": "farthest_points",
    "nearest_one": "nearest",
    "nearest_three": "nearest",
    "nearest_many": "neighbours",
    "decode_single": "decode",
    "decode_double": "decode",
    "count_valid": "decode",
    "keep_valid": "decode",
    "count_inside": "masks",
    "rows_inside": "masks",
    "join_linked": "pieces",
    "join_edges": "pieces",
    "find_roots": "pieces",
    "sum_single": "normalise",
    "sum_double": "normalise",
    "radius_single": "normalise",
    "radius_double": "normalise",
    "normalise_single": "normalise",
    "normalise_double": "normalise",
    "gather_voxels": "voxels",
    "find_nearest_to_mean": "voxels",
    "mark_nearest": "voxels",
}
# No option lets the compiler change a result: distances must be bitwise the same everywhere.
OPTIONS = ("--std=c++17", "--fmad=false")

# What a kernel takes: a tensor (its address), a 32-bit int, a float of either width.
Argument = Tensor | np.int32 | np.int64 | np.float32 | np.float64


class Launcher(Protocol):
    """Runs kernels; tests have one that runs the same sources on the CPU."""

    threads: int
    """Threads in the largest block."""

    def blocks_at_once(self, device: torch.device) -> int:
        """Number of blocks of that size that the device can run at the same time."""

    def launch(
        self,
        kernel: str,
        grid: tuple[int, int],
        threads: int,
        *arguments: Argument,
        together: bool = False,
    ) -> None:
        """Launches a kernel without waiting for it.

        Args:
            kernel: a key of `KERNEL_FILES`.
            grid: blocks along x and y; nothing is launched if one is 0.
            threads: per block, a multiple of 32.
            arguments: as in the kernel's source; tensors are contiguous and on one device.
            together: whether all blocks must run at the same time (a cooperative launch).
        """


class CupyLauncher:
    """Runs kernels on PyTorch's current stream of the device that holds their tensors.

    A file is compiled once per process and device; CuPy caches it on disk between processes.

    Raises:
        ImportError: CuPy is not installed.
    """

    threads = 1024

    def __init__(self) -> None:
        import cupy

        self._cupy = cupy

    def blocks_at_once(self, device: torch.device) -> int:
        return int(torch.cuda.get_device_properties(device).multi_processor_count)

    def launch(
        self,
        kernel: str,
        grid: tuple[int, int],
        threads: int,
        *arguments: Argument,
        together: bool = False,
    ) -> None:
        if 0 in grid:
            return
        device = next(each.device for each in arguments if isinstance(each, Tensor))
        values = [
            np.uint64(each.data_ptr()) if isinstance(each, Tensor) else each for each in arguments
        ]
        with torch.cuda.device(device):
            stream = torch.cuda.current_stream(device)
            with self._cupy.cuda.ExternalStream(stream.cuda_stream, stream.device_index):
                self._compiled(kernel).kernel(
                    (*grid, 1), (threads, 1, 1), tuple(values), enable_cooperative_groups=together
                )

    @cache  # noqa: B019 - one launcher lives as long as the process
    def _compiled(self, kernel: str) -> Any:
        """The compiled kernel for any device; its attribute `kernel` is for the current one.

        Enabling cooperative launches in the module would link a library of the CUDA toolkit, which
        few machines have; the kernels' own barrier does not need it.
        """
        return self._module(KERNEL_FILES[kernel]).get_function(kernel)

    @cache  # noqa: B019
    def _module(self, file: str) -> Any:
        return self._cupy.RawModule(code=source(file), options=OPTIONS, backend="nvrtc")


def source(file: str) -> str:
    """The full source of a kernel file, with #line directives for compiler errors."""
    parts = (COMMON, file)
    texts = [(FOLDER / f"{part}.cu").read_text(encoding="utf-8") for part in parts]
    return "".join(
        f'#line 1 "{part}.cu"\n{text}\n' for part, text in zip(parts, texts, strict=True)
    )
