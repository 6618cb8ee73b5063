"""The operations by CUDA kernels (`kernels/*.cu`): what they take, in which order they run.

Contracts are in `pointsam_model.ops`; how each kernel works is told in its file. Everything is
launched on PyTorch's current stream and nothing here waits for the device, but for results whose
size depends on their content. The same input gives the same bits each time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from pointsam_model.ops import torch_ops
from pointsam_model.ops.buckets import Buckets, in_buckets
from pointsam_model.ops.interpolation import interpolate
from pointsam_model.ops.launching import Argument, CupyLauncher, Launcher
from pointsam_model.ops.torch_ops import decode, relative, relative_pair, voxel_rows

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

HELD = 4  # points a thread holds in registers, as in farthest_points.cu
WARP = 32
MOST_NEIGHBOURS, NEIGHBOURS_BLOCK = 512, 128  # as in neighbours.cu


@lru_cache(maxsize=1)
def launcher() -> Launcher:
    """What runs the kernels; tests put another in its place."""
    return CupyLauncher()


def farthest_points(points: Tensor, count: int, start: int) -> Tensor:
    """Ties: the lowest row. Distances are float32: ((dx^2 + dy^2) + dz^2), each step rounded."""
    clouds = relative(points if points.dim() == 3 else points.unsqueeze(0)).contiguous()
    b, n, _ = clouds.shape
    rows = torch.empty(b, count, dtype=torch.int64, device=points.device)
    used = torch.zeros(b, n, dtype=torch.uint8, device=points.device)
    if n <= HELD * launcher().threads:
        threads = -(-n // (HELD * WARP)) * WARP
        numbers = np.int32(n), np.int32(count), np.int32(start)
        launcher().launch("farthest_of_few", (b, 1), threads, clouds, *numbers, rows, used)
    else:
        for cloud, chosen, flags in zip(clouds, rows, used, strict=True):
            _farthest_of_many(cloud, count, start, chosen, flags)
    return rows if points.dim() == 3 else rows[0]


def _farthest_of_many(cloud: Tensor, count: int, start: int, rows: Tensor, used: Tensor) -> None:
    run = launcher()
    buckets = in_buckets(cloud, run)
    n, capacity = len(cloud), HELD * run.threads
    rounds = torch.zeros(4, dtype=torch.int64, device=cloud.device)
    keys = torch.empty(len(buckets.boxes), dtype=torch.int64, device=cloud.device)
    run.launch(
        "farthest_of_buckets",
        (run.blocks_at_once(cloud.device), 1),
        run.threads,
        cloud,
        buckets.points,
        buckets.boxes,
        np.int32(n),
        np.int32(count),
        np.int32(start),
        cloud.new_empty(n),
        keys,
        cloud.new_empty(capacity, 4),
        cloud.new_empty(capacity, 4),
        cloud.new_empty(capacity),
        rounds,
        rows,
        used,
        together=True,
    )


def downsample(points: Tensor, count: int) -> Tensor:
    return farthest_points(points, count, 0).sort().values


def nearest_neighbours(points: Tensor, centers: Tensor, k: int) -> Tensor:
    """Ties: the lowest row. More than 512 neighbours are sought by plain PyTorch."""
    if k > MOST_NEIGHBOURS:
        return torch_ops.nearest_neighbours(points, centers, k)
    return _per_cloud(lambda cloud, at: _neighbours(cloud, at, k), points, centers)


def _neighbours(points: Tensor, centers: Tensor, k: int) -> Tensor:
    points, centers = (each.contiguous() for each in relative_pair(points, centers))
    buckets = in_buckets(points, launcher())
    rows = torch.empty(len(centers), k, dtype=torch.int64, device=points.device)
    room = 1 << (k + NEIGHBOURS_BLOCK - 1).bit_length()
    launcher().launch(
        "nearest_many",
        (len(centers), 1),
        NEIGHBOURS_BLOCK,
        *_searched(buckets),
        centers,
        np.int32(k),
        np.int32(room),
        rows,
    )
    return rows


def nearest_point(queries: Tensor, points: Tensor) -> Tensor:
    """Ties: the lowest row."""
    rows = torch.empty(len(queries), dtype=torch.int64, device=points.device)
    if len(queries) > 0:
        among, at = _both_in_buckets(points, queries)
        arguments = *_asking(at), *_searched(among), rows
        launcher().launch("nearest_one", _blocks(len(queries)), 128, *arguments)
    return rows


def interpolation_table(points: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Ties: the lowest row."""
    if points.dim() == 3:
        tables = [interpolation_table(*pair) for pair in zip(points, centers, strict=True)]
        return torch.stack([one[0] for one in tables]), torch.stack([one[1] for one in tables])
    t = min(3, len(centers))
    index = torch.empty(len(points), t, dtype=torch.int64, device=points.device)
    weight = torch.empty(len(points), t, dtype=torch.float32, device=points.device)
    if len(points) > 0:
        among, at = _both_in_buckets(centers, points)
        arguments = *_asking(at), *_searched(among), np.int32(t), index, weight
        launcher().launch("nearest_three", _blocks(len(points)), 128, *arguments)
    return index, weight


def _both_in_buckets(points: Tensor, queries: Tensor) -> tuple[Buckets, Buckets]:
    points, queries = relative_pair(points, queries)
    run = launcher()
    return in_buckets(points.contiguous(), run), in_buckets(queries.contiguous(), run)


def _searched(buckets: Buckets) -> tuple[Argument, ...]:
    size = np.int32(buckets.size)
    return buckets.points, buckets.boxes, buckets.codes, buckets.low, buckets.high, size


def _asking(buckets: Buckets) -> tuple[Argument, ...]:
    return buckets.points, buckets.boxes, np.int32(buckets.size)


def _blocks(n: int, threads: int = 128) -> tuple[int, int]:
    return -(-n // threads), 1


def _per_cloud(function: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    """`function` of each cloud of a batch, or of the only one."""
    if batches[0].dim() == 2:
        return function(*batches)
    return torch.stack([function(*clouds) for clouds in zip(*batches, strict=True)])
