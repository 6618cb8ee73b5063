"""The operations as CUDA kernels (`kernels/*.cu`): their arguments and the order they run in.

Each file explains how its kernels work. Everything is launched on PyTorch's current stream, and the
host waits for the device only where the size of a result depends on its content. Results are
bitwise reproducible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointsam_model.ops import kernel_surfaces
from pointsam_model.ops.buckets import Buckets, in_buckets
from pointsam_model.ops.decoding import (
    buffer_bytes,
    color_offsets,
    coordinate_fields,
    float_type,
    is_swapped,
)
from pointsam_model.ops.launching import Argument, Launcher
from pointsam_model.ops.layout import SIZES, CloudLayout
from pointsam_model.ops.torch_ops import TorchOps, relative, relative_pair

HELD = 4  # points per thread, in registers; must match farthest_points.cu
WARP = 32
MOST_NEIGHBOURS, NEIGHBOURS_BLOCK = 512, 128  # must match neighbours.cu
EACH, BLOCK = 4, 256  # items per thread and threads per block; must match decode.cu and masks.cu
PARTS = 64  # most blocks that share a cloud's sums; must match normalise.cu


class KernelOps(TorchOps):
    """The operations for which there is a CUDA kernel.

    Args:
        launcher: runs the kernels; tests pass one that runs the same sources on the CPU.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    def farthest_points(self, points: Tensor, count: int, start: int) -> Tensor:
        """Ties: the lowest row. Distances are float32 ((dx^2 + dy^2) + dz^2), without FMA."""
        clouds = relative(points if points.dim() == 3 else points.unsqueeze(0)).contiguous()
        b, n, _ = clouds.shape
        rows = torch.empty(b, count, dtype=torch.int64, device=points.device)
        used = torch.zeros(b, n, dtype=torch.uint8, device=points.device)
        if n <= HELD * self._launcher.threads:
            threads = -(-n // (HELD * WARP)) * WARP
            numbers = np.int32(n), np.int32(count), np.int32(start)
            self._launcher.launch("farthest_of_few", (b, 1), threads, clouds, *numbers, rows, used)
        else:
            for cloud, chosen, flags in zip(clouds, rows, used, strict=True):
                self._farthest_of_many(cloud, count, start, chosen, flags)
        return rows if points.dim() == 3 else rows[0]

    def _farthest_of_many(
        self, cloud: Tensor, count: int, start: int, rows: Tensor, used: Tensor
    ) -> None:
        run = self._launcher
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

    def nearest_neighbours(self, points: Tensor, centers: Tensor, k: int) -> Tensor:
        """Ties: the lowest row. Plain PyTorch finds more than 512 neighbours."""
        if k > MOST_NEIGHBOURS:
            return super().nearest_neighbours(points, centers, k)
        return _per_cloud(lambda cloud, at: self._neighbours(cloud, at, k), points, centers)

    def _neighbours(self, points: Tensor, centers: Tensor, k: int) -> Tensor:
        points, centers = (each.contiguous() for each in relative_pair(points, centers))
        buckets = in_buckets(points, self._launcher)
        rows = torch.empty(len(centers), k, dtype=torch.int64, device=points.device)
        room = 1 << (k + NEIGHBOURS_BLOCK - 1).bit_length()
        self._launcher.launch(
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

    def nearest_point(self, queries: Tensor, points: Tensor) -> Tensor:
        """Ties: the lowest row."""
        rows = torch.empty(len(queries), dtype=torch.int64, device=points.device)
        if len(queries) > 0:
            among, at = self._both_in_buckets(points, queries)
            arguments = *_asking(at), *_searched(among), rows
            self._launcher.launch("nearest_one", _blocks(len(queries)), 128, *arguments)
        return rows

    def interpolation_table(self, points: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
        """Ties: the lowest row."""
        if points.dim() == 3:
            tables = [self.interpolation_table(*pair) for pair in zip(points, centers, strict=True)]
            return torch.stack([one[0] for one in tables]), torch.stack([one[1] for one in tables])
        t = min(3, len(centers))
        index = torch.empty(len(points), t, dtype=torch.int64, device=points.device)
        weight = torch.empty(len(points), t, dtype=torch.float32, device=points.device)
        if len(points) > 0:
            among, at = self._both_in_buckets(centers, points)
            arguments = *_asking(at), *_searched(among), np.int32(t), index, weight
            self._launcher.launch("nearest_three", _blocks(len(points)), 128, *arguments)
        return index, weight

    def _both_in_buckets(self, points: Tensor, queries: Tensor) -> tuple[Buckets, Buckets]:
        points, queries = relative_pair(points, queries)
        run = self._launcher
        return in_buckets(points.contiguous(), run), in_buckets(queries.contiguous(), run)

    def normalise(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        clouds = points if points.dim() == 3 else points.unsqueeze(0)
        if clouds.dtype not in (torch.float32, torch.float64):
            clouds = clouds.float()
        clouds = clouds.contiguous()
        b, n, _ = clouds.shape
        parts = min(-(-n // BLOCK), PARTS)
        sums = torch.empty(b, parts, 3, dtype=torch.float64, device=points.device)
        squares = torch.empty(b, parts, dtype=torch.float64, device=points.device)
        center = torch.empty(b, 3, dtype=torch.float64, device=points.device)
        scale = torch.empty(b, dtype=torch.float64, device=points.device)
        coords = torch.empty(b, n, 3, dtype=torch.float32, device=points.device)
        kind = "single" if clouds.dtype == torch.float32 else "double"
        grid, size, run = (parts, b), np.int64(n), self._launcher.launch
        run(f"sum_{kind}", grid, BLOCK, clouds, size, sums)
        run(f"radius_{kind}", grid, BLOCK, clouds, size, sums, center, squares)
        run(f"normalise_{kind}", grid, BLOCK, clouds, size, center, squares, coords, scale)
        return (coords, center, scale) if points.dim() == 3 else (coords[0], center[0], scale[0])

    def voxel_rows(self, points: Tensor, size: float) -> Tensor:
        n = len(points)
        if n == 0:
            return torch.empty(0, dtype=torch.int64, device=points.device)
        device = points.device
        exact = points.double().contiguous()
        greatest = exact.abs().amax()
        slots = 1 << (n + n // 2).bit_length()
        table = torch.full((slots,), -1, dtype=torch.int32, device=device)
        voxels = torch.zeros(slots, 8, dtype=torch.int64, device=device)
        voxels[:, 7] = -1
        slot_of = torch.empty(n, dtype=torch.int64, device=device)
        too_large = torch.zeros(1, dtype=torch.int32, device=device)
        kept = torch.empty(n, dtype=torch.bool, device=device)
        grid, count, run = _blocks(n, BLOCK), np.int64(n), self._launcher.launch
        edge, rooms = np.float64(size), np.int64(slots)
        run(
            "gather_voxels", grid, BLOCK,
            exact, count, edge, greatest, rooms, table, voxels, slot_of, too_large,
        )  # fmt: skip
        run("find_nearest_to_mean", grid, BLOCK, exact, count, greatest, slot_of, voxels)
        run("mark_nearest", grid, BLOCK, count, slot_of, voxels, kept)
        if too_large.item():
            raise ValueError(f"voxels of {size} are too small for coordinates as large as these")
        return kept.nonzero()[:, 0]

    def decode(
        self, data: Any, layout: CloudLayout, device: torch.device
    ) -> tuple[Tensor, Tensor | None]:
        return self._decoded(data, layout, np.inf, device)[:2]

    def decode_valid(
        self, data: Any, layout: CloudLayout, farthest: float, device: torch.device
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        xyz, rgb, valid = self._decoded(data, layout, farthest, device)
        n = len(xyz)
        grid = _blocks(n, EACH * BLOCK)
        counts = torch.empty(grid[0], dtype=torch.int64, device=device)
        kept_xyz, kept_rgb = torch.empty_like(xyz), None if rgb is None else torch.empty_like(rgb)
        rows = torch.empty(n, dtype=torch.int64, device=device)
        places = torch.empty(n, dtype=torch.int32, device=device)
        run, size, words = self._launcher.launch, np.int64(n), np.int32(3 * xyz.itemsize // 4)
        run("count_valid", grid, BLOCK, valid, size, counts)
        ends = counts.cumsum(0)
        run(
            "keep_valid", grid, BLOCK,
            valid, size, ends, xyz, words, _or_null(rgb), kept_xyz, _or_null(kept_rgb), rows,
            places,
        )  # fmt: skip
        m = int(ends[-1])
        return kept_xyz[:m], None if kept_rgb is None else kept_rgb[:m], rows[:m], places

    def _decoded(
        self, data: Any, layout: CloudLayout, farthest: float, device: torch.device
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Coordinates, colours and validity (n,) uint8 of all points."""
        raw = buffer_bytes(data, layout)
        fields, colors = coordinate_fields(layout), color_offsets(layout)
        n = layout.height * layout.width
        double = float_type(fields).itemsize == 8
        xyz = torch.empty(n, 3, dtype=torch.float64 if double else torch.float32, device=device)
        rgb = None if colors is None else torch.empty(n, 3, dtype=torch.uint8, device=device)
        valid = torch.empty(n, dtype=torch.uint8, device=device)
        self._launcher.launch(
            "decode_double" if double else "decode_single",
            _blocks(n, BLOCK),
            BLOCK,
            _sent(raw, device),
            *(np.int64(each) for each in (n, layout.width, layout.point_step, layout.row_step)),
            *(np.int64(field.offset) for field in fields),
            *(np.int32(SIZES[field.datatype]) for field in fields),
            np.int32(is_swapped(layout)),
            *(np.int64(offset) for offset in colors or (-1, -1, -1)),
            np.float64(farthest),
            xyz,
            _or_null(rgb),
            valid,
        )
        return xyz, rgb, valid

    def mask_rows(self, masks: Tensor, nearest: Tensor) -> tuple[Tensor, Tensor]:
        c, m = masks.shape
        n, device = len(nearest), masks.device
        starts = torch.zeros(c + 1, dtype=torch.int64, device=device)
        blocks, _ = _blocks(n, EACH * BLOCK)
        if c * blocks == 0:
            return torch.empty(0, dtype=torch.int32, device=device), starts
        counts = torch.empty(c, blocks, dtype=torch.int64, device=device)
        arguments = masks.contiguous(), np.int64(m), nearest.contiguous(), np.int64(n)
        self._launcher.launch("count_inside", (blocks, c), BLOCK, *arguments, counts)
        ends = counts.view(-1).cumsum(0)
        starts[1:] = ends.view(c, blocks)[:, -1]
        rows = torch.empty(int(ends[-1]), dtype=torch.int32, device=device)
        self._launcher.launch("rows_inside", (blocks, c), BLOCK, *arguments, ends, rows)
        return rows, starts

    def connected_pieces(self, masks: Tensor, links: Tensor) -> tuple[Tensor, Tensor]:
        """`connecting.connected_pieces`, without waiting for the device."""
        (c, m), (_, k) = masks.shape, links.shape
        parents = torch.arange(m, dtype=torch.int32, device=masks.device).repeat(c, 1)
        pieces = torch.empty(c, m, dtype=torch.int64, device=masks.device)
        bordering = torch.zeros(c, m, dtype=torch.bool, device=masks.device)
        blocks, _ = _blocks(m)
        given = masks.contiguous(), links.contiguous(), np.int32(m), np.int32(k)
        self._launcher.launch("join_linked", (blocks, c), 128, *given, parents, bordering)
        self._launcher.launch("find_roots", (blocks, c), 128, parents, np.int32(m), pieces)
        return pieces, bordering

    def principal_axes(self, moments: Tensor) -> tuple[Tensor, Tensor]:
        return kernel_surfaces.principal_axes(moments, self._launcher)

    def connected_parts(
        self, start: Tensor, end: Tensor, cut: Tensor, count: int, strictness: Sequence[float]
    ) -> Tensor:
        return kernel_surfaces.connected_parts(start, end, cut, count, strictness, self._launcher)


def _sent(raw: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Copies bytes to the device through reused pinned memory."""
    if device.type == "cpu":
        return torch.from_numpy(raw if raw.flags.writeable else raw.copy())
    pinned = torch.empty(raw.size, dtype=torch.uint8, pin_memory=True)
    pinned.numpy()[:] = raw
    return pinned.to(device, non_blocking=True)


def _or_null(tensor: Tensor | None) -> Argument:
    return np.int64(0) if tensor is None else tensor


def _searched(buckets: Buckets) -> tuple[Argument, ...]:
    size = np.int32(buckets.size)
    return buckets.points, buckets.boxes, buckets.codes, buckets.low, buckets.high, size


def _asking(buckets: Buckets) -> tuple[Argument, ...]:
    return buckets.points, buckets.boxes, np.int32(buckets.size)


def _blocks(n: int, threads: int = 128) -> tuple[int, int]:
    return -(-n // threads), 1


def _per_cloud(function: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    """Applies `function` to each cloud of a batch, or to a single cloud."""
    if batches[0].dim() == 2:
        return function(*batches)
    return torch.stack([function(*clouds) for clouds in zip(*batches, strict=True)])
