"""Runs the CUDA kernels' own sources on the CPU, on the memory of CPU tensors.

What `tests/support/shim/cuda_on_cpu.hpp` says is what it can and cannot show.
"""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointsam_model.ops import launching
from pointsam_model.ops.kernel_ops import KernelOps

SHIM = Path(__file__).parent / "shim" / "cuda_on_cpu.hpp"
# -O1: of the few seconds that all files take, compiling is the most.
COMPILER = (
    "g++",
    "-std=c++17",
    "-O1",
    "-shared",
    "-fPIC",
    "-ffp-contract=off",
    "-U_FORTIFY_SOURCE",
    "-x",
    "c++",
)
WARNINGS = (
    "-Wall",
    "-Werror",
    "-Wno-unused-function",
    "-Wno-unused-variable",
    "-Wno-unknown-pragmas",
)


class ShimLauncher:
    """A `Launcher` whose device is the CPU; small blocks, so that few points fill many of them."""

    def __init__(self, threads: int = 64, blocks: int = 3, schedule: int = 0) -> None:
        self.threads = threads
        self.blocks = blocks
        self.schedule = schedule

    def blocks_at_once(self, device: torch.device) -> int:
        return self.blocks

    def launch(
        self,
        kernel: str,
        grid: tuple[int, int],
        threads: int,
        *arguments: launching.Argument,
        together: bool = False,
    ) -> None:
        file = launching.KERNEL_FILES[kernel]
        kernels = [name for name, where in launching.KERNEL_FILES.items() if where == file]
        library = compiled(launching.source(file), *kernels)
        launch(
            library, kernel, grid, threads, *arguments, together=together, schedule=self.schedule
        )


def launch(
    library: ctypes.CDLL,
    kernel: str,
    grid: tuple[int, int],
    threads: int,
    *arguments: Any,
    together: bool = False,
    schedule: int = 0,
) -> None:
    """Runs a kernel of a compiled source.

    Raises:
        RuntimeError: what a chip would hang or go wrong at.
    """
    assert all(each.is_contiguous() for each in arguments if isinstance(each, Tensor))
    taken = getattr(library, f"shim_arguments_{kernel}")()
    assert taken == len(arguments), f"{kernel} takes {taken} arguments, not {len(arguments)}"
    held = [_boxed(each) for each in arguments]
    pointers = (ctypes.c_void_p * len(held))(*[ctypes.addressof(each) for each in held])
    start = getattr(library, f"shim_launch_{kernel}")
    start.restype = ctypes.c_char_p
    failure = start(*grid, threads, int(together), schedule, pointers)
    if failure is not None:
        raise RuntimeError(f"{kernel}: {failure.decode()}")


def _boxed(value: Any) -> Any:
    if isinstance(value, Tensor):
        return ctypes.c_void_p(value.data_ptr())
    kinds = {
        np.int32: ctypes.c_int32,
        np.int64: ctypes.c_int64,
        np.float32: ctypes.c_float,
        np.float64: ctypes.c_double,
    }
    return kinds[type(value)](value.item())


@cache
def compiled(source: str, *kernels: str) -> ctypes.CDLL:
    """The source with these kernels as a library; kept in the folder for temporary files."""
    entries = "".join(f"SHIM_KERNEL({kernel})\n" for kernel in kernels)
    text = f'#include "{SHIM}"\n{source}\n{entries}'
    digest = hashlib.sha256((text + SHIM.read_text() + str(COMPILER)).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / "pointsam_kernel_shim"
    folder.mkdir(exist_ok=True)
    library = folder / f"{digest}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=folder) as own:
            unfinished = Path(own) / "kernels.so"
            command = [*COMPILER, *WARNINGS, "-", "-o", str(unfinished)]
            built = subprocess.run(command, input=text, text=True, capture_output=True)
            assert built.returncode == 0, built.stderr
            unfinished.replace(library)
    return ctypes.CDLL(str(library))


class KernelsOnCpu:
    """`KernelOps` with the shim as its launcher, and with poisoned new tensors.

    `schedule` says in which order threads and blocks run; results may not depend on it.
    """

    def __init__(self, **options: Any) -> None:
        self._ops = KernelOps(ShimLauncher(**options))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = getattr(self._ops, name)

        def on_cpu(*arguments: Any, **named: Any) -> Any:
            with poisoned_memory():
                return operation(*arguments, **named)

        return on_cpu


@contextmanager
def poisoned_memory() -> Iterator[None]:
    """What `torch.empty` gives is NaN, or the largest integer, for as long as this lasts."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(1).isnan()
        yield
    finally:
        torch.use_deterministic_algorithms(before)
