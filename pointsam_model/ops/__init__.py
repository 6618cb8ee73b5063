"""Operations on point clouds: torch tensors in, torch tensors out, on the device of their input.

Each function here is the op's one contract. `TorchOps` computes all of them, `CpuOps` and
`KernelOps` what they do better; `naive` is the oracle that tests hold all three against. Callers
never ask which device. Inputs are trusted to be finite (`Cloud` checks its points once), and no
gradient flows through coordinates or indices; only `interpolate` is differentiable, in its
features.

The contracts of what is asked of a surface, its normals and parts, stand in `surfaces`.

No op holds a dense points x centres matrix: memory grows with the points, not with the product.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pointsam_model.ops.dispatch import backend, expect_masks, expect_pair, expect_points
from pointsam_model.ops.layout import CloudLayout
from pointsam_model.ops.surfaces import MOMENTS, connected_parts, principal_axes, summed_rows

__all__ = [
    "MOMENTS",
    "cleaned_masks",
    "connected_parts",
    "decode",
    "decode_valid",
    "downsample",
    "farthest_points",
    "interpolate",
    "interpolation_table",
    "mask_rows",
    "nearest_neighbours",
    "nearest_point",
    "normalise",
    "principal_axes",
    "summed_rows",
    "voxel_rows",
]


def farthest_points(points: Tensor, count: int, *, start: int = 0) -> Tensor:
    """Greedy farthest point sampling: always the point farthest from all chosen so far.

    Serves for patch centres. Distances are squared, in float32. Ties: on a GPU the lowest row, on a
    CPU another fixed rule, the library's. A chosen row is not chosen again while others remain:
    when every point left coincides with a chosen one, the rest are the unused rows in order.

    Args:
        points: (n,3) or (b,n,3) float [m or normalised].
        count: how many rows, 1 to n.
        start: the first chosen row.

    Returns:
        (count,) or (b,count) int64 rows in the order of choice.

    Raises:
        ValueError: count or start out of range, or another shape.
    """
    expect_points(points, "points")
    n = points.shape[-2]
    if not 1 <= count <= n:
        raise ValueError(f"cannot choose {count} of {n} points; count must be from 1 to {n}")
    if not 0 <= start < n:
        raise ValueError(f"start is {start}; it must be a row from 0 to {n - 1}")
    return backend(points).farthest_points(points.detach(), count, start)


def downsample(points: Tensor, count: int) -> Tensor:
    """Farthest point sampling with whatever start is fastest; deterministic. Reduces clouds.

    Args:
        points: (n,3) float.
        count: how many rows, at least 1; n or more keeps every row.

    Returns:
        (min(count, n),) int64 rows, ascending, each once.

    Raises:
        ValueError: count below 1, or another shape.
    """
    expect_points(points, "points", batched=False)
    n = points.shape[0]
    if count < 1:
        raise ValueError(f"cannot keep {count} points; count must be at least 1")
    if count >= n:
        return torch.arange(n, device=points.device)
    return backend(points).downsample(points.detach(), count)


def nearest_neighbours(points: Tensor, centers: Tensor, k: int) -> Tensor:
    """The k points nearest to each centre, nearest first, by exact distance. Ties are free.

    Args:
        points: (n,3) or (b,n,3) float.
        centers: (l,3) or (b,l,3) float; centres that are points find themselves.
        k: 1 to n.

    Returns:
        (l,k) or (b,l,k) int64 rows of `points`.

    Raises:
        ValueError: k out of range, or shapes that do not fit.
    """
    expect_pair(points, centers)
    n = points.shape[-2]
    if not 1 <= k <= n:
        raise ValueError(f"cannot find {k} neighbours among {n} points; k must be from 1 to {n}")
    return backend(points).nearest_neighbours(points.detach(), centers.detach(), k)


def nearest_point(queries: Tensor, points: Tensor) -> Tensor:
    """The row of the point nearest to each query, exact. Ties are free.

    Args:
        queries: (q,3) float.
        points: (m,3) float, m at least 1.

    Returns:
        (q,) int64 rows of `points`.

    Raises:
        ValueError: no points, or another shape.
    """
    expect_points(queries, "queries", batched=False)
    expect_points(points, "points", batched=False)
    if points.shape[0] == 0:
        raise ValueError("there is no nearest point among 0 points")
    return backend(points).nearest_point(queries.detach(), points.detach())


def interpolation_table(points: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """For each point its 3 nearest centres and their weights 1 / max(d^2, 1e-8), summing to 1.

    Args:
        points: (n,3) or (b,n,3) float.
        centers: (l,3) or (b,l,3) float, l at least 1; below 3, as many as there are.

    Returns:
        index (n,t) or (b,n,t) int64 and weight of the same shape, float32, with t = min(3, l);
        nearest first.

    Raises:
        ValueError: no centres, or shapes that do not fit.
    """
    expect_pair(points, centers)
    if centers.shape[-2] == 0:
        raise ValueError("cannot interpolate from 0 centres")
    return backend(points).interpolation_table(points.detach(), centers.detach())


def interpolate(features: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Weighted sums of rows of features, as `interpolation_table` says. Differentiable in features.

    Args:
        features: (l,d), (b,l,d) or (b,m,l,d), any float type.
        index: (n,t) for every features, or (b,n,t) for features of b clouds, int64.
        weight: as index, float; cast to the features' type.

    Returns:
        (..,n,d) in the features' type, leading dimensions as in features.

    Raises:
        ValueError: shapes that do not fit.
    """
    lead = features.shape[:-2]
    if index.shape != weight.shape or index.dim() not in (2, 3) or features.dim() < 2:
        raise ValueError(
            f"features {tuple(features.shape)}, index {tuple(index.shape)} and weight "
            f"{tuple(weight.shape)} do not fit; they take (..,l,d), (..,n,t) and (..,n,t)"
        )
    if index.dim() == 3 and (not lead or index.shape[0] not in (1, lead[0])):
        raise ValueError(
            f"the table is of {index.shape[0]} clouds, the features {tuple(features.shape)} are not"
        )
    return backend(features).interpolate(features, index, weight)


