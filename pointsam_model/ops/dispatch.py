"""Chooses the implementation for a device, and checks the arguments of all ops."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from pointsam_model.ops.torch_ops import TorchOps


def backend(where: Tensor | torch.device) -> TorchOps:
    """The operations for a device; those for GPUs are loaded on first use."""
    return _ops_of(where.type if isinstance(where, torch.device) else where.device.type)


@cache
def _ops_of(kind: str) -> TorchOps:
    if kind == "cpu":
        from pointsam_model.ops.cpu import CpuOps

        return CpuOps()
    if kind == "cuda":
        from pointsam_model.ops.cuda import gpu_ops

        return gpu_ops()
    raise ValueError(f"no operations for the device {kind!r}; supported are cpu and cuda")


def expect_masks(masks: Tensor) -> None:
    if masks.dim() != 2 or masks.dtype != torch.bool:
        raise ValueError(f"masks are {tuple(masks.shape)} {masks.dtype}; they take (c,m) bool")


def expect_points(points: Tensor, name: str, *, batched: bool = True) -> None:
    if points.dim() not in ((2, 3) if batched else (2,)) or points.shape[-1] != 3:
        right = "(n,3) or (b,n,3)" if batched else "(n,3)"
        raise ValueError(f"{name} have the shape {tuple(points.shape)}; they take {right}")
    if not points.is_floating_point():
        raise ValueError(f"{name} are {points.dtype}; they take a float type")


def expect_pair(points: Tensor, centers: Tensor) -> None:
    expect_points(points, "points")
    expect_points(centers, "centers")
    if points.shape[:-2] != centers.shape[:-2]:
        raise ValueError(
            f"points {tuple(points.shape)} and centers {tuple(centers.shape)} are not of the same "
            "clouds"
        )
