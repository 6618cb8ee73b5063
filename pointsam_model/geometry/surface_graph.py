"""The kept points of a cloud, each joined to its nearest ones, and what each edge looks like."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pointsam_model import ops
from pointsam_model.geometry.normals import facing, principal_axes

NEIGHBOURS = 12  # of each point, joined to it
LOCAL = 6  # nearest points whose mean distance is the spacing at a point
FINE, COARSE = 16, 24  # source points, and kept points, around a place that give its normals
LEAST = 1e-9
FEATURES = 17  # of each edge


@dataclass(frozen=True, eq=False)
class SurfaceGraph:
    """Points with undirected edges to their nearest neighbours.

    Attributes:
        points: (m,3) float32 [m].
        neighbours: (m,k) int64, the nearest other points of each.
        start, end: (e,) int64 rows of the edges' ends, start < end, each edge once.
        length: (e,) float32 [m].
        spacing: median length of the edges [m].
        features: (e,17) float32, what tells an edge between two objects from one within an object;
            none of them depends on the unit of length or on the pose of the cloud.
    """

    points: Tensor
    neighbours: Tensor
    start: Tensor
    end: Tensor
    length: Tensor
    spacing: float
    features: Tensor


def surface_graph(points: Tensor, source: Tensor, sensor: Tensor | None) -> SurfaceGraph:
    """Joins kept points to their neighbours.

    Args:
        points: (m,3) float32 kept points [m], m at least 3.
        source: (v,3) float32, all points of the cloud there or a fair sample of them: they give
            finer normals than the kept ones.
        sensor: (3,) its place, which turns normals to the outside; None: not known, and then convex
            and concave edges cannot be told apart.
    """
    m = len(points)
    around = ops.nearest_neighbours(points, points, min(COARSE + 1, m))
    near = around[:, 1 : NEIGHBOURS + 1]
    distance = (points[near] - points[:, None]).square().sum(2).sqrt()
    local = distance[:, :LOCAL].mean(1)
    start, end = _edges(near)
    step = points[start] - points[end]
    length = step.square().sum(1).sqrt()
    spacing = float(length.median())
    fine = ops.nearest_neighbours(source, points, min(FINE, len(source)))
    views = None
    if sensor is not None:
        views = torch.nn.functional.normalize(sensor - points, dim=1)
    toward = step / length.clamp_min(LEAST)[:, None]
    columns: list[Tensor] = []
    normals, spread = principal_axes(source, fine)
    first = normals
    for which in ("fine", "coarse"):
        if which == "coarse":
            normals, spread = principal_axes(points, around)
        if sensor is not None:
            normals = facing(normals, points, sensor)
        columns += _bends(normals, spread, start, end, toward, signed=sensor is not None)
        first = normals if which == "fine" else first
    shortest = torch.minimum(local[start], local[end]).clamp_min(LEAST)
    longest = torch.maximum(local[start], local[end]).clamp_min(LEAST)
    columns += [(length / unit + 1e-3).log() for unit in (max(spacing, LEAST), shortest, longest)]
    if views is None:
        columns += [torch.zeros_like(length)] * 4
    else:
        slant = (first * views).sum(1).abs()
        columns += [(toward * views[start]).sum(1).abs(), slant[start], slant[end]]
        columns += [torch.ones_like(length)]
    features = torch.stack(columns, 1).float()
    return SurfaceGraph(points, near, start, end, length, spacing, features)


def _bends(
    normals: Tensor, spread: Tensor, start: Tensor, end: Tensor, toward: Tensor, *, signed: bool
) -> list[Tensor]:
    """Of each edge: how concave it is, how far its normals turn, how far it leaves the surface, and
    the lesser and greater curvature of its ends; five columns (e,)."""
    one, other = normals[start], normals[end]
    cosine = (one * other).sum(1)
    if not signed:
        other = torch.where(cosine[:, None] < 0, -other, other)
        cosine = cosine.abs()
    concave = -((one - other) * toward).sum(1)
    turn = (2 - 2 * cosine.clamp(-1, 1)).clamp_min(0).sqrt()
    off = ((one + other) * toward).sum(1).abs() / 2
    curvature = spread[:, 0] / spread.sum(1).clamp_min(1e-12)
    ends = curvature[start], curvature[end]
    if not signed:
        concave = torch.zeros_like(concave)
    return [concave, turn, off, torch.minimum(*ends), torch.maximum(*ends)]


def _edges(near: Tensor) -> tuple[Tensor, Tensor]:
    """Edges to neighbours (m,k), each once: lower rows (e,) and higher rows (e,)."""
    m, k = near.shape
    rows = torch.arange(m, device=near.device)[:, None].expand(m, k)
    key = torch.unique(torch.minimum(near, rows) * m + torch.maximum(near, rows))
    low, high = key // m, key % m
    off = low != high  # points that coincide may come before themselves among their neighbours
    return low[off], high[off]
