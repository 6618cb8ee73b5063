"""Operations on point clouds: torch tensors in, torch tensors out, on the device of their input.

Each function here defines the op's contract. `TorchOps` implements all of them; `CpuOps` and
`KernelOps` override those they do faster; tests compare all three with `naive`. Callers need not
distinguish devices. Inputs are assumed to be finite (`Cloud` checks its points once), and no
gradient flows through coordinates or indices; only `interpolate` is differentiable, in its
features.

The contracts of ops on surfaces, for normals and parts, are in `surfaces`.

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
    """Greedy farthest point sampling: each point is the farthest from all those chosen before.

    Used for patch centres. Squared distances are compared in float32. Ties go to the lowest row on
    a GPU, and follow another fixed rule, the library's, on a CPU. No row is chosen twice: when
    every point left coincides with a chosen one, the unused rows follow in order.

    Args:
        points: (n,3) or (b,n,3) float [m or normalised].
        count: how many rows to choose, 1 to n.
        start: the first chosen row.

    Returns:
        (count,) or (b,count) int64 rows in the order of choice.

    Raises:
        ValueError: count or start out of range, or a wrong shape.
    """
    expect_points(points, "points")
    n = points.shape[-2]
    if not 1 <= count <= n:
        raise ValueError(f"cannot choose {count} of {n} points; count must be from 1 to {n}")
    if not 0 <= start < n:
        raise ValueError(f"start is {start}; it must be a row from 0 to {n - 1}")
    return backend(points).farthest_points(points.detach(), count, start)


def downsample(points: Tensor, count: int) -> Tensor:
    """Farthest point sampling from whichever start is fastest; deterministic. Used on clouds.

    Args:
        points: (n,3) float.
        count: how many rows to keep, at least 1; n or more keeps all.

    Returns:
        (min(count, n),) int64 rows, ascending and distinct.

    Raises:
        ValueError: count below 1, or a wrong shape.
    """
    expect_points(points, "points", batched=False)
    n = points.shape[0]
    if count < 1:
        raise ValueError(f"cannot keep {count} points; count must be at least 1")
    if count >= n:
        return torch.arange(n, device=points.device)
    return backend(points).downsample(points.detach(), count)


def nearest_neighbours(points: Tensor, centers: Tensor, k: int) -> Tensor:
    """The k points nearest to each centre, nearest first, by exact distance; ties in any order.

    Args:
        points: (n,3) or (b,n,3) float.
        centers: (l,3) or (b,l,3) float; a centre that is one of the points finds itself.
        k: neighbours per centre, 1 to n.

    Returns:
        (l,k) or (b,l,k) int64 rows of `points`.

    Raises:
        ValueError: k out of range, or shapes that do not match.
    """
    expect_pair(points, centers)
    n = points.shape[-2]
    if not 1 <= k <= n:
        raise ValueError(f"cannot find {k} neighbours among {n} points; k must be from 1 to {n}")
    return backend(points).nearest_neighbours(points.detach(), centers.detach(), k)


def nearest_point(queries: Tensor, points: Tensor) -> Tensor:
    """The row of the point nearest to each query, by exact distance; any one in a tie.

    Args:
        queries: (q,3) float.
        points: (m,3) float, m at least 1.

    Returns:
        (q,) int64 rows of `points`.

    Raises:
        ValueError: no points, or a wrong shape.
    """
    expect_points(queries, "queries", batched=False)
    expect_points(points, "points", batched=False)
    if points.shape[0] == 0:
        raise ValueError("there is no nearest point among 0 points")
    return backend(points).nearest_point(queries.detach(), points.detach())


def interpolation_table(points: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Each point's 3 nearest centres, with weights proportional to 1 / max(d^2, 1e-8), sum 1.

    Args:
        points: (n,3) or (b,n,3) float.
        centers: (l,3) or (b,l,3) float, l at least 1; all of them are used if l < 3.

    Returns:
        index (n,t) or (b,n,t) int64 and weight of the same shape, float32, with t = min(3, l);
        nearest first.

    Raises:
        ValueError: no centres, or shapes that do not match.
    """
    expect_pair(points, centers)
    if centers.shape[-2] == 0:
        raise ValueError("cannot interpolate from 0 centres")
    return backend(points).interpolation_table(points.detach(), centers.detach())


