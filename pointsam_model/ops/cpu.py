"""The operations on a CPU, with fpsample's samplers, SciPy's KD-tree and NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import fpsample
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree  # type: ignore[import-untyped]
from torch import Tensor

from pointsam_model.ops import decoding
from pointsam_model.ops.layout import CloudLayout
from pointsam_model.ops.torch_ops import TorchOps

# Below this many neighbours sought in all, starting threads costs more than they save.
THREADED = 8192
# Points in a leaf of the search tree: few for a few neighbours, more where many are sought. A tree
# that halves space instead of points is built faster, and is no slower to search for many.
LEAF, LEAF_FOR_MANY, MANY = 8, 20, 16
LARGEST_KEY = 2**62


class CpuOps(TorchOps):
    """The operations that have a faster CPU implementation than plain PyTorch."""

    def farthest_points(self, points: Tensor, count: int, start: int) -> Tensor:
        def sample(cloud: NDArray[Any]) -> NDArray[Any]:
            rows = fpsample.fps_sampling(_single(cloud), count, start_idx=start).astype(np.int64)
            return _each_once(rows, len(cloud))

        return _per_cloud(sample, points)

    def downsample(self, points: Tensor, count: int) -> Tensor:
        cloud = _single(points.numpy())
        height = _tree_height(len(cloud))
        rows = fpsample.bucket_fps_kdline_sampling(cloud, count, height, start_idx=0)
        return torch.from_numpy(np.sort(_each_once(rows.astype(np.int64), len(cloud))))

    def nearest_neighbours(self, points: Tensor, centers: Tensor, k: int) -> Tensor:
        return _per_cloud(lambda cloud, at: _query(cloud, at, k)[1], points, centers)

    def nearest_point(self, queries: Tensor, points: Tensor) -> Tensor:
        among, at = points.numpy(), queries.numpy()
        distinct = _distinct_rows(among) if len(at) >= THREADED else None
        if distinct is None:
            return torch.from_numpy(_query(among, at, 1)[1][:, 0])
        return torch.from_numpy(distinct[_query(among[distinct], at, 1)[1][:, 0]])

    def interpolation_table(self, points: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
        nearest = min(3, centers.shape[-2])

        def table(cloud: NDArray[Any], at: NDArray[Any]) -> NDArray[Any]:
            distance, index = _query(at, cloud, nearest)
            return np.stack((index, distance.view(np.int64)))

        packed = _per_cloud(table, points, centers)
        index, distance = packed.unbind(-3)
        weight = 1 / distance.contiguous().view(torch.float64).square().clamp_min(1e-8)
        return index.contiguous(), (weight / weight.sum(-1, keepdim=True)).float()

    def voxel_rows(self, points: Tensor, size: float) -> Tensor:
        exact = points.numpy().astype(np.float64)
        if len(exact) == 0:
            return torch.empty(0, dtype=torch.int64)
        cells = np.floor(exact / size)
        if not np.abs(cells).max() < LARGEST_KEY:
            raise ValueError(f"voxels of {size} are too small for coordinates as large as these")
        key = _voxel_keys(cells.astype(np.int64))
        order = np.argsort(key, kind="stable")
        sorted_key = key[order]
        first = np.flatnonzero(np.concatenate(([True], sorted_key[1:] != sorted_key[:-1])))
        members = np.diff(first, append=len(key))
        exact = exact[order]
        mean = np.add.reduceat(exact, first) / members[:, None]
        off = np.square(exact - np.repeat(mean, members, axis=0)).sum(1).astype(np.float32)
        nearest = np.flatnonzero(off == np.repeat(np.minimum.reduceat(off, first), members))
        voxel = np.repeat(np.arange(len(first)), members)[nearest]
        _, lowest = np.unique(voxel, return_index=True)
        return torch.from_numpy(np.sort(order[nearest[lowest]]))

    def mask_rows(self, masks: Tensor, nearest: Tensor) -> tuple[Tensor, Tensor]:
        near = nearest.numpy()
        # The added column is False: index -1, of points in no mask, selects it.
        rows = [np.flatnonzero(np.append(mask, False)[near]) for mask in masks.numpy()]
        starts = np.cumsum([0, *map(len, rows)])
        together = np.concatenate([*rows, np.empty(0, np.int64)]).astype(np.int32)
        return torch.from_numpy(together), torch.from_numpy(starts)

    def cleaned_masks(self, masks: Tensor, links: Tensor, share: float) -> Tensor:
        start, end, bounds = _links_once(links.numpy())

        def pieces_of(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
            """(m,) the label of each point's piece, and whether each link is within a piece."""
            fits = mask[start] == mask[end]
            ends = end[fits]
            before = np.concatenate(([0], np.cumsum(fits, dtype=np.int32)))[bounds]
            graph = csr_matrix((np.ones(len(ends)), ends, before), shape=(len(mask),) * 2)
            return connected_components(graph, directed=False)[1], fits

        results = masks.numpy().copy()
        for mask, result in zip(masks.numpy(), results, strict=True):
            pieces, fits = pieces_of(mask)
            sizes = np.bincount(pieces)[pieces]
            least = share * sizes[mask].max(initial=0)
            result &= sizes >= least
            if not np.array_equal(result, mask):
                pieces, fits = pieces_of(result)
                sizes = np.bincount(pieces)[pieces]
            bordering = np.zeros(len(mask), np.bool_)
            bordering[pieces[start[~fits]]] = bordering[pieces[end[~fits]]] = True
            # A small outside piece that does not border on the mask is no hole of it.
            result |= ~result & (sizes < least) & bordering[pieces]
        return torch.from_numpy(results)

    def connected_parts(
        self, start: Tensor, end: Tensor, cut: Tensor, count: int, strictness: Sequence[float]
    ) -> Tensor:
        ends = start.numpy(), end.numpy()
        parts = np.empty((len(strictness), count), np.int64)
        rows = np.arange(count)
        for each, of_points in zip(strictness, parts, strict=True):
            joins = cut.numpy() < np.float32(each)
            links = np.ones(np.count_nonzero(joins), np.bool_), tuple(each[joins] for each in ends)
            graph = csr_matrix(links, shape=(count, count))
            numbers = connected_components(graph, directed=False)[1]
            lowest = np.empty(count, np.int64)
            lowest[numbers[::-1]] = rows[::-1]  # the lowest row of each is written last
            of_points[:] = lowest[numbers]
        return torch.from_numpy(parts)

    def summed_rows(self, values: Tensor, rows: Tensor, used: Tensor | None) -> Tensor:
        """A sparse matrix product, which reads each row and writes each sum only once."""
        q, k = rows.shape
        weights = np.ones(q * k) if used is None else used.numpy().reshape(-1).astype(np.float64)
        matrix = weights, rows.numpy().reshape(-1), np.arange(q + 1) * k
        return torch.from_numpy(csr_matrix(matrix, shape=(q, len(values))) @ values.numpy())

    def decode(
        self, data: Any, layout: CloudLayout, device: torch.device
    ) -> tuple[Tensor, Tensor | None]:
        return decoding.decode(data, layout, device)


