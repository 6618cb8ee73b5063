"""The operations in plain PyTorch, for every device; a GPU without CuPy uses only these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from pointsam_model.ops import axes, connecting, decoding, interpolation, masking, normalising
from pointsam_model.ops.layout import CloudLayout

# Distances held at a time; with intermediates, about 200 MB in float32.
CHUNK = 2**24
LARGEST_KEY = 2**62


class TorchOps:
    """All operations; subclasses override what a device does faster.

    The contracts are in `pointsam_model.ops`. Runs on any device, so that tests need no GPU. At
    most one chunk of distances is held in memory.
    """

    def farthest_points(self, points: Tensor, count: int, start: int) -> Tensor:
        """Ties: the lowest row."""
        clouds = points if points.dim() == 3 else points.unsqueeze(0)
        # One coordinate per row, so that each step reads contiguous memory.
        by_axis = relative(clouds).transpose(1, 2).contiguous()
        b, _, n = by_axis.shape
        rows = torch.empty(b, count, dtype=torch.int64, device=points.device)
        row = torch.full((b, 1), start, dtype=torch.int64, device=points.device)
        left = torch.full((b, n), torch.inf, device=points.device)
        chosen = left.new_full((b, 1), -1.0)
        for step in range(count):
            rows[:, step] = row[:, 0]
            at = by_axis.gather(2, row.unsqueeze(1).expand(b, 3, 1))
            left = torch.minimum(left, (by_axis - at).square_().sum(1)).scatter_(1, row, chosen)
            row = left.argmax(1, keepdim=True)
        return rows if points.dim() == 3 else rows[0]

    def downsample(self, points: Tensor, count: int) -> Tensor:
        return self.farthest_points(points, count, 0).sort().values

    def nearest_neighbours(self, points: Tensor, centers: Tensor, k: int) -> Tensor:
        return _nearest(centers, points, k)[1]

    def nearest_point(self, queries: Tensor, points: Tensor) -> Tensor:
        found = [squared.argmin(1) for squared in _distances(queries, points)]
        return torch.cat(found) if found else queries.new_empty(0, dtype=torch.int64)

    def interpolation_table(self, points: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
        squared, index = _nearest(points, centers, min(3, centers.shape[-2]))
        weight = 1 / squared.double().clamp_min(1e-8)
        return index, (weight / weight.sum(-1, keepdim=True)).float()

    def voxel_rows(self, points: Tensor, size: float) -> Tensor:
        n = points.shape[0]
        if n == 0:
            return torch.empty(0, dtype=torch.int64, device=points.device)
        exact = points.double()
        cells = torch.floor(exact / size)
        if not bool((cells.abs() < LARGEST_KEY).all()):
            raise ValueError(f"voxels of {size} are too small for coordinates as large as these")
        key = _voxel_keys(cells.long())
        voxels, voxel = torch.unique(key, return_inverse=True)
        sums = torch.zeros(len(voxels), 3, dtype=torch.float64, device=points.device)
        sums.index_add_(0, voxel, exact)
        mean = sums / torch.bincount(voxel, minlength=len(voxels)).unsqueeze(1)
        # In float32, so that the order in which a GPU sums a voxel's points does not matter.
        off = (exact - mean[voxel]).square().sum(1).float()
        least = torch.full((len(voxels),), torch.inf, device=points.device)
        least.scatter_reduce_(0, voxel, off, "amin")
        row = torch.arange(n, device=points.device)
        nearest = off == least[voxel]
        rows = torch.full((len(voxels),), n, device=points.device)
        rows.scatter_reduce_(0, voxel[nearest], row[nearest], "amin")
        return rows.sort().values

    def cleaned_masks(self, masks: Tensor, links: Tensor, share: float) -> Tensor:
        return connecting.cleaned_masks(masks, links, share, self.connected_pieces)

    def interpolate(self, features: Tensor, index: Tensor, weight: Tensor) -> Tensor:
        return interpolation.interpolate(features, index, weight)

    def normalise(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return normalising.normalise(points)

    def decode(
        self, data: Any, layout: CloudLayout, device: torch.device
    ) -> tuple[Tensor, Tensor | None]:
        return decoding.decode_on_device(data, layout, device)

    def decode_valid(
        self, data: Any, layout: CloudLayout, farthest: float, device: torch.device
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        return decoding.decode_valid(data, layout, farthest, device)

    def mask_rows(self, masks: Tensor, nearest: Tensor) -> tuple[Tensor, Tensor]:
        return masking.mask_rows(masks, nearest)

    def connected_pieces(self, masks: Tensor, links: Tensor) -> tuple[Tensor, Tensor]:
        """`connecting.connected_pieces`, used by `cleaned_masks`."""
        return connecting.connected_pieces(masks, links)

    def connected_parts(
        self, start: Tensor, end: Tensor, cut: Tensor, count: int, strictness: Sequence[float]
    ) -> Tensor:
        return connecting.connected_parts(start, end, cut, count, strictness)

    def summed_rows(self, values: Tensor, rows: Tensor, used: Tensor | None) -> Tensor:
        return axes.summed_rows(values, rows, used)

    def principal_axes(self, moments: Tensor) -> tuple[Tensor, Tensor]:
        return axes.principal_axes(moments)


def _voxel_keys(cells: Tensor) -> Tensor:
    """A unique int64 key (n,) for each distinct row of cells (n,3)."""
    cells = cells - cells.amin(0)
    x, y, z = (int(extent) + 1 for extent in cells.amax(0))
    if x * y * z < LARGEST_KEY:
        return (cells[:, 0] * y + cells[:, 1]) * z + cells[:, 2]
    key, y, z = (torch.unique(axis, return_inverse=True)[1] for axis in cells.unbind(1))
    for axis in (y, z):
        key = torch.unique(key * (int(axis.max()) + 1) + axis, return_inverse=True)[1]
    return key


def _nearest(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Squared distances and rows of the k points nearest to each query; one cloud or a batch."""
    if queries.dim() == 3:
        both = [_nearest(*pair, k) for pair in zip(queries, points, strict=True)]
        return torch.stack([one[0] for one in both]), torch.stack([one[1] for one in both])
    found = [squared.topk(k, dim=1, largest=False) for squared in _distances(queries, points)]
    if not found:
        return queries.new_empty(0, k), queries.new_empty(0, k, dtype=torch.int64)
    return torch.cat([one.values for one in found]), torch.cat([one.indices for one in found])


def _distances(queries: Tensor, points: Tensor) -> Iterator[Tensor]:
    """Squared distances (chunk,m), chunk by chunk of the queries.

    Computed from differences, not from expanded products, which cancel far from the origin.
    """
    points, queries = relative_pair(points, queries)
    for chunk in queries.split(max(CHUNK // len(points), 1)):
        squared = (chunk[:, None, 0] - points[None, :, 0]).square_()
        for axis in (1, 2):
            squared += (chunk[:, None, axis] - points[None, :, axis]).square_()
        yield squared


def relative_pair(points: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Two clouds (n,3) in float32; if either is float64, both relative to the same point."""
    if points.dtype == others.dtype == torch.float32:
        return points, others
    together = relative(torch.cat((points, others.to(points.dtype))))
    return together[: len(points)], together[len(points) :]


def relative(points: Tensor) -> Tensor:
    """Points in float32; if float64, relative to the first, so that no precision is lost."""
    if points.dtype == torch.float32:
        return points
    return (points - points[..., :1, :]).float()
