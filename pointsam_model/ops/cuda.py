"""The operations on a GPU, in plain PyTorch: nothing larger than a chunk of distances is ever held.

Contracts are in `pointsam_model.ops`. Nothing here is of a GPU only, so that tests run it anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pointsam_model.ops.decoding import decode_on_device as decode
from pointsam_model.ops.interpolation import interpolate
from pointsam_model.ops.voxels import voxel_rows

__all__ = [
    "decode",
    "downsample",
    "farthest_points",
    "interpolate",
    "interpolation_table",
    "nearest_neighbours",
    "nearest_point",
    "voxel_rows",
]

# Distances held at a time; with what their making needs, about 200 MB in float32.
CHUNK = 2**24


def farthest_points(points: Tensor, count: int, start: int) -> Tensor:
    """Ties: the lowest row."""
    clouds = points if points.dim() == 3 else points.unsqueeze(0)
    # One coordinate per row: what a step reads then lies together.
    axes = _relative(clouds).transpose(1, 2).contiguous()
    b, _, n = axes.shape
    rows = torch.empty(b, count, dtype=torch.int64, device=points.device)
    row = torch.full((b, 1), start, dtype=torch.int64, device=points.device)
    left = torch.full((b, n), torch.inf, device=points.device)
    chosen = left.new_full((b, 1), -1.0)
    for step in range(count):
        rows[:, step] = row[:, 0]
        at = axes.gather(2, row.unsqueeze(1).expand(b, 3, 1))
        left = torch.minimum(left, (axes - at).square_().sum(1)).scatter_(1, row, chosen)
        row = left.argmax(1, keepdim=True)
    return rows if points.dim() == 3 else rows[0]


def downsample(points: Tensor, count: int) -> Tensor:
    return farthest_points(points, count, 0).sort().values


def nearest_neighbours(points: Tensor, centers: Tensor, k: int) -> Tensor:
    return _nearest(centers, points, k)[1]


def nearest_point(queries: Tensor, points: Tensor) -> Tensor:
    found = [squared.argmin(1) for squared in _distances(queries, points)]
    return torch.cat(found) if found else queries.new_empty(0, dtype=torch.int64)


def interpolation_table(points: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    squared, index = _nearest(points, centers, min(3, centers.shape[-2]))
    weight = 1 / squared.double().clamp_min(1e-8)
    return index, (weight / weight.sum(-1, keepdim=True)).float()


def _nearest(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Squared distances and rows of the k nearest points of each query, of one cloud or a batch."""
    if queries.dim() == 3:
        both = [_nearest(*pair, k) for pair in zip(queries, points, strict=True)]
        return torch.stack([one[0] for one in both]), torch.stack([one[1] for one in both])
    found = [squared.topk(k, dim=1, largest=False) for squared in _distances(queries, points)]
    if not found:
        return queries.new_empty(0, k), queries.new_empty(0, k, dtype=torch.int64)
    return torch.cat([one.values for one in found]), torch.cat([one.indices for one in found])


def _distances(queries: Tensor, points: Tensor) -> Iterator[Tensor]:
    """Squared distances (chunk,m), chunk by chunk of the queries.

    Of differences, never expanded into products: those cancel far from the origin.
    """
    together = _relative(torch.cat((points, queries.to(points.dtype))))
    points, queries = together[: len(points)], together[len(points) :]
    for chunk in queries.split(max(CHUNK // len(points), 1)):
        squared = (chunk[:, None, 0] - points[None, :, 0]).square_()
        for axis in (1, 2):
            squared += (chunk[:, None, axis] - points[None, :, axis]).square_()
        yield squared


def _relative(points: Tensor) -> Tensor:
    """Points in float32; from double precision relative to the first, to keep their shape."""
    if points.dtype == torch.float32:
        return points
    return (points - points[..., :1, :]).float()
