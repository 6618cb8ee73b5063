"""Operations on surfaces: normals, and parts separated by edges."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pointsam_model.ops.dispatch import backend

MOMENTS = 10  # per point set: count and sums of x, y, z, xx, yy, zz, xy, xz, yz


def summed_rows(values: Tensor, rows: Tensor, used: Tensor | None = None) -> Tensor:
    """Sums of selected rows of a table, added in a fixed order.

    Args:
        values: (m,c) float64.
        rows: (q,k) int64, the rows of `values` in each of the q sums; a row may repeat.
        used: (q,k) bool, which of `rows` count; None: all.

    Returns:
        (q,c) float64.

    Raises:
        ValueError: a wrong shape or type.
    """
    if values.dim() != 2 or values.dtype != torch.float64:
        raise ValueError(
            f"values are {tuple(values.shape)} {values.dtype}; they take (m,c) float64"
        )
    if rows.dim() != 2 or rows.dtype != torch.int64:
        raise ValueError(f"rows are {tuple(rows.shape)} {rows.dtype}; they take (q,k) int64")
    if used is not None and (used.shape != rows.shape or used.dtype != torch.bool):
        raise ValueError(
            f"used is {tuple(used.shape)} {used.dtype}; it takes {tuple(rows.shape)} bool, as rows"
        )
    return backend(values).summed_rows(values.detach(), rows, used)


def principal_axes(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Principal component analysis of point sets: normals, and variances along all three axes.

    Eigenvalues are in closed form, accurate to about 1e-7 of the greatest and to 1e-15 of the mean
    square of the coordinates, which should therefore be relative to a point close by.

    Args:
        moments: (m,10) float64, per set: number of points; sums of x, y, z [m]; sums of xx, yy,
            zz, xy, xz, yz [m²].

    Returns:
        normals (m,3) float32, the axes of least variance, of unit length and either sign; variances
        (m,3) float32 [m²], ascending, not negative. For points on a line the normal is any one
        across it; if they coincide, or there are none, it is (0,0,1).

    Raises:
        ValueError: a wrong shape or type.
    """
    if moments.dim() != 2 or moments.shape[1] != MOMENTS or moments.dtype != torch.float64:
        raise ValueError(
            f"moments are {tuple(moments.shape)} {moments.dtype}; they take (m,10) float64"
        )
    return backend(moments).principal_axes(moments.detach())


def connected_parts(
    start: Tensor, end: Tensor, cut: Tensor, count: int, strictness: Sequence[float]
) -> Tensor:
    """Connected components of points at several thresholds on the edges' cut probability.

    At each threshold, points are in the same part if a chain of edges with cut probabilities below
    it connects them. So parts are nested, and a lower threshold gives more. Exact: the same on
    every device.

    Args:
        start, end: (e,) int64, the rows 0 to count-1 that each edge joins, in either order.
        cut: (e,) float32, the probability that each edge is cut; an edge with NaN joins nothing.
        count: number of points, at least 1.
        strictness: the s thresholds, compared in float32.

    Returns:
        (s,count) int64: the lowest row of each point's part.

    Raises:
        ValueError: no points, or a wrong shape or type.
    """
    if count < 1:
        raise ValueError(f"count is {count}; there must be at least 1 point")
    for name, ends in (("start", start), ("end", end)):
        if ends.dim() != 1 or ends.dtype != torch.int64:
            raise ValueError(f"{name} is {tuple(ends.shape)} {ends.dtype}; it takes (e,) int64")
    if cut.dtype != torch.float32 or not start.shape == end.shape == cut.shape:
        raise ValueError(
            f"start {tuple(start.shape)}, end {tuple(end.shape)} and cut {tuple(cut.shape)} "
            f"{cut.dtype} are not of the same edges; they take (e,), cut in float32"
        )
    return backend(cut).connected_parts(start, end, cut, count, strictness)
