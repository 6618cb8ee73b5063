"""Principal axes of neighbours in plain PyTorch for both devices: column by column, in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LEAST = 1e-30  # a radius or an axis below it counts as zero


def principal_axes(points: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """`pointsam_model.ops.principal_axes`.

    Eigenvalues are in closed form (Smith, Eigenvalues of a Symmetric 3 x 3 Matrix, 1961): a general
    solver takes most of its time per matrix for nothing.
    """
    rows = neighbours.t().contiguous()
    x, y, z = (_centred(points[:, axis].contiguous(), rows) for axis in range(3))
    pairs = (x, x), (y, y), (z, z), (x, y), (x, z), (y, z)
    xx, yy, zz, xy, xz, yz = ((one * other).mean(0) for one, other in pairs)
    # In units of the radius about the mean: eigenvalues are then from -2 to 2.
    mean = (xx + yy + zz) / 3
    a, b, c = xx - mean, yy - mean, zz - mean
    off = xy * xy + xz * xz + yz * yz
    radius = ((a * a + b * b + c * c + 2 * off) / 6).sqrt()
    unit = radius.clamp_min(LEAST)
    a, b, c, xy, xz, yz = (it / unit for it in (a, b, c, xy, xz, yz))
    determinant = a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)
    angle = (determinant / 2).clamp(-1, 1).acos() / 3
    least = 2 * (angle + 2 * math.pi / 3).cos()
    low, high = mean + radius * least, mean + 2 * radius * angle.cos()
    middle = torch.maximum(3 * mean - high - low, low)
    variances = torch.stack([low, middle, torch.maximum(high, middle)], 1).clamp_min(0)
    return _axis_of(a - least, b - least, c - least, xy, xz, yz).float(), variances.float()


def _centred(axis: Tensor, rows: Tensor) -> Tensor:
    """(k,m) float64: coordinates (v,) at rows (k,m), less their mean.

    The first is taken off before they widen: near each other they lose nothing by it.
    """
    around = axis.index_select(0, rows.view(-1)).view(rows.shape)
    wide = (around - around[0]).double()
    return wide.sub_(wide.mean(0))


def _axis_of(a: Tensor, b: Tensor, c: Tensor, xy: Tensor, xz: Tensor, yz: Tensor) -> Tensor:
    """Unit vectors (m,3) that symmetric matrices take to zero: a, b, c (m,) on their diagonals.

    Rows of a matrix span the plane across such a vector: of their cross products the longest is the
    surest. Matrices of zeros leave it open: z then.
    """
    crossed = torch.stack(
        [
            torch.stack([xy * yz - xz * b, xz * xy - a * yz, a * b - xy * xy]),
            torch.stack([xy * c - xz * yz, xz * xz - a * c, a * yz - xy * xz]),
            torch.stack([b * c - yz * yz, yz * xz - xy * c, xy * yz - b * xz]),
        ]
    )
    squared, best = crossed.square().sum(1).max(0)
    axis = crossed.gather(0, best.expand(1, 3, -1))[0]
    norm = squared.sqrt()
    up = axis.new_tensor([0.0, 0.0, 1.0])[:, None]
    return torch.where(norm > LEAST, axis / norm.clamp_min(LEAST), up).t().contiguous()
