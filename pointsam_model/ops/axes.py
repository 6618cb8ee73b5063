"""Principal axes of point sets from their moments, in plain PyTorch for every device."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LEAST = 1e-30  # a radius or an axis below it counts as zero


def principal_axes(moments: Tensor) -> tuple[Tensor, Tensor]:
    """`pointsam_model.ops.principal_axes`.

    Eigenvalues are in closed form (Smith, Eigenvalues of a Symmetric 3 x 3 Matrix, 1961): a general
    solver's overhead per matrix would dominate.
    """
    xx, yy, zz, xy, xz, yz = _covariances(moments)
    # Scaled by the radius about the mean, so that eigenvalues are from -2 to 2.
    mean = (xx + yy + zz) / 3
    a, b, c = xx - mean, yy - mean, zz - mean
    off = xy * xy + xz * xz + yz * yz
    radius = ((a * a + b * b + c * c + 2 * off) / 6).sqrt()
    unit = radius.clamp_min(LEAST)
    a, b, c, xy, xz, yz = (each / unit for each in (a, b, c, xy, xz, yz))
    determinant = a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)
    angle = (determinant / 2).clamp(-1, 1).acos() / 3
    least = 2 * (angle + 2 * math.pi / 3).cos()
    low, high = mean + radius * least, mean + 2 * radius * angle.cos()
    middle = torch.maximum(3 * mean - high - low, low)
    variances = torch.stack([low, middle, torch.maximum(high, middle)], 1).clamp_min(0)
    return _axis_of(a - least, b - least, c - least, xy, xz, yz).float(), variances.float()


def _covariances(moments: Tensor) -> tuple[Tensor, ...]:
    """Covariances xx, yy, zz, xy, xz, yz, each (m,), from moments (m,10)."""
    count, *sums = moments.t().contiguous()
    count = count.clamp_min(1)
    x, y, z, xx, yy, zz, xy, xz, yz = (each / count for each in sums)
    return xx - x * x, yy - y * y, zz - z * z, xy - x * y, xz - x * z, yz - y * z


def summed_rows(values: Tensor, rows: Tensor, used: Tensor | None) -> Tensor:
    """`pointsam_model.ops.summed_rows`, adding one row after the other: a fixed order."""
    total = values.new_zeros(len(rows), values.shape[1])
    for each, row in enumerate(rows.t()):
        of_row = values.index_select(0, row)
        total += of_row if used is None else of_row * used[:, each, None]
    return total


def _axis_of(a: Tensor, b: Tensor, c: Tensor, xy: Tensor, xz: Tensor, yz: Tensor) -> Tensor:
    """Unit null vectors (m,3) of singular symmetric matrices with diagonals a, b, c, (m,) each.

    The null vector is orthogonal to the rows of its matrix, so it is the cross product of two of
    them; the longest of the three is the most accurate. For a zero matrix it is z.
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
