"""What is asked of a surface: its normals, and the parts that its edges leave."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pointsam_model.ops.dispatch import backend, expect_points


def principal_axes(points: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """The direction in which the neighbours of each place vary least, and how much they vary.

    A principal component analysis of each row of neighbours, summed in float64. Its eigenvalues are
    in closed form: each is right to about 1e-7 of the greatest.

    Args:
        points: (v,3) float [m].
        neighbours: (m,k) int64 rows of `points`, k at least 1; the same row may come twice.

    Returns:
        normals (m,3) float32 of unit length, of either sign; variances (m,3) float32 [m²] along
        the three principal axes, ascending, not negative. Where neighbours are on a line, some
        unit normal; where they coincide, (0,0,1).

    Raises:
        ValueError: no neighbours, or another shape or type.
    """
    expect_points(points, "points", batched=False)
    if neighbours.dim() != 2 or neighbours.dtype != torch.int64 or neighbours.shape[1] == 0:
        raise ValueError(
            f"neighbours are {tuple(neighbours.shape)} {neighbours.dtype}; they take (m,k) int64 "
            "with k at least 1"
        )
    return backend(points).principal_axes(points.detach(), neighbours)


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
