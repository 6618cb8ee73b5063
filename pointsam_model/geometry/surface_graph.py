"""The kept points of a cloud, each joined to its nearest ones, and what each edge looks like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pointsam_model import ops

NEIGHBOURS = 12  # of each point, joined to it
LOCAL = 6  # nearest points whose mean distance is the spacing at a point
FINE = 16  # source points around a place that give its finest normal
RING = 6  # neighbours whose RING neighbours give a coarser one; all neighbours give the coarsest
LEAST = 1e-9
FEATURES = 22  # of each edge


@dataclass(frozen=True, eq=False)
class SurfaceGraph:
    """Points with undirected edges to their nearest neighbours.

    On the device of the points that it was made of.

    Attributes:
        points: (m,3) float32 [m].
        neighbours: (m,k) int64, the nearest other points of each.
        start, end: (e,) int64 rows of the edges' ends, start < end, each edge once.
        length: (e,) float32 [m].
        spacing: median length of the edges [m].
        features: (e,22) float32, what tells an edge between two objects from one within an object;
            none of them depends on the unit of length or on the pose of the cloud.
    """

    points: Tensor
    neighbours: Tensor
    start: Tensor
    end: Tensor
    length: Tensor
    spacing: float
    features: Tensor


def neighbourhoods(points: Tensor) -> Tensor:
    """(m,k) int64: of each kept point (m,3) its own row and its neighbours', nearest first."""
    return ops.nearest_neighbours(points, points, min(NEIGHBOURS + 1, len(points)))


def surface_graph(
    points: Tensor, around: Tensor, source: Tensor, nearest: Tensor, sensor: Tensor | None
) -> SurfaceGraph:
    """Joins kept points to their neighbours, on the device that has them.

    Args:
        points: (m,3) float32 kept points [m], m at least 3.
        around: (m,k) int64 their `neighbourhoods`.
        source: (v,3) float32, all points of the cloud there or a fair sample of them: they give
            finer normals than the kept ones.
        nearest: (v,) int64, the kept point that is nearest to each of them.
        sensor: (3,) its place, which turns normals to the outside; None: not known, and then convex
            and concave edges cannot be told apart.
    """
    near = around[:, 1:].contiguous()
    start, end = _edges(near)
    # Coordinates a row each from here on: sums over them are then of long rows.
    axes = points.t().contiguous()
    step = axes.index_select(1, start) - axes.index_select(1, end)
    length = _norm(step)
    spacing = float(length.median())
    toward = step / length.clamp_min(LEAST)
    columns: list[Tensor] = []
    sides: list[Tensor] = []
    for moments in moments_around(points, source, nearest, around):
        normals, spread = ops.principal_axes(moments)
        if sensor is not None:
            normals = facing(normals, points, sensor)
        sides.append(normals)
        columns += _bends(normals, spread, start, end, toward, signed=sensor is not None)
    columns += _lengths(axes, near, start, end, length, spacing)
    if sensor is None:
        columns += [torch.zeros_like(length)] * 4
    else:
        views = torch.nn.functional.normalize(sensor - points, dim=1)
        slant = (sides[0] * views).sum(1).abs()
        along = (toward * views.t().contiguous().index_select(1, start)).sum(0).abs()
        columns += [along, slant[start], slant[end], torch.ones_like(length)]
    features = torch.stack(columns).float().t()
    return SurfaceGraph(points, near, start, end, length, spacing, features)


