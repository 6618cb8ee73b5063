"""What a reader gives: a cloud as the sensor gave it, with what its file says about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsam_model.cloud.valid import valid_points
from pointsam_model.errors import CloudError


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
        labels: (n,) int32 or None; at least 1: an object, 0: annotated background, -1: ignored.
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
    labels: NDArray[np.int32] | None = None
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
            ("label", self.labels, (size,)),
            ("intensity", self.intensity, (size,)),
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

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(n,) points the sensor really saw, as `Cloud.valid`."""
        return valid_points(self.xyz)