def normalise(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Points in the unit sphere: (points - mean) / greatest distance from the mean.

    Mean and distance are computed in float64, so that coordinates around 5e5 m keep their shape.
    Points that all coincide give zeros and a scale of 1.

    Args:
        points: (n,3) or (b,n,3) float.

    Returns:
        coords float32 of the same shape; center (3,) or (b,3) float64; scale () or (b,) float64.
    """
    expect_points(points, "points")
    return backend(points).normalise(points.detach())


def voxel_rows(points: Tensor, size: float) -> Tensor:
    """One row per occupied voxel: the point nearest to the mean of the voxel's points.

    Voxels are cubes on the grid floor(coordinate / size) of the coordinates as given. Ties: the
    lowest row.

    Args:
        points: (n,3) float.
        size: edge of a voxel, in the unit of the points, above 0.

    Returns:
        int64 rows, ascending.

    Raises:
        ValueError: size not above 0, or so small that the grid does not fit 63 bits.
    """
    expect_points(points, "points", batched=False)
    if not size > 0:
        raise ValueError(f"the voxel size is {size}; it must be above 0")
    return backend(points).voxel_rows(points.detach(), size)


def decode(
    data: Any, layout: CloudLayout, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor | None]:
    """Coordinates and colours of a buffer as a sensor sends it.

    Fields x, y, z must be FLOAT32 or FLOAT64 (all three alike or mixed: the wider). Colours are
    read from `rgb` or `rgba` (FLOAT32, UINT32 or INT32, holding 0xAARRGGBB; alpha is dropped) or
    else from `r`, `g`, `b` or `red`, `green`, `blue` of UINT8 each; colours of any other type are
    left out. The buffer is viewed, neither copied as a whole nor modified.

    Args:
        data: anything with the buffer protocol, contiguous: bytes, array.array, uint8 array.
        layout: where things are in it.
        device: where the result is to be.

    Returns:
        xyz (n,3) float32, or float64 where a coordinate field is FLOAT64; rgb (n,3) uint8 or None.

    Raises:
        CloudError: a layout without x, y, z, or that reaches beyond the data.
    """
    return backend(torch.device(device)).decode(data, layout, torch.device(device))


def decode_valid(
    data: Any, layout: CloudLayout, farthest: float, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """The points of a buffer at which the sensor saw something, in its order, and the way back.

    A point is valid where no coordinate is NaN or beyond `farthest`, and not all three are 0.

    Args:
        data, layout, device: as for `decode`.
        farthest: greatest magnitude of a coordinate, in the unit of the points.

    Returns:
        xyz (m,3) and rgb (m,3) or None, as of `decode`; rows (m,) int64, ascending: their places in
        the buffer; places (n,) int32: where each of the buffer's points went, 0 to m-1, or -1.

    Raises:
        CloudError: a layout without x, y, z, or that reaches beyond the data.
    """
    return backend(torch.device(device)).decode_valid(data, layout, farthest, torch.device(device))


def mask_rows(masks: Tensor, nearest: Tensor) -> tuple[Tensor, Tensor]:
    """The source points of each mask: those whose nearest kept point is in it.

    Args:
        masks: (c,m) bool over kept points.
        nearest: (n,) int32, the kept point nearest to each source point (0 to m-1), or -1 where a
            source point is in no mask.

    Returns:
        rows (s,) int32: source rows, ascending within each mask, mask after mask; starts (c+1,)
        int64: mask i has rows[starts[i]:starts[i+1]].

    Raises:
        ValueError: another shape or type.
    """
    expect_masks(masks)
    if nearest.dim() != 1 or nearest.dtype != torch.int32:
        raise ValueError(f"nearest is {tuple(nearest.shape)} {nearest.dtype}; it takes (n,) int32")
    return backend(masks).mask_rows(masks, nearest)


def cleaned_masks(masks: Tensor, links: Tensor, share: float) -> Tensor:
    """Masks without specks, and with their holes filled.

    Points are of one piece where a chain of links leads from one to the other over points that are
    all in the mask, or all outside of it. A link connects both ways. Pieces of a mask below `share`
    of its largest are specks, and leave it. Pieces of what then is outside that are as small, and
    that a link connects to the mask, are holes. Exact: the same on every device.

    Args:
        masks: (c,m) bool over points.
        links: (m,k) int64 rows 0 to m-1, the points that each is linked to; its own row is no link.
        share: of the points of a mask's largest piece, 0 to 1.

    Returns:
        (c,m) bool.

    Raises:
        ValueError: another shape or type.
    """
    expect_masks(masks)
    if links.dim() != 2 or links.dtype != torch.int64 or len(links) != masks.shape[1]:
        raise ValueError(
            f"links are {tuple(links.shape)} {links.dtype}; masks {tuple(masks.shape)} take "
            f"({masks.shape[1]},k) int64"
        )
    return backend(masks).cleaned_masks(masks, links, share)