def _links_once(
    links: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Links (m,k) as sorted, distinct pairs from lower to higher rows, and each row's start."""
    m = len(links)
    rows = np.arange(m)[:, None]
    key = (np.minimum(links, rows) * m + np.maximum(links, rows))[links != rows]
    key.sort()
    low, high = np.divmod(key[np.diff(key, prepend=-1) > 0], m)
    bounds = np.concatenate(([0], np.cumsum(np.bincount(low, minlength=m))))
    return low.astype(np.int32), high.astype(np.int32), bounds


def _voxel_keys(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """A unique key (n,) for each distinct row of cells (n,3)."""
    cells = cells - cells.min(0)
    x, y, z = (int(extent) + 1 for extent in cells.max(0))
    if x * y * z < LARGEST_KEY:
        return np.asarray((cells[:, 0] * y + cells[:, 1]) * z + cells[:, 2])
    return np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)


def _distinct_rows(points: NDArray[Any]) -> NDArray[np.int64] | None:
    """Rows of the distinct points; None if nearly all points are distinct.

    A tree cannot split points that coincide: thousands in one leaf make every search a scan.
    """
    if len(np.unique(points[:, 0])) > 0.9 * len(points):
        return None
    whole = np.dtype((np.void, 3 * points.itemsize))
    _, rows = np.unique(np.ascontiguousarray(points).view(whole)[:, 0], return_index=True)
    return rows


def _query(
    points: NDArray[Any], queries: NDArray[Any], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distances and rows of the k nearest points, both (q,k), in double precision."""
    workers = torch.get_num_threads() if len(queries) * k >= THREADED else 1
    many = k >= MANY
    tree = cKDTree(points, LEAF_FOR_MANY if many else LEAF, balanced_tree=not many)
    distance, index = tree.query(queries, k=k, workers=workers)
    distance, index = np.asarray(distance), np.asarray(index)
    return distance.reshape(-1, k), index.astype(np.int64, copy=False).reshape(-1, k)


def _per_cloud(function: Callable[..., NDArray[Any]], *batches: Tensor) -> Tensor:
    """Applies `function` to each cloud of a batch, or to a single cloud."""
    arrays = [batch.numpy() for batch in batches]
    if arrays[0].ndim == 2:
        return torch.from_numpy(function(*arrays))
    return torch.from_numpy(np.stack([function(*clouds) for clouds in zip(*arrays, strict=True)]))


def _single(cloud: NDArray[Any]) -> NDArray[np.float32]:
    """The cloud in float32; if float64, relative to its first point, so no precision is lost."""
    if cloud.dtype == np.float32:
        return cloud
    return (cloud - cloud[:1]).astype(np.float32)


def _each_once(rows: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Distinct rows: repetitions are dropped, and unused rows appended in order instead.

    The samplers repeat a row only when every point left coincides with a chosen one, so any unused
    row is as good as another.
    """
    _, first = np.unique(rows, return_index=True)
    if len(first) == len(rows):
        return rows
    distinct = rows[np.sort(first)]
    unused = np.setdiff1d(np.arange(n), distinct, assume_unique=True)
    return np.concatenate((distinct, unused[: len(rows) - len(distinct)]))


def _tree_height(n: int) -> int:
    """Height of the sampler's tree; about 1,000 points per leaf were fastest from 3k to 300k."""
    return min(max(int(np.log2(max(n, 2) / 1000 + 1)), 1), 9)
