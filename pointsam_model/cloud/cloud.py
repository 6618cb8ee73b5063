"""Clouds as sensors give them.

The points are on the host if they came as arrays, or on a GPU if the sensor's bytes were sent
there; the host then copies only what is accessed.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pointsam_model import ops
from pointsam_model.cloud import units
from pointsam_model.cloud.grid_viewpoint import camera_of_grid
from pointsam_model.cloud.reduction import Ball, ReducedCloud, SeenPoints, reduce
from pointsam_model.cloud.valid import FARTHEST_M, valid_points
from pointsam_model.cloud.viewpoint import MOST_POINTS, seen_from_origin
from pointsam_model.config.settings import ReductionConfig
from pointsam_model.device.batches import in_one
from pointsam_model.device.transfer import fetched
from pointsam_model.errors import CloudError
from pointsam_model.ops.layout import CloudLayout, PointField, columns

__all__ = ["Cloud", "CloudLayout", "PointField", "ReducedCloud"]

NEIGHBOURS = 4  # neighbours of a point in a regular grid, at the grid's spacing


class Cloud:
    """The points of one cloud in the sensor's order; immutable.

    Args:
        xyz: (n,3), or (h,w,3) for an organised cloud, float32 or float64 [m], in the cloud's
            coordinate frame. Points that are NaN, infinite, (0,0,0) or have a coordinate beyond
            1e9 m are invalid: the sensor got no return.
        rgb: red, green, blue, same shape, uint8, or floats 0 to 1 as in Open3D; or None.
        viewpoint: (3,) position of the sensor [m], in the cloud's coordinate frame; None: not
            known, `sensor` then infers it.
        width: columns of an organised cloud stored row by row; None: not organised.

    Raises:
        CloudError: a wrong shape or type, no points, no valid point, a malformed viewpoint, or a
            number of points that is not a multiple of the width.
    """

    _viewpoint: NDArray[np.float64] | None = None
    _width: int | None = None

    def __init__(
        self,
        xyz: ArrayLike,
        rgb: ArrayLike | None = None,
        *,
        viewpoint: ArrayLike | None = None,
        width: int | None = None,
    ) -> None:
        points = np.array(xyz)
        if points.ndim not in (2, 3) or points.shape[-1] != 3:
            raise CloudError(f"xyz has the shape {points.shape}; it must be (n,3) or (h,w,3)")
        if points.ndim == 3:
            if width not in (None, points.shape[1]):
                raise CloudError(f"xyz has {points.shape[1]} columns, and width is {width}")
            width = columns(*points.shape[:2])
        if points.dtype not in (np.float32, np.float64):
            raise CloudError(f"xyz is {points.dtype}; it must be float32 or float64, in metres")
        colors = None if rgb is None else _bytes(np.array(rgb))
        if colors is not None and colors.shape != points.shape:
            raise CloudError(
                f"rgb has the shape {colors.shape}; it must be that of xyz, {points.shape}"
            )
        points = points.reshape(-1, 3)
        colors = None if colors is None else colors.reshape(-1, 3)
        self._points: _HostPoints | _DevicePoints = _HostPoints(points, colors)
        if viewpoint is not None:
            self._viewpoint = _place(viewpoint)
        if width is not None and (width < 1 or len(points) % width):
            raise CloudError(f"{len(points)} points do not form rows of {width}")
        self._width = width

    @classmethod
    def from_buffer(
        cls,
        data: Any,
        layout: CloudLayout,
        device: torch.device | str = "cpu",
        *,
        viewpoint: ArrayLike | None = None,
    ) -> Cloud:
        """Decodes a sensor's bytes; see `ops.decode` for the formats it reads.

        Args:
            data: bytes, array.array, uint8 array or any other contiguous buffer. If the device is a
                GPU, it must not change while the cloud is used.
            layout: the fields of a point and where they are in the data.
            device: where the points are wanted; a GPU receives the raw bytes and decodes them.
            viewpoint: see the class.

        Raises:
            CloudError: no float x, y, z; data shorter than the layout; no valid point; a malformed
                viewpoint.
            OutOfMemory: not enough memory on the GPU.
        """
        cloud = cls.__new__(cls)
        if viewpoint is not None:
            cloud._viewpoint = _place(viewpoint)
        cloud._width = columns(layout.height, layout.width)
        where = torch.device(device)
        if where.type == "cpu":
            xyz, rgb = ops.decode(data, layout)
            cloud._points = _HostPoints(xyz.numpy(), None if rgb is None else rgb.numpy())
        else:
            cloud._points = in_one(lambda: _DevicePoints(data, layout, where))
        return cloud

    @property
    def xyz(self) -> NDArray[Any]:
        """(n,3) float32 or float64 [m], read-only."""
        return self._points.on_host.xyz

    @property
    def rgb(self) -> NDArray[np.uint8] | None:
        """(n,3) uint8 or None, read-only."""
        return self._points.on_host.rgb

    @property
    def size(self) -> int:
        """Number n of points, valid or not."""
        return self._points.size

    @property
    def width(self) -> int | None:
        """Columns of an organised cloud stored row by row; None: not organised."""
        return self._width

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(n,) bool, read-only: which points are returns of the sensor."""
        return self._points.on_host.valid

    @property
    def viewpoint(self) -> NDArray[np.float64] | None:
        """(3,) position of the sensor as given [m], read-only; None: not given, see `sensor`."""
        return self._viewpoint

    @cached_property
    def sensor(self) -> NDArray[np.float64] | None:
        """(3,) position of the sensor [m], read-only; None: not known.

        The given viewpoint; else the camera's position, inferred in any frame from the grid of an
        organised cloud (`camera_of_grid`); else the origin, if the points were clearly seen from
        there (`seen_from_origin`). A fused cloud or a map has no such position.
        """
        if self._viewpoint is not None:
            return self._viewpoint
        if self._camera is not None:
            return self._camera
        points, _ = self._points.some(MOST_POINTS)
        return _place((0, 0, 0)) if seen_from_origin(points) else None

    @cached_property
    def _camera(self) -> NDArray[np.float64] | None:
        """(3,) position of the camera [m], from the grid; None: not organised, or no camera's."""
        if self._width is None:
            return None
        camera = camera_of_grid(*self._points.some(MOST_POINTS), self._width)
        if camera is not None:
            camera.flags.writeable = False
        return camera

    @cached_property
    def doubt(self) -> str:
        """Why the coordinates are probably not metres, as a message; empty: no reason to doubt.

        Only organised clouds of depth cameras are checked (`units`).
        """
        if self._width is None:
            return ""
        points, _ = self._points.some(MOST_POINTS)
        if not units.may_be_millimetres(points) or self._camera is None:
            return ""
        return units.doubt(points, self._camera)

    def seen_from(self, place: ArrayLike) -> bool:
        """Whether the points were clearly seen by one sensor at the given position (3,) [m].

        False also if that is undecidable; see `seen_from_origin`. For a coarsely thinned cloud it
        may be true of positions near the sensor's as well.

        Raises:
            CloudError: a malformed position.
        """
        points, _ = self._points.some(MOST_POINTS)
        rays = points - _place(place)
        return seen_from_origin(rays[rays.any(1)])  # no sensor sees a point at its own position

    def viewed_from(self, viewpoint: ArrayLike) -> Cloud:
        """The same cloud with another viewpoint (3,) [m]; the points are shared, not copied.

        Raises:
            CloudError: a malformed viewpoint.
        """
        cloud = copy(self)
        cloud.__dict__.pop("sensor", None)
        cloud._viewpoint = _place(viewpoint)
        return cloud

    @property
    def device_bytes(self) -> int:
        """Bytes of GPU memory that the points take."""
        return self._points.device_bytes

    def reduce(
        self,
        config: ReductionConfig,
        max_points: int,
        device: torch.device | str = "cpu",
        region: Ball | None = None,
    ) -> ReducedCloud:
        """Chooses the points that the network sees.

        Points that are invalid, outside the region, outside the crop box or out of range are
        removed, in this order; then one point per voxel is kept, and at most `max_points` of these
        by farthest point sampling. Kept points stay in the source's order.

        The range is measured from the given viewpoint, else from the origin, never from an
        inferred `sensor`: that may be known for one cloud and not for the next of the same sensor,
        and the range would jump between them.

        Args:
            config: crop, range, voxel size, and a `max_points` that takes precedence unless 0.
            max_points: most points to keep.
            device: where the reduction is computed and its result is stored.
            region: keep only points in this ball; None: all.

        Raises:
            CloudError: fewer than 3 distinct points are left; says how many each step left.
        """
        seen = self._points.seen.to(torch.device(device))
        return reduce(seen, self.size, config, max_points, region, self._viewpoint)

    def nearest(self, points: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Finds the valid source points nearest to a few given points, exactly.

        Args:
            points: (q,3) finite [m], in the cloud's coordinate frame.

        Returns:
            rows (q,) int64, the lowest in a tie, and distances (q,) float64 [m].
        """
        rows, distances, _ = self._points.nearest(np.asarray(points, np.float64).reshape(-1, 3))
        return rows, distances

    def snap(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates (q,3) [m] of the points that `nearest` finds, and distances (q,) [m]."""
        _, distances, xyz = self._points.nearest(points)
        return xyz, distances

    def around(
        self, point: NDArray[np.float64], count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """The valid points nearest to a point (3,) [m], nearest first.

        Returns:
            coordinates (c,3) float64 [m] and colours (c,3) float64, 0 to 255, or None;
            c <= `count`.
        """
        rows = nearest_rows(self.xyz, point, count)
        rows = rows[self.valid[rows]]
        colors = None if self.rgb is None else self.rgb[rows].astype(np.float64)
        return self.xyz[rows].astype(np.float64), colors

    def spacing(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Local point spacing at some of the points: (q,) float64 [m].

        Args:
            points: (q,3) [m], coordinates of valid points.

        Returns:
            Distances to the fourth nearest other point: on a surface, about the grid's spacing.
        """
        return self._points.spacing(points)

    def points_at(self, rows: Tensor) -> Tensor:
        """Coordinates (k,3) [m] of valid source rows (k,) int, on the device that holds them."""
        return self._points.at(rows)


class _HostPoints:
    """A cloud's points as arrays (n,3) on the host, and which of them are valid."""

    device_bytes = 0

    def __init__(self, xyz: NDArray[Any], rgb: NDArray[np.uint8] | None) -> None:
        valid = valid_points(xyz)
        if not valid.any():
            raise _nothing_seen(xyz)
        self.xyz, self.rgb, self.valid = xyz, rgb, valid
        self._all = torch.from_numpy(xyz), None if rgb is None else torch.from_numpy(rgb)
        for array in (xyz, valid, *(() if rgb is None else (rgb,))):
            array.flags.writeable = False

    @property
    def on_host(self) -> _HostPoints:
        return self

    @property
    def size(self) -> int:
        return len(self.xyz)

    @property
    def seen(self) -> SeenPoints:
        rows = torch.from_numpy(np.flatnonzero(self.valid))
        xyz, rgb = self._all
        return SeenPoints(
            xyz.index_select(0, rows), None if rgb is None else rgb.index_select(0, rows), rows
        )

    def some(self, most: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        rows = np.flatnonzero(self.valid)
        rows = rows[:: -(-len(rows) // most)]
        return self.xyz[rows], rows

    def nearest(
        self, points: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        rows = np.empty(len(points), np.int64)
        distances = np.empty(len(points), np.float64)
        for query, at in enumerate(points):
            squared = self._squared(at)
            rows[query] = np.argmin(squared)
            distances[query] = np.sqrt(squared[rows[query]])
        return rows, distances, self.xyz[rows].astype(np.float64)

    def spacing(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        place = min(NEIGHBOURS, self.size - 1)
        squares = [np.partition(self._squared(at), place)[: place + 1] for at in points]
        return np.sqrt([row[np.isfinite(row)].max() for row in squares])

    def _squared(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) squared distances to a position [m^2], infinite for invalid points."""
        # Column by column: over the short axis numpy is several times slower.
        squared = np.square(self.xyz[:, 0] - at[0])
        squared += np.square(self.xyz[:, 1] - at[1])
        squared += np.square(self.xyz[:, 2] - at[2])
        return np.where(self.valid, squared, np.inf)

    def at(self, rows: Tensor) -> Tensor:
        return self._all[0].index_select(0, rows.cpu())


class _DevicePoints:
    """A cloud's valid points on the device that decoded them, and its raw bytes on the host."""

    def __init__(self, data: Any, layout: CloudLayout, device: torch.device) -> None:
        xyz, rgb, rows, self._places = ops.decode_valid(data, layout, FARTHEST_M, device)
        self.seen = SeenPoints(xyz, rgb, rows)
        self._data, self._layout = data, layout
        self.size = layout.height * layout.width
        if len(rows) == 0:
            _ = self.on_host  # raises, with the reason

    @cached_property
    def on_host(self) -> _HostPoints:
        xyz, rgb = ops.decode(self._data, self._layout)
        return _HostPoints(xyz.numpy(), None if rgb is None else rgb.numpy())

    @property
    def device_bytes(self) -> int:
        tensors = (self.seen.xyz, self.seen.rgb, self.seen.rows, self._places)
        return sum(
            tensor.numel() * tensor.element_size() for tensor in tensors if tensor is not None
        )

    def some(self, most: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        each = slice(None, None, -(-len(self.seen.xyz) // most))
        xyz, rows = fetched(self.seen.xyz[each].contiguous(), self.seen.rows[each].contiguous())
        return xyz, rows.astype(np.int64)

    def nearest(
        self, points: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        xyz = self.seen.xyz.t().double()
        found, distances = [], []
        for at in points:
            squared = _squares(xyz, at)
            found.append(squared.argmin(0, keepdim=True))
            distances.append(squared.index_select(0, found[-1]).sqrt())
        places = torch.cat(found)
        return fetched(self.seen.rows[places], torch.cat(distances), self.seen.xyz[places].double())  # type: ignore[return-value]

    def spacing(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        xyz = self.seen.xyz.t().double()
        most = min(NEIGHBOURS + 1, xyz.shape[1])
        squares = [_squares(xyz, at).topk(most, largest=False).values.amax() for at in points]
        return fetched(torch.stack(squares).sqrt())[0]

    def at(self, rows: Tensor) -> Tensor:
        return self.seen.xyz.index_select(0, self._places.index_select(0, rows))


def nearest_rows(xyz: NDArray[Any], point: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Rows of the at most `count` points of (n,3) nearest to a point (3,), nearest first."""
    squared = np.square(xyz[:, 0] - point[0])
    squared += np.square(xyz[:, 1] - point[1])
    squared += np.square(xyz[:, 2] - point[2])
    rows = np.argpartition(squared, count)[:count] if count < len(squared) else np.arange(len(xyz))
    return np.asarray(rows[np.argsort(squared[rows], kind="stable")])


def _squares(xyz: Tensor, at: NDArray[np.float64]) -> Tensor:
    """(v,) squared distances of points (3,v) to a position (3,)."""
    squared = (xyz[0] - at[0]).square()
    squared += (xyz[1] - at[1]).square()
    squared += (xyz[2] - at[2]).square()
    return squared


def _bytes(colors: NDArray[Any]) -> NDArray[np.uint8]:
    """Checked colours as uint8, from uint8 or from floats 0 to 1."""
    if colors.dtype == np.uint8:
        return colors
    if colors.dtype.kind != "f":
        raise CloudError(f"rgb is {colors.dtype}; it must be uint8, 0 to 255, or float, 0 to 1")
    if colors.size and not (colors.min() >= 0 and colors.max() <= 1):  # false for NaN
        raise CloudError(
            f"rgb is {colors.dtype} with values from {colors.min():g} to {colors.max():g}; floats "
            "must be 0 to 1; colours from 0 to 255 must be uint8"
        )
    return np.round(colors * 255).astype(np.uint8)


def _place(point: ArrayLike) -> NDArray[np.float64]:
    """A checked, read-only position (3,) [m]."""
    try:
        place = np.array(point, np.float64)
    except (TypeError, ValueError) as error:
        raise CloudError(f"the viewpoint must be three numbers [m]: {error}") from error
    if place.shape != (3,) or not (np.abs(place) <= FARTHEST_M).all():  # true for NaN
        raise CloudError(
            f"the viewpoint is {place.tolist()}; it must be three finite numbers [m], "
            f"none beyond {FARTHEST_M:g}"
        )
    place.flags.writeable = False
    return place


def _nothing_seen(xyz: NDArray[Any]) -> CloudError:
    size, zeros = len(xyz), int((xyz == 0).all(1).sum())
    if size == 0:
        return CloudError("the cloud has no points")
    return CloudError(
        f"none of the cloud's {size} points is valid: {size - zeros} are NaN, "
        f"infinite or beyond {FARTHEST_M:g} m, {zeros} are (0,0,0)"
    )
