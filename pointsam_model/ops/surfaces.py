"""What is asked of a surface: its normals, and the parts that its edges leave."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pointsam_model.ops.dispatch import backend

MOMENTS = 10  # of a set of points: count, x, y, z, xx, yy, zz, xy, xz, yz


def summed_rows(values: Tensor, rows: Tensor, used: Tensor | None = None) -> Tensor:
    """Sums of some rows of a table for each place, in a fixed order.

    Args:
        values: (m,c) float64.
        rows: (q,k) int64 rows of `values` that each place sums; the same row may come twice.
        used: (q,k) bool, which of them count; None: all.

    Returns:
        (q,c) float64.

    Raises:
        ValueError: another shape or type.
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
    """The direction in which the points of each set vary least, and how much they vary.

    A principal component analysis of each set. Its eigenvalues are in closed form: each is right to
    about 1e-7 of the greatest, and to 1e-15 of the mean square of the coordinates, which should be
    from a place near the points therefore.

    Args:
        moments: (m,10) float64: how many points a set has; the sums of their x, y, z [m]; those of
            xx, yy, zz, xy, xz, yz [m²].

    Returns:
        normals (m,3) float32 of unit length, of either sign; variances (m,3) float32 [m²] along
        the three principal axes, ascending, not negative. Where points are on a line, some unit
        normal; where they coincide, or there are none, (0,0,1).

    Raises:
        ValueError: another shape or type.
    """
    if moments.dim() != 2 or moments.shape[1] != MOMENTS or moments.dtype != torch.float64:
        raise ValueError(
            f"moments are {tuple(moments.shape)} {moments.dtype}; they take (m,10) float64"
        )
    return backend(moments).principal_axes(moments.detach())


def connected_parts(
    start: Tensor, end: Tensor, cut: Tensor, count: int, strictness: Sequence[float]
) -> Tensor:
    """The parts of points that edges connect, at several strictnesses: the smaller, the more parts.

    At a strictness, two points are of one part where a chain of edges leads from one to the other,
    all of which are less probably cut than it. So parts are nested. Exact: every device gives the
    same.

    Args:
        start, end: (e,) int64, the rows 0 to count-1 that each edge joins, either way around.
        cut: (e,) float32, the probability that each edge is cut; one that is NaN joins nothing.
        count: how many points there are, at least 1.
        strictness: s of them, compared in float32.

    Returns:
        (s,count) int64: of each point the lowest row of its part.

    Raises:
        ValueError: no points, or another shape or type.
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