def interpolate(features: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Interpolates features with an `interpolation_table`. Differentiable in the features.

    Args:
        features: (l,d), (b,l,d) or (b,m,l,d), any float type.
        index: int64, (n,t) shared by all leading dimensions, or (b,n,t) for features of b clouds.
        weight: float, same shape as index; cast to the features' type.

    Returns:
        (..,n,d) in the features' type, with the features' leading dimensions.

    Raises:
        ValueError: shapes that do not match.
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
    """Normalises points to the unit sphere: (points - mean) / greatest distance from the mean.

    Mean and distance are computed in float64, so that coordinates around 5e5 m lose no precision.
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

    A voxel contains the points with the same floor(coordinate / size). Ties go to the lowest row.

    Args:
        points: (n,3) float.
        size: edge of a voxel, in the unit of the points, above 0.

    Returns:
        int64 rows, ascending.

    Raises:
        ValueError: size not above 0, or so small that voxel indices do not fit into 63 bits.
    """
    expect_points(points, "points", batched=False)
    if not size > 0:
        raise ValueError(f"the voxel size is {size}; it must be above 0")
    return backend(points).voxel_rows(points.detach(), size)


def decode(
    data: Any, layout: CloudLayout, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor | None]:
    """Decodes coordinates and colours from a buffer in the sensor's format.

    Fields x, y, z must be FLOAT32 or FLOAT64; if mixed, all become float64. Colours are read from
    `rgb` or `rgba` (FLOAT32, UINT32 or INT32, holding 0xAARRGGBB; alpha is dropped), else from `r`,
    `g`, `b` or `red`, `green`, `blue`, UINT8 each; colours of any other type are ignored. The
    buffer is neither copied as a whole nor modified.

    Args:
        data: any contiguous buffer: bytes, array.array, uint8 array.
        layout: the fields of a point and where they are in the data.
        device: where the result is wanted.

    Returns:
        xyz (n,3) float32, or float64 if a coordinate field is FLOAT64; rgb (n,3) uint8 or None.

    Raises:
        CloudError: a layout without x, y, z, or data shorter than the layout.
    """
    return backend(torch.device(device)).decode(data, layout, torch.device(device))


def decode_valid(
    data: Any, layout: CloudLayout, farthest: float, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """Decodes only the valid points of a buffer, with the mapping to and from its rows.

    A point is valid if no coordinate is NaN or beyond `farthest`, and not all three are 0.

    Args:
        data, layout, device: see `decode`.
        farthest: greatest magnitude of a coordinate, in the unit of the points.

    Returns:
        xyz (m,3) and rgb (m,3) or None, as `decode` returns them; rows (m,) int64, ascending: their
        indices in the buffer; places (n,) int32: index of each of the buffer's points among the
        valid ones, 0 to m-1, or -1.

    Raises:
        CloudError: a layout without x, y, z, or data shorter than the layout.
    """
    return backend(torch.device(device)).decode_valid(data, layout, farthest, torch.device(device))


def mask_rows(masks: Tensor, nearest: Tensor) -> tuple[Tensor, Tensor]:
    """The source points of each mask: those whose nearest kept point is in it.

    Args:
        masks: (c,m) bool over kept points.
        nearest: (n,) int32, index (0 to m-1) of the kept point nearest to each source point, or -1
            for a source point that is in no mask.

    Returns:
        rows (s,) int32: source rows, ascending within each mask, mask after mask; starts (c+1,)
        int64: mask i has rows[starts[i]:starts[i+1]].

    Raises:
        ValueError: a wrong shape or type.
    """
    expect_masks(masks)
    if nearest.dim() != 1 or nearest.dtype != torch.int32:
        raise ValueError(f"nearest is {tuple(nearest.shape)} {nearest.dtype}; it takes (n,) int32")
    return backend(masks).mask_rows(masks, nearest)


def cleaned_masks(masks: Tensor, links: Tensor, share: float) -> Tensor:
    """Removes specks from masks and fills their holes.

    A piece is a set of points, all in the mask or all outside, connected by links in either
    direction. Pieces of a mask smaller than `share` of its largest one are specks and are removed.
    Pieces outside the result that are as small, and linked to the mask, are holes and are filled.
    Exact: the same on every device.

    Args:
        masks: (c,m) bool over points.
        links: (m,k) int64 rows 0 to m-1, the points that each is linked to; its own row is no link.
        share: greatest size of specks and holes, as a share of the mask's largest piece, 0 to 1.

    Returns:
        (c,m) bool.

    Raises:
        ValueError: a wrong shape or type.
    """
    expect_masks(masks)
    if links.dim() != 2 or links.dtype != torch.int64 or len(links) != masks.shape[1]:
        raise ValueError(
            f"links are {tuple(links.shape)} {links.dtype}; masks {tuple(masks.shape)} take "
            f"({masks.shape[1]},k) int64"
        )
    return backend(masks).cleaned_masks(masks, links, share)
