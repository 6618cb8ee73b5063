"""Reduces a cloud to the points the network sees, on the device that holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointsam_model import ops
from pointsam_model.config.settings import ReductionConfig
from pointsam_model.device.transfer import fetched, sent
from pointsam_model.errors import CloudError

Vector = tuple[float, float, float]

EXACT_WITHIN_M = 1000.0  # float32 resolves 0.06 mm there; farther out points need an origin
FAR_ALONG = 1.5  # distance in widths of the points, from which all are within 2x of the middle
LEAST_POINTS = 3
RIM, RIM_SHARE = 0.93, 0.03  # a ball cuts off a mask with RIM_SHARE beyond RIM of its radius


@dataclass(frozen=True)
class Ball:
    """The ball-shaped part of a cloud that a look covers.

    Attributes:
        center: x, y, z [m], in the cloud's coordinate frame.
        radius: [m].
    """

    center: Vector
    radius: float

    def holds(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(q,) bool: which of (q,3) points [m] lie in the ball."""
        return np.square(points - np.array(self.center)).sum(1) <= self.radius**2

    def cuts_off(self, points: NDArray[np.floating]) -> bool:
        """Whether a mask of points (k,3) [m] reaches the rim and probably continues beyond it."""
        inner = Ball(self.center, RIM * self.radius)
        return bool((~inner.holds(points)).sum() > RIM_SHARE * len(points))


@dataclass(frozen=True)
class SeenPoints:
    """The valid points of a cloud, on one device.

    Attributes:
        xyz: (v,3) float32 or float64 [m].
        rgb: (v,3) uint8 or None.
        rows: (v,) int64, their rows in the source, ascending.
    """

    xyz: Tensor
    rgb: Tensor | None
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def those(self, which: Tensor) -> SeenPoints:
        """The points selected by (v,) bool or (k,) int64 indices."""
        return SeenPoints(
            self.xyz[which], None if self.rgb is None else self.rgb[which], self.rows[which]
        )

    def to(self, device: torch.device) -> SeenPoints:
        """The same points on another device."""
        rgb = None if self.rgb is None else self.rgb.to(device)
        return SeenPoints(self.xyz.to(device), rgb, self.rows.to(device))


@dataclass(frozen=True)
class KeptPoints:
    """The attributes of `ReducedCloud` as tensors on the device; see there."""

    rows: Tensor
    nearest: Tensor
    points: Tensor
    colors: Tensor | None


@dataclass(frozen=True, eq=False)
class ReducedCloud:
    """The kept points, which the network sees, and for every source point the nearest of them.

    Arrays on a GPU are copied to the host on first access.

    Attributes:
        kept: everything below, on the device.
        origin: (3,) float64 [m], subtracted before converting to float32; 0 on axes where all
            points are within 1 km, see `_relative`.
        low, high: (3,) float64 [m], bounding box of the source points that can be in a mask.
        rows: (m,) int64, source rows of the kept points, ascending.
        nearest: (n,) int32, index (0 to m-1) of each source point's nearest kept point; -1 if the
            point is invalid, cropped or out of range, and so never in a mask.
        points: (m,3) float32 [m], kept points minus origin.
        colors: (m,3) uint8 or None.
    """

    kept: KeptPoints
    origin: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def __len__(self) -> int:
        """Number m of kept points."""
        return len(self.kept.rows)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        return fetched(self.kept.rows)[0]

    @cached_property
    def nearest(self) -> NDArray[np.int32]:
        return fetched(self.kept.nearest)[0]

    @cached_property
    def points(self) -> NDArray[np.float32]:
        return fetched(self.kept.points)[0]

    @cached_property
    def colors(self) -> NDArray[np.uint8] | None:
        return None if self.kept.colors is None else fetched(self.kept.colors)[0]


def reduce(
    seen: SeenPoints,
    size: int,
    config: ReductionConfig,
    max_points: int,
    region: Ball | None = None,
    viewpoint: NDArray[np.float64] | None = None,
) -> ReducedCloud:
    """Implements `Cloud.reduce`.

    Args:
        seen: the cloud's valid points.
        size: number of all its points, valid or not.
        config, max_points, region: see `Cloud.reduce`.
        viewpoint: (3,) [m], from where the range is measured; None: the origin.

    Raises:
        CloudError: fewer than 3 distinct points are left; says how many each step left.
    """
    steps = [f"{size} points", f"{len(seen)} of them valid"]
    seen = _inside(seen, config, region, viewpoint, steps)
    low, high = _extent(seen.xyz)
    origin, points = _relative(seen.xyz, low, high)
    kept = _thinned(points, config, config.max_points or max_points, steps)
    chosen = points if kept is None else points[kept]
    if not _has_three_distinct(chosen):
        raise CloudError(
            f"fewer than {LEAST_POINTS} distinct points are left to segment: {', '.join(steps)}"
        )
    nearest = torch.full((size,), -1, dtype=torch.int32, device=points.device)
    rows, colors = seen.rows, seen.rgb
    if kept is None:
        nearest[rows] = torch.arange(len(rows), dtype=torch.int32, device=rows.device)
    else:
        nearest[rows] = _nearest_kept(points, kept).int()
        rows, colors = rows[kept], None if colors is None else colors[kept]
    return ReducedCloud(KeptPoints(rows, nearest, chosen, colors), origin, low, high)


