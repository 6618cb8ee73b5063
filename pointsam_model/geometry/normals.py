"""Normals of a surface from the points around each place (principal component analysis)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def principal_axes(points: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """The direction in which the neighbours of each place vary least, and how much they vary.

    Args:
        points: (v,3) float [m].
        neighbours: (m,k) int64 rows of `points`.

    Returns:
        normals (m,3) float32 of unit length, of either sign; variances (m,3) float32 [m²] along
        the three principal axes, ascending.
    """
    around = points[neighbours]
    around = (around - around.mean(1, keepdim=True)).double()
    covariance = around.transpose(1, 2) @ around / around.shape[1]
    variances = _eigenvalues(covariance)
    return _axis_of(covariance, variances[:, 0]).float(), variances.float()


def facing(normals: Tensor, points: Tensor, sensor: Tensor) -> Tensor:
    """Normals (m,3) of points (m,3), turned to the side of the sensor (3,)."""
    away = ((sensor - points) * normals).sum(1, keepdim=True) < 0
    return torch.where(away, -normals, normals)


def _eigenvalues(matrices: Tensor) -> Tensor:
    """Of symmetric matrices (m,3,3): (m,3) ascending, not negative. In closed form, since a
    general solver takes most of its time per matrix for nothing."""
    diagonal = matrices.diagonal(dim1=1, dim2=2)
    mean = diagonal.mean(1)
    off = matrices[:, 0, 1] ** 2 + matrices[:, 0, 2] ** 2 + matrices[:, 1, 2] ** 2
    radius = ((((diagonal - mean[:, None]) ** 2).sum(1) + 2 * off) / 6).sqrt()
    scaled = (matrices - mean[:, None, None] * torch.eye(3).to(matrices)) / radius.clamp_min(1e-30)[
        :, None, None
    ]
    angle = (_determinant(scaled) / 2).clamp(-1, 1).acos() / 3
    high = mean + 2 * radius * angle.cos()
    low = mean + 2 * radius * (angle + 2 * math.pi / 3).cos()
    return torch.stack([low, 3 * mean - high - low, high], 1).clamp_min(0)


def _determinant(m: Tensor) -> Tensor:
    return (m[:, 0] * torch.linalg.cross(m[:, 1], m[:, 2])).sum(1)


def _axis_of(matrices: Tensor, values: Tensor) -> Tensor:
    """Unit eigenvectors (m,3) of symmetric matrices (m,3,3) to eigenvalues (m,).

    Rows of (A - value) span the plane across the eigenvector: of their cross products the longest
    is the surest. Points on a line, or all at one place, leave it open: z then.
    """
    rest = matrices - values[:, None, None] * torch.eye(3).to(matrices)
    crossed = torch.stack(
        [torch.linalg.cross(rest[:, a], rest[:, b]) for a, b in ((0, 1), (0, 2), (1, 2))], 1
    )
    length = crossed.square().sum(2)
    best = length.argmax(1)
    rows = torch.arange(len(best), device=best.device)
    axis = crossed[rows, best]
    norm = length[rows, best].sqrt()[:, None]
    up = axis.new_tensor([0.0, 0.0, 1.0]).expand_as(axis)
    return torch.where(norm > 1e-30, axis / norm.clamp_min(1e-30), up)
