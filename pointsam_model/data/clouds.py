"""Clouds as sensors give them, with what is known about them, and the truth where it is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsam_model.cloud.cloud import Cloud
from pointsam_model.cloud.valid import valid_points
from pointsam_model.errors import CloudError
from pointsam_model.ops.layout import columns

IGNORED = -1
MIN_OBJECT_POINTS = 50


@dataclass(frozen=True)
class SensorCloud:
    """A cloud from a file, in source order.

    Attributes:
        xyz: (n,3) float32 or float64 points [m]; NaN, inf or (0,0,0) where the sensor saw nothing.
        rgb: (n,3) uint8 or None.
        height, width: rows and columns of an organised cloud (n = height * width); height 1
            otherwise.
        name: of the file, or of the topic and the number of the message.
        frame_id: coordinate frame; empty where the file does not say.
        stamp_ns: time of the cloud [ns]; 0 where the file does not say.
        intensity: (n,) float32 or None.
        viewpoint: (3,) float64 where the sensor stood [m], in the points' coordinate frame; None
            where the file does not say.
        cdr: the sensor_msgs/PointCloud2 itself, serialized for ROS 2, where it came from a bag.
    """

    xyz: NDArray[np.floating]
    rgb: NDArray[np.uint8] | None
    height: int
    width: int
    name: str
    frame_id: str = ""
    stamp_ns: int = 0
    intensity: NDArray[np.float32] | None = None
    viewpoint: NDArray[np.float64] | None = None
    cdr: bytes | None = None

    def __post_init__(self) -> None:
        size = len(self.xyz)
        if self.xyz.ndim != 2 or self.xyz.shape[1] != 3 or self.xyz.dtype.kind != "f":
            raise CloudError(
                f"{self.name}: xyz is {self.xyz.dtype} of shape {self.xyz.shape}; "
                "it must be float32 or float64 of shape (n, 3)"
            )
        if size == 0:
            raise CloudError(f"{self.name} has no points")
        if self.height < 1 or self.height * self.width != size:
            raise CloudError(
                f"{self.name} says {self.height} rows of {self.width} points and has {size} points"
            )
        for what, values, shape in (
            ("rgb", self.rgb, (size, 3)),
            ("intensity", self.intensity, (size,)),
            *self._truth(),
        ):
            if values is not None and values.shape != shape:
                raise CloudError(
                    f"{self.name}: {what} has the shape {values.shape}; for {size} points it must "
                    f"have {shape}"
                )

    @property
    def size(self) -> int:
        """n, how many points the sensor sent, no-returns among them."""
        return len(self.xyz)

    @property
    def organised(self) -> bool:
        """Whether rows and columns mean something."""
        return self.height > 1

    def as_seen(self, color: bool = True) -> Cloud:
        """What is segmented of it; without its colours unless `color`."""
        width = columns(self.height, self.width)
        return Cloud(self.xyz, self.rgb if color else None, viewpoint=self.viewpoint, width=width)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(n,) points the sensor really saw, as `Cloud.valid`."""
        return valid_points(self.xyz)

    def _truth(self) -> list[tuple[str, NDArray[Any] | None, tuple[int, ...]]]:
        """Further arrays to check, with their shapes."""
        return []


@dataclass(frozen=True)
class LabelledCloud(SensorCloud):
    """A cloud with the truth about its objects.

    Attributes:
        instance: (n,) integer; at least 1: an object, 0: annotated background or what objects
            stand on, -1: ignored.
        part: (n,) integer, the same for the parts of objects, each number once in the cloud; None
            where parts are not known.
        up: (3,) unit vector against gravity, in the cloud's coordinate frame; None: not known.
    """

    instance: NDArray[np.integer] = field(kw_only=True)
    part: NDArray[np.integer] | None = field(default=None, kw_only=True)
    up: NDArray[np.floating] | None = field(default=None, kw_only=True)

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """(n,) points that count as object or complement: annotated and seen (`Cloud.valid`)."""
        return (self.instance != IGNORED) & self.valid

    @property
    def finest(self) -> NDArray[np.integer]:
        """(n,) its parts; where they are not known each object is its only part."""
        return self.instance if self.part is None else self.part

    @property
    def is_bare(self) -> bool:
        """Whether something of it is annotated, and none of that is an object."""
        return bool(self.counted.any()) and not self.objects(min_points=1)

    def objects(self, min_points: int = MIN_OBJECT_POINTS) -> list[int]:
        """The numbers of the objects that have at least `min_points` counted points, ascending."""
        numbers, counts = np.unique(self.instance[self.counted], return_counts=True)
        return [
            int(number)
            for number, count in zip(numbers, counts, strict=True)
            if number >= 1 and count >= min_points
        ]

    def _truth(self) -> list[tuple[str, NDArray[Any] | None, tuple[int, ...]]]:
        size = (len(self.xyz),)
        return [("instance", self.instance, size), ("part", self.part, size), ("up", self.up, (3,))]
