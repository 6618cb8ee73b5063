"""From a kernel's name to its run on a GPU: CuPy compiles, PyTorch's stream and memory are used.

Kernels get the addresses of PyTorch's tensors: nothing is copied, and since every launch is on
PyTorch's current stream, its allocator may hand memory on without anyone waiting.
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
# The file of each kernel. `launch` takes the names; a file is compiled when one is first wanted.
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
# Nothing that lets the compiler change a result: distances are to be the same bits everywhere.
OPTIONS = ("--std=c++17", "--fmad=false")

# What a kernel takes: a tensor (its address), a 32-bit int, a float of either width.
Argument = Tensor | np.int32 | np.int64 | np.float32 | np.float64


class Launcher(Protocol):
    """Runs kernels. Tests have one that runs the same sources on the CPU."""

    threads: int
    """Threads of the largest blocks."""

    def blocks_at_once(self, device: torch.device) -> int:
        """Blocks of that size that the device certainly runs at the same time."""

    def launch(
        self,
        kernel: str,
        grid: tuple[int, int],
        threads: int,
        *arguments: Argument,
        together: bool = False,
    ) -> None:
        """Starts a kernel and does not wait for it.

        Args:
            kernel: a key of `KERNEL_FILES`.
            grid: blocks along x and y; nothing is started where one is 0.
            threads: of a block, a multiple of 32.
            arguments: as in the kernel's source; tensors are contiguous and of one device.
            together: all blocks run at the same time (a cooperative launch).
        """


class CupyLauncher:
    """Runs kernels on PyTorch's current stream of the device that holds their tensors.

    A file is compiled once a process and device; CuPy's cache on disk keeps it between processes.

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
        """The kernel for every device; its `kernel` is that of the current one.

        Asking the module itself for cooperative launches would link a library of the CUDA toolkit,
        which few machines have; the kernels' own barrier needs none of it.
        """
        return self._module(KERNEL_FILES[kernel]).get_function(kernel)

    @cache  # noqa: B019
    def _module(self, file: str) -> Any:
        return self._cupy.RawModule(code=source(file), options=OPTIONS, backend="nvrtc")


def source(file: str) -> str:
    """The source of one of the kernel files, whole. Errors in it are told by file and line."""
    parts = (COMMON, file)
    texts = [(FOLDER / f"{part}.cu").read_text(encoding="utf-8") for part in parts]
    return "".join(
        f'#line 1 "{part}.cu"\n{text}\n' for part, text in zip(parts, texts, strict=True)
    )
