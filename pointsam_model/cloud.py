"""Clouds as sensors give them, and the way from all of their points to those the network sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pointsam_model import ops
from pointsam_model.config import ReductionConfig
from pointsam_model.errors import CloudError
from pointsam_model.layout import CloudLayout, PointField

__all__ = ["Cloud", "CloudLayout", "PointField", "ReducedCloud"]

FARTHEST_M = 1e9  # beyond it lies no return of any sensor; some drivers send FLT_MAX for "nothing"
EXACT_WITHIN_M = 1000.0  # float32 resolves 0.06 mm there; farther out points need an origin
LEAST_POINTS = 3


@dataclass(frozen=True)
class ReducedCloud:
    """The points of a cloud that the network sees, and what that means for all others.

    Attributes:
        rows: (m,) int64 source rows of the kept points, ascending.
        nearest: (n,) int32, for each source point its nearest kept point (0 to m-1); -1 where the
            point is invalid, cropped or out of range: such a point is never in a mask.
        origin: (3,) float64 [m], subtracted before going to float32; 0 on axes within 1 km.
        points: (m,3) float32 [m], kept points minus origin.
        colors: (m,3) uint8 or None.
    """

    rows: NDArray[np.int64]
    nearest: NDArray[np.int32]
    origin: NDArray[np.float64]
    points: NDArray[np.float32]
    colors: NDArray[np.uint8] | None


class Cloud:
    """The points of one cloud in the order the sensor sent them; immutable.

    Args:
        xyz: (n,3) float32 or float64 [m], in the cloud's coordinate frame. No return: NaN,
            infinite, (0,0,0) or farther than 1e9 m.
        rgb: (n,3) uint8 red, green, blue, or None.

    Raises:
        CloudError: another shape or type, no points, or no valid point.
    """

    def __init__(self, xyz: ArrayLike, rgb: ArrayLike | None = None) -> None:
        points = np.array(xyz)
        if points.ndim != 2 or points.shape[1] != 3:
            raise CloudError(f"xyz has the shape {points.shape}; it must be (n,3)")
        if points.dtype not in (np.float32, np.float64):
            raise CloudError(f"xyz is {points.dtype}; it must be float32 or float64, in metres")
        colors = None if rgb is None else np.array(rgb)
        if colors is not None and colors.shape != points.shape:
            raise CloudError(
                f"rgb has the shape {colors.shape}; it must be that of xyz, {points.shape}"
            )
        if colors is not None and colors.dtype != np.uint8:
            raise CloudError(f"rgb is {colors.dtype}; it must be uint8, 0 to 255")
        self._hold(points, colors)

    @classmethod
    def from_buffer(cls, data: Any, layout: CloudLayout) -> Cloud:
        """A cloud from a sensor's bytes, viewed where they are: `ops.decode` says what it reads.

        Args:
            data: bytes, array.array, uint8 array or any other contiguous buffer.
            layout: where things are in it.

        Raises:
            CloudError: no float x, y, z; data shorter than the layout; no valid point.
        """
        xyz, rgb = ops.decode(data, layout)
        cloud = cls.__new__(cls)
        cloud._hold(xyz.numpy(), None if rgb is None else rgb.numpy())
        return cloud

    @property
    def xyz(self) -> NDArray[Any]:
        """(n,3) float32 or float64 [m], read-only."""
        return self._xyz

    @property
    def rgb(self) -> NDArray[np.uint8] | None:
        """(n,3) uint8 or None, read-only."""
        return self._rgb

    @property
    def size(self) -> int:
        """How many points the source has, valid or not."""
        return len(self._xyz)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(n,) bool, read-only: the sensor saw something there."""
        return self._valid

    def reduce(
        self, config: ReductionConfig, max_points: int, device: torch.device | str = "cpu"
    ) -> ReducedCloud:
        """The points the network is to see: valid, in the crop and range, few enough.

        In order: invalid points, those outside of the crop box and those out of range go; then one
        point per voxel stays, and of more than `max_points` as many, chosen farthest from each
        other. Where nothing has to go, the kept points are the source's in their order.

        Args:
            config: crop, range, voxel size, and a `max_points` that wins where it is not 0.
            max_points: most points to keep.
            device: where the choice is computed.

        Raises:
            CloudError: fewer than 3 distinct points are left; says what each step left.
        """
        steps = [f"{self.size} points"]
        inside = self._inside(config, steps)
        rows = np.flatnonzero(inside)
        origin, points = _relative(np.take(self._xyz, rows, axis=0))
        on_device = torch.from_numpy(points).to(device)
        kept = _thinned(on_device, config, config.max_points or max_points, steps)
        chosen = points if kept is None else points[kept.cpu().numpy()]
        if not _has_distinct(chosen, LEAST_POINTS):
            raise CloudError(
                f"fewer than {LEAST_POINTS} distinct points are left to segment: {', '.join(steps)}"
            )
        nearest = np.full(self.size, -1, np.int32)
        if kept is None:
            nearest[rows] = np.arange(len(rows), dtype=np.int32)
        else:
            nearest[rows] = _nearest_kept(on_device, kept).cpu().numpy()
            rows = rows[kept.cpu().numpy()]
        colors = None if self._rgb is None else self._rgb[rows]
        return ReducedCloud(rows, nearest, origin, chosen, colors)

    def nearest(self, points: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The valid source points nearest to a few given ones, exactly.

        Args:
            points: (q,3) finite [m], in the cloud's coordinate frame.

        Returns:
            rows (q,) int64, the lowest of equally near ones, and distances (q,) float64 [m].
        """
        wanted = np.asarray(points, np.float64).reshape(-1, 3)
        rows = np.empty(len(wanted), np.int64)
        distances = np.empty(len(wanted), np.float64)
        for query, at in enumerate(wanted):
            # Column by column: over the short axis numpy is several times slower.
            squared = np.square(self._xyz[:, 0] - at[0])
            squared += np.square(self._xyz[:, 1] - at[1])
            squared += np.square(self._xyz[:, 2] - at[2])
            rows[query] = np.argmin(np.where(self._valid, squared, np.inf))
            distances[query] = np.sqrt(squared[rows[query]])
        return rows, distances

    def _hold(self, xyz: NDArray[Any], rgb: NDArray[np.uint8] | None) -> None:
        if len(xyz) == 0:
            raise CloudError("the cloud has no points")
        near = np.abs(xyz) <= FARTHEST_M  # false for NaN
        some = xyz != 0
        finite = near[:, 0] & near[:, 1] & near[:, 2]
        valid = finite & (some[:, 0] | some[:, 1] | some[:, 2])
        if not valid.any():
            zeros = int(finite.sum())
            raise CloudError(
                f"none of the cloud's {len(xyz)} points is valid: {len(xyz) - zeros} are NaN, "
                f"infinite or beyond {FARTHEST_M:g} m, {zeros} are (0,0,0)"
            )
        self._xyz, self._rgb, self._valid = xyz, rgb, valid
        for array in (xyz, valid, *(() if rgb is None else (rgb,))):
            array.flags.writeable = False

    def _inside(self, config: ReductionConfig, steps: list[str]) -> NDArray[np.bool_]:
        """(n,) bool: valid, in the crop box and in range; each step in use adds what it left."""
        inside = self._valid
        steps.append(f"{int(inside.sum())} of them valid")
        if config.crop_min_m or config.crop_max_m:
            inside = inside.copy()
            for axis, least in enumerate(config.crop_min_m):
                inside &= self._xyz[:, axis] >= least
            for axis, most in enumerate(config.crop_max_m):
                inside &= self._xyz[:, axis] <= most
            steps.append(f"{int(inside.sum())} in the crop box")
        if config.min_range_m > 0 or config.max_range_m > 0:
            squared = np.einsum("ij,ij->i", self._xyz, self._xyz, dtype=np.float64)
            inside = inside & (squared >= config.min_range_m**2)
            if config.max_range_m > 0:
                inside &= squared <= config.max_range_m**2
            steps.append(f"{int(inside.sum())} in range")
        return inside


def _relative(xyz: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """An origin and the points relative to it in float32.

    On an axis that reaches beyond 1 km the origin is the middle of the points in whole metres
    (float32 coordinates within a factor of two of it lose nothing); on others it is zero.
    """
    if len(xyz) == 0 or np.abs(xyz).max() <= EXACT_WITHIN_M:
        return np.zeros(3), xyz.astype(np.float32, copy=False)
    least, most = xyz.min(0).astype(np.float64), xyz.max(0).astype(np.float64)
    beyond = np.maximum(np.abs(least), np.abs(most)) > EXACT_WITHIN_M
    origin = np.where(beyond, np.round((least + most) / 2), 0.0)
    return origin, (xyz - origin).astype(np.float32)


def _thinned(
    points: torch.Tensor, config: ReductionConfig, max_points: int, steps: list[str]
) -> torch.Tensor | None:
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


def _nearest_kept(points: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """For each point its nearest kept one (0 to m-1); a kept point is its own."""
    nearest = ops.nearest_point(points, points[kept])
    nearest[kept] = torch.arange(len(kept), device=points.device)  # also where kept points coincide
    return nearest


def _has_distinct(points: NDArray[np.float32], least: int) -> bool:
    """Whether at least so many of the points differ."""
    left = points
    for _ in range(least):
        if len(left) == 0:
            return False
        left = left[(left != left[0]).any(1)]
    return True
