"""Reference implementations for tests: each operation in a few lines, dense and in float64."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pointsam_model.ops.layout import CloudLayout


def squared_distances(queries: Tensor, points: Tensor) -> Tensor:
    """(q,n) float64, of queries (q,3) and points (n,3)."""
    return (queries.double()[:, None] - points.double()[None]).square().sum(-1)


def farthest_points(points: Tensor, count: int, start: int = 0) -> Tensor:
    """(count,) rows; ties go to the lowest row."""
    rows = [start]
    while len(rows) < count:
        left = squared_distances(points, points[rows]).amin(1)
        left[rows] = -1
        rows.append(int(left.argmax()))
    return torch.tensor(rows)


def greedy_slack(points: Tensor, rows: Tensor) -> float:
    """Greatest shortfall of a chosen row's distance against the farthest point left.

    0 for every greedy farthest point sequence, however ties are broken; in units of distance.
    """
    slack = 0.0
    left = torch.full((len(points),), torch.inf, dtype=torch.float64)
    for row in rows.tolist():
        if left.isfinite().all():
            slack = max(slack, float(left.amax().sqrt() - left[row].sqrt()))
        left = torch.minimum(left, squared_distances(points, points[row : row + 1])[:, 0])
    return slack


def nearest_distances(points: Tensor, centers: Tensor, k: int) -> Tensor:
    """(l,k) float64 distances of the k nearest points, ascending; independent of ties."""
    return squared_distances(centers, points).sort(1).values[:, :k].sqrt()


def interpolation_weights(distances: Tensor) -> Tensor:
    """(n,t) interpolation weights of centres at distances (n,t)."""
    weight = 1 / distances.square().clamp_min(1e-8)
    return weight / weight.sum(1, keepdim=True)


def interpolate(features: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """(n,d) interpolated features, from features (l,d) and a table (n,t)."""
    return (features[index] * weight[..., None]).sum(1)


def normalise(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates, centre and scale of points (n,3)."""
    center = points.double().mean(0)
    scale = (points.double() - center).norm(dim=1).max()
    return (points.double() - center) / scale, center, scale


def voxel_rows(points: Tensor, size: float) -> list[int]:
    """Rows of the points nearest to their voxel's mean."""
    voxels: dict[tuple[int, ...], list[int]] = {}
    for row, cell in enumerate(torch.floor(points.double() / size).long().tolist()):
        voxels.setdefault(tuple(cell), []).append(row)
    rows = []
    for members in voxels.values():
        inside = points[members].double()
        off = (inside - inside.mean(0)).square().sum(1).float()
        rows.append(members[int(off.argmin())])
    return sorted(rows)


def decode(data: bytes, layout: CloudLayout) -> tuple[list[list[float]], list[list[int]] | None]:
    """Coordinates and colours, decoded point by point with the standard library."""
    order = ">" if layout.big_endian else "<"
    formats = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 8: "d"}
    xyz, rgb = [], []
    for row in range(layout.height):
        for column in range(layout.width):
            at = row * layout.row_step + column * layout.point_step
            point = {
                f.name: struct.unpack_from(order + formats[f.datatype], data, at + f.offset)[0]
                for f in layout.fields
            }
            raw = {f.name: data[at + f.offset : at + f.offset + 4] for f in layout.fields}
            xyz.append([point["x"], point["y"], point["z"]])
            for name in ("rgb", "rgba"):
                if name in point:
                    color = int.from_bytes(raw[name], "big" if layout.big_endian else "little")
                    rgb.append([color >> 16 & 255, color >> 8 & 255, color & 255])
                    break
            else:
                for names in (("r", "g", "b"), ("red", "green", "blue")):
                    if names[0] in point:
                        rgb.append([point[name] for name in names])
                        break
    return xyz, rgb or None


def valid_rows(xyz: list[list[float]], farthest: float) -> list[int]:
    """Rows of the valid points."""
    return [
        row
        for row, point in enumerate(xyz)
        if all(abs(value) <= farthest for value in point) and any(value != 0 for value in point)
    ]