def moments_around(
    points: Tensor, source: Tensor, nearest: Tensor, around: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Moments (m,10) of what lies around each kept point, the finest first: of the source points of
    its nearest kept points, as many as come to FINE; of the kept points in two steps over RING
    neighbours; and over all neighbours.

    Which kept point each source point belongs to is known from reducing: no source point is
    searched for.

    Args:
        around: (m,k) int64 rows of kept points, its own and then its neighbours, nearest first.
    """
    middle = points.mean(0)
    of_cells = torch.zeros(ops.MOMENTS, len(points), dtype=torch.float64, device=points.device)
    for total, numbers in zip(of_cells, _moments(source - middle), strict=True):
        total.index_add_(0, nearest, numbers)
    of_cells = of_cells.t().contiguous()
    counts = of_cells[:, 0][around]
    fine = ops.summed_rows(of_cells, around, counts.cumsum(1) - counts < FINE)
    own, few = moments_of(points - middle), around[:, : RING + 1].contiguous()
    ring, wide = (ops.summed_rows(ops.summed_rows(own, rows), rows) for rows in (few, around))
    return fine, ring, wide


def moments_of(points: Tensor) -> Tensor:
    """Moments (v,10) float64 of single points (v,3)."""
    return torch.stack(_moments(points), 1)


def _moments(points: Tensor) -> list[Tensor]:
    """The same a column each."""
    x, y, z = points.double().t().contiguous()
    return [torch.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z]


def facing(normals: Tensor, points: Tensor, sensor: Tensor) -> Tensor:
    """Normals (m,3) of points (m,3), turned to the side of the sensor (3,)."""
    away = ((sensor - points) * normals).sum(1, keepdim=True) < 0
    return torch.where(away, -normals, normals)


def _bends(
    normals: Tensor, spread: Tensor, start: Tensor, end: Tensor, toward: Tensor, *, signed: bool
) -> list[Tensor]:
    """Of each edge: how concave it is, how far its normals turn, how far it leaves the surface, and
    the lesser and greater curvature of its ends; five columns (e,)."""
    axes = normals.t().contiguous()
    one, other = axes.index_select(1, start), axes.index_select(1, end)
    cosine = (one * other).sum(0)
    if not signed:
        other = torch.where(cosine < 0, -other, other)
        cosine = cosine.abs()
    concave = ((other - one) * toward).sum(0) if signed else torch.zeros_like(cosine)
    turn = (2 - 2 * cosine.clamp(-1, 1)).clamp_min(0).sqrt()
    off = ((one + other) * toward).sum(0).abs() / 2
    curvature = spread[:, 0] / spread.sum(1).clamp_min(1e-12)
    ends = curvature[start], curvature[end]
    return [concave, turn, off, torch.minimum(*ends), torch.maximum(*ends)]


def _lengths(
    axes: Tensor, near: Tensor, start: Tensor, end: Tensor, length: Tensor, spacing: float
) -> list[Tensor]:
    """Logarithms of lengths (e,) in units of the spacing, and of the lesser and the greater spacing
    at the ends of each."""
    nearest = near[:, :LOCAL].t().contiguous()
    steps = axes.index_select(1, nearest.view(-1)).view(3, *nearest.shape) - axes[:, None]
    local = _norm(steps).mean(0).clamp_min(LEAST)
    ends = local[start], local[end]
    units = max(spacing, LEAST), torch.minimum(*ends), torch.maximum(*ends)
    return [(length / unit + 1e-3).log() for unit in units]


def _norm(steps: Tensor) -> Tensor:
    """Lengths of steps (3,...)."""
    return steps.square().sum(0).sqrt()


def _edges(near: Tensor) -> tuple[Tensor, Tensor]:
    """Edges to neighbours (m,k), each once: lower rows (e,) and higher rows (e,)."""
    m = len(near)
    rows = torch.arange(m, device=near.device)[:, None]
    key = (torch.minimum(near, rows) * m + torch.maximum(near, rows)).view(-1)
    if m * m < 2**31:  # half the bytes to sort, in half the time
        key = key.int()
    key = torch.unique_consecutive(_ascending(key)).long()
    low = key.div(m, rounding_mode="floor")
    high = key - low * m
    # Points that coincide may come before themselves among their neighbours.
    loops = low == high
    return (low[~loops], high[~loops]) if bool(loops.any()) else (low, high)


def _ascending(key: Tensor) -> Tensor:
    """Numbers (k,) in order."""
    if key.device.type == "cpu":
        return torch.from_numpy(np.sort(key.numpy()))  # PyTorch sorts where they were as well
    return key.sort().values
