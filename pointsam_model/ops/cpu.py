"""The operations on a CPU, on fpsample's samplers, SciPy's KD-tree and PyTorch.

Contracts are in `pointsam_model.ops`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fpsample
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from pointsam_model.ops.decoding import decode
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

# Below this many queries starting threads costs more than they save.
THREADED_QUERIES = 1024


def farthest_points(points: Tensor, count: int, start: int) -> Tensor:
    def sample(cloud: NDArray[Any]) -> NDArray[Any]:
        rows = fpsample.fps_sampling(_single(cloud), count, start_idx=start).astype(np.int64)
        return _each_once(rows, len(cloud))

    return _per_cloud(sample, points)


def downsample(points: Tensor, count: int) -> Tensor:
    cloud = _single(points.numpy())
    height = _tree_height(len(cloud))
    rows = fpsample.bucket_fps_kdline_sampling(cloud, count, height, start_idx=0)
    return torch.from_numpy(np.sort(_each_once(rows.astype(np.int64), len(cloud))))


def nearest_neighbours(points: Tensor, centers: Tensor, k: int) -> Tensor:
    return _per_cloud(lambda cloud, at: _query(cloud, at, k)[1], points, centers)


def nearest_point(queries: Tensor, points: Tensor) -> Tensor:
    return torch.from_numpy(_query(points.numpy(), queries.numpy(), 1)[1][:, 0])


def interpolation_table(points: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    nearest = min(3, centers.shape[-2])

    def table(cloud: NDArray[Any], at: NDArray[Any]) -> NDArray[Any]:
        distance, index = _query(at, cloud, nearest)
        return np.stack((index, distance.view(np.int64)))

    packed = _per_cloud(table, points, centers)
    index, distance = packed.unbind(-3)
    weight = 1 / distance.contiguous().view(torch.float64).square().clamp_min(1e-8)
    return index.contiguous(), (weight / weight.sum(-1, keepdim=True)).float()


def _query(
    points: NDArray[Any], queries: NDArray[Any], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distances and rows of the k nearest points, both (q,k), in double precision."""
    workers = torch.get_num_threads() if len(queries) >= THREADED_QUERIES else 1
    distance, index = cKDTree(points).query(queries, k=k, workers=workers)
    return distance.reshape(-1, k), index.astype(np.int64, copy=False).reshape(-1, k)


def _per_cloud(function: Callable[..., NDArray[Any]], *batches: Tensor) -> Tensor:
    """`function` of the arrays of each cloud of a batch, or of the only one."""
    arrays = [batch.numpy() for batch in batches]
    if arrays[0].ndim == 2:
        return torch.from_numpy(function(*arrays))
    return torch.from_numpy(np.stack([function(*clouds) for clouds in zip(*arrays, strict=True)]))


def _single(cloud: NDArray[Any]) -> NDArray[np.float32]:
    """The cloud in float32; from double precision relative to its first point, to keep its shape."""
    if cloud.dtype == np.float32:
        return cloud
    return (cloud - cloud[:1]).astype(np.float32)


def _each_once(rows: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Rows without repetitions, the unused ones in order taking the repetitions' places at the end.

    The samplers repeat a row only when every point left coincides with a chosen one, so that any
    unused row is as far as any other.
    """
    _, first = np.unique(rows, return_index=True)
    if len(first) == len(rows):
        return rows
    distinct = rows[np.sort(first)]
    unused = np.setdiff1d(np.arange(n), distinct, assume_unique=True)
    return np.concatenate((distinct, unused[: len(rows) - len(distinct)]))


def _tree_height(n: int) -> int:
    """Height of the sampler's tree; about 1,000 points a bucket was fastest from 3k to 300k."""
    return min(max(int(np.log2(max(n, 2) / 1000 + 1)), 1), 9)