def connected_pieces(masks: Tensor, links: Tensor) -> tuple[list[list[int]], list[list[bool]]]:
    """The lowest row of each point's piece, by flooding, and whether the point borders."""
    pairs = [(row, end) for row, ends in enumerate(links.tolist()) for end in ends]
    pieces, bordering = [], []
    for mask in masks.tolist():
        lowest = list(range(len(mask)))
        while any(lowest[a] != lowest[b] for a, b in pairs if mask[a] == mask[b]):
            for a, b in pairs:
                if mask[a] == mask[b]:
                    lowest[a] = lowest[b] = min(lowest[a], lowest[b])
        pieces.append(lowest)
        crossing = {row for pair in pairs if mask[pair[0]] != mask[pair[1]] for row in pair}
        bordering.append([row in crossing for row in range(len(mask))])
    return pieces, bordering


def cleaned_masks(masks: Tensor, links: Tensor, share: float) -> list[list[bool]]:
    """Masks without specks and holes, by counting the points of each piece."""
    least, whole = [], []
    for mask, pieces in zip(masks.tolist(), connected_pieces(masks, links)[0], strict=True):
        sizes = [pieces.count(each) for each in pieces]
        own = [size for size, each in zip(sizes, mask, strict=True) if each]
        least.append(share * max(own, default=0))
        whole.append([each and size >= least[-1] for size, each in zip(sizes, mask, strict=True)])
    outside = connected_pieces(torch.tensor(whole).reshape(masks.shape), links)
    cleaned = []
    for mask, pieces, bordering, enough in zip(whole, *outside, least, strict=True):
        touching = {piece for piece, borders in zip(pieces, bordering, strict=True) if borders}
        holes = [each in touching and pieces.count(each) < enough for each in pieces]
        cleaned.append([a or b for a, b in zip(mask, holes, strict=True)])
    return cleaned


def mask_rows(masks: Tensor, nearest: Tensor) -> list[list[int]]:
    """Source rows of each mask."""
    kept = list(enumerate(nearest.tolist()))
    return [[row for row, near in kept if near >= 0 and mask[near]] for mask in masks.tolist()]


def moments(points: Tensor, neighbours: Tensor) -> Tensor:
    """Moments (m,10) float64 of each row's neighbours (m,k)."""
    sets = [[points[row].double().tolist() for row in rows] for rows in neighbours.tolist()]
    products = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    return torch.tensor(
        [
            [
                len(of_set),
                *(sum(at[axis] for at in of_set) for axis in range(3)),
                *(sum(at[one] * at[other] for at in of_set) for one, other in products),
            ]
            for of_set in sets
        ],
        dtype=torch.float64,
    ).view(-1, 10)


def principal_axes(points: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """Axes (m,3,3) in columns and variances (m,3) ascending, by a general solver in float64."""
    around = points.double().numpy()[neighbours.numpy()]
    around = around - around.mean(1, keepdims=True)
    covariance = around.transpose(0, 2, 1) @ around / around.shape[1]
    variances, axes = np.linalg.eigh(covariance)
    return torch.from_numpy(axes), torch.from_numpy(variances)


def summed_rows(values: Tensor, rows: Tensor, used: Tensor | None) -> list[list[float]]:
    """Sums of rows, one number at a time."""
    counts = (torch.ones_like(rows) if used is None else used.long()).tolist()
    sums = []
    for of_place, how_often in zip(rows.tolist(), counts, strict=True):
        total = [0.0] * values.shape[1]
        for row, count in zip(of_place, how_often, strict=True):
            total = [a + count * b for a, b in zip(total, values[row].tolist(), strict=True)]
        sums.append(total)
    return sums


def connected_parts(
    start: Tensor, end: Tensor, cut: Tensor, count: int, strictness: Sequence[float]
) -> list[list[int]]:
    """The lowest row of each point's part, by flooding along edges."""
    parts = []
    for each in torch.tensor(strictness, dtype=torch.float32):
        edges = list(zip(start[cut < each].tolist(), end[cut < each].tolist(), strict=True))
        lowest = list(range(count))
        while any(lowest[a] != lowest[b] for a, b in edges):
            for a, b in edges:
                lowest[a] = lowest[b] = min(lowest[a], lowest[b])
        parts.append(lowest)
    return parts
