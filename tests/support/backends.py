"""Backends of the operations, and clouds of every kind that has broken such code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from kernel_shim import KernelsOnCpu
from torch import Tensor

from pointsam_model.ops.cpu import CpuOps
from pointsam_model.ops.kernel_ops import KernelOps
from pointsam_model.ops.launching import CupyLauncher
from pointsam_model.ops.torch_ops import TorchOps

ON_A_GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here"),
]


def kernels_on_gpu() -> KernelOps | None:
    """Ours, never what replaces them; None where there is no GPU, and tests of it are skipped."""
    return KernelOps(CupyLauncher()) if torch.cuda.is_available() else None


BACKENDS = [
    pytest.param((CpuOps(), "cpu"), id="cpu"),
    pytest.param((TorchOps(), "cpu"), id="torch-on-cpu"),
    pytest.param((KernelsOnCpu(), "cpu"), id="kernels-on-cpu"),
    pytest.param((TorchOps(), "cuda"), id="torch", marks=ON_A_GPU),
    pytest.param((kernels_on_gpu(), "cuda"), id="kernels", marks=ON_A_GPU),
]
Backend = tuple[Any, str]
EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)
EVERY_DEVICE_BACKEND = pytest.mark.parametrize("backend", BACKENDS[1:])
EXAMPLES = settings(max_examples=60, deadline=None)


def coincident(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.tile(rng.normal(size=3), (n, 1))


def duplicated(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=(max(n // 3, 1), 3))[rng.integers(max(n // 3, 1), size=n)]


def collinear(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.outer(rng.integers(0, 2 * n, n), rng.normal(size=3))


def on_a_grid(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(0, 4, (n, 3)) * 0.25


def far_away(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=(n, 3)) * [40, 40, 3] + [4.9e5, 5.1e5, 300]


def random(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=(n, 3))


KINDS = (random, coincident, duplicated, collinear, on_a_grid, far_away)


@st.composite
def clouds(draw: st.DrawFn, least: int = 1, most: int = 70) -> Tensor:
    """(n,3) float32 of every kind that has broken such code."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind, n = draw(st.sampled_from(KINDS)), draw(st.integers(least, most))
    return torch.from_numpy(kind(rng, n).astype(np.float32))