def _inside(
    seen: SeenPoints,
    config: ReductionConfig,
    region: Ball | None,
    viewpoint: NDArray[np.float64] | None,
    steps: list[str],
) -> SeenPoints:
    """The points in the region, the crop box and in range; appends each count to `steps`."""
    if region is not None:
        seen = seen.those(_squares(seen.xyz, region.center) <= region.radius**2)
        steps.append(f"{len(seen)} within {region.radius:g} m of the click")
    if config.crop_min_m or config.crop_max_m:
        inside = torch.ones(len(seen), dtype=torch.bool, device=seen.rows.device)
        for axis, least in enumerate(config.crop_min_m):
            inside &= seen.xyz[:, axis] >= least
        for axis, most in enumerate(config.crop_max_m):
            inside &= seen.xyz[:, axis] <= most
        seen = seen.those(inside)
        steps.append(f"{len(seen)} in the crop box")
    if config.min_range_m > 0 or config.max_range_m > 0:
        squared = _squares(seen.xyz, (0.0, 0.0, 0.0) if viewpoint is None else viewpoint)
        inside = squared >= config.min_range_m**2
        if config.max_range_m > 0:
            inside &= squared <= config.max_range_m**2
        seen = seen.those(inside)
        steps.append(f"{len(seen)} in range")
    return seen


def _squares(xyz: Tensor, place: Sequence[float] | NDArray[np.float64]) -> Tensor:
    """(v,) float64 squared distances [m^2] of points (v,3) to a position (3,)."""
    off = [(xyz[:, axis].double() - float(middle)).square() for axis, middle in enumerate(place)]
    return off[0] + off[1] + off[2]


def _extent(xyz: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounding box of points: least and greatest x, y, z (3,) each; zeros without points."""
    if len(xyz) == 0:
        return np.zeros(3), np.zeros(3)
    axes = xyz.t().contiguous()  # reduced along the long axis, several times faster
    low, high = fetched(axes.amin(1), axes.amax(1))
    return low.astype(np.float64), high.astype(np.float64)


def _relative(
    xyz: Tensor, low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], Tensor]:
    """An origin and the points relative to it in float32.

    On an axis that reaches beyond 1 km the origin is the middle of the points in whole metres
    (float32 coordinates within a factor of two of it lose nothing). The other axes then get one
    too, if the points are far out along them: float32 would resolve their surface more coarsely
    there than close to the origin. On all other axes it is 0.
    """
    size = np.maximum(np.abs(low), np.abs(high))
    beyond = size > EXACT_WITHIN_M
    if not beyond.any():
        return np.zeros(3), xyz.float()
    middle = (low + high) / 2
    beyond |= np.abs(middle) > FAR_ALONG * (high - low)
    origin = np.where(beyond, np.round(middle), 0.0)
    return origin, (xyz.double() - sent(origin, xyz.device)).float()


def _thinned(
    points: Tensor, config: ReductionConfig, max_points: int, steps: list[str]
) -> Tensor | None:
    """Rows (m,) of the points to keep, ascending; None: all of them."""
    kept = None
    if config.voxel_size_m > 0:
        try:
            kept = ops.voxel_rows(points, config.voxel_size_m)
        except ValueError as error:
            raise CloudError(str(error)) from error
        steps.append(f"{len(kept)} after voxels of {config.voxel_size_m:g} m")
    if (len(points) if kept is None else len(kept)) > max_points:
        few = ops.downsample(points if kept is None else points[kept], max_points)
        kept = few if kept is None else kept[few]
        steps.append(f"{len(kept)} by farthest point sampling")
    return None if kept is not None and len(kept) == len(points) else kept


def _nearest_kept(points: Tensor, kept: Tensor) -> Tensor:
    """Index (0 to m-1) of each point's nearest kept point; a kept point's is its own."""
    nearest = ops.nearest_point(points, points[kept])
    nearest[kept] = torch.arange(len(kept), device=points.device)  # also where kept points coincide
    return nearest


def _has_three_distinct(points: Tensor) -> bool:
    """Whether at least three points are distinct; synchronises with the device once."""
    if len(points) < LEAST_POINTS:
        return False
    others = (points != points[:1]).any(1)
    second = points.index_select(0, others.int().argmax(0, keepdim=True))
    return bool((others & (points != second).any(1)).any())
