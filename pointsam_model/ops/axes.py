"""Principal axes of neighbours in plain PyTorch for both devices, in float64."""

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
    xx, yy, zz, xy, xz, yz = _covariances(points, neighbours)
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


def _covariances(points: Tensor, neighbours: Tensor) -> tuple[Tensor, ...]:
    """Covariances xx, yy, zz, xy, xz, yz, each (m,) float64, of the neighbours of each place.

    Summed one neighbour of all places after the other, so that the sums stay in a CPU's cache. The
    first is taken off before numbers widen: near each other they lose nothing by it.
    """
    m, k = neighbours.shape
    axes, rows = points.t().contiguous(), neighbours.t().contiguous()
    first = axes.index_select(1, rows[0])
    total, squares, (xy, xz, yz) = torch.zeros(3, 3, m, dtype=torch.float64, device=points.device)
    for row in rows[1:]:
        off = (axes.index_select(1, row) - first).double()
        total += off
        squares.addcmul_(off, off)
        x, y, z = off
        xy.addcmul_(x, y)
        xz.addcmul_(x, z)
        yz.addcmul_(y, z)
    x, y, z = total / k
    xx, yy, zz = squares
    sums = (xx, x, x), (yy, y, y), (zz, z, z), (xy, x, y), (xz, x, z), (yz, y, z)
    return tuple(it / k - one * other for it, one, other in sums)


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
