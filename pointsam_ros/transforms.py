"""Clicks into the cloud's coordinate frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pointsam_ros.refusal import Code, Refusal

if TYPE_CHECKING:
    from rclpy.node import Node


@dataclass(frozen=True)
class Transform:
    """A rigid motion: `rotation` (3,3) and `translation` (3,) [m]."""

    rotation: np.ndarray
    translation: np.ndarray

    @classmethod
    def from_quaternion(cls, quaternion: np.ndarray, translation: np.ndarray) -> Transform:
        """From x, y, z, w (4,), normalised here, and a translation (3,) [m]."""
        x, y, z, w = np.asarray(quaternion, np.float64) / np.linalg.norm(quaternion)
        rotation = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        return cls(np.array(rotation), np.asarray(translation, np.float64))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(q,3) points [m] of the source frame, in the target frame."""
        return points @ self.rotation.T + self.translation


class Lookup(Protocol):
    """Knows where coordinate frames are."""

    def __call__(self, target: str, source: str, stamp_ns: int, timeout_s: float) -> Transform:
        """The transform from `source` to `target` at a time [ns].

        Raises:
            Refusal: NO_TRANSFORM.
        """


def in_frame(
    points: np.ndarray, source: str, target: str, stamp_ns: int, timeout_s: float, lookup: Lookup
) -> np.ndarray:
    """Points (q,3) [m] of the coordinate frame `source`, in the frame `target`.

    An empty `source` means `target`. A leading slash, as ROS 1 had it, makes no difference.

    Raises:
        Refusal: NO_TRANSFORM; says which frames, and what would be right.
    """
    source, target = source.lstrip("/"), target.lstrip("/")
    if source in ("", target):
        return points
    if not target:
        raise Refusal(
            Code.NO_TRANSFORM,
            f"the clicks are in the coordinate frame {source!r}, but the cloud's header has an "
            "empty frame_id; leave the request's empty too, or name the frame in the driver",
        )
    return lookup(target, source, stamp_ns, timeout_s)(points)


def without_tf2(target: str, source: str, stamp_ns: int, timeout_s: float) -> Transform:
    """The lookup where tf2_ros is not installed: it knows no frame."""
    raise Refusal(
        Code.NO_TRANSFORM,
        f"the clicks are in the coordinate frame {source!r} and the cloud is in {target!r}, and "
        f"tf2_ros is not installed where the node runs: install it (ros-$ROS_DISTRO-tf2-ros-py), "
        f"or give the clicks in {target!r}",
    )


def lookup_for(node: Node) -> Lookup:
    """tf2's transforms, listened to by `node`; `without_tf2` where tf2_ros is not installed."""
    try:
        import tf2_ros
    except ImportError:
        return without_tf2
    return _Tf2Lookup(tf2_ros, node)


class _Tf2Lookup:
    """The adapter to tf2_ros."""

    def __init__(self, tf2_ros: Any, node: Node) -> None:
        self._error = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def __call__(self, target: str, source: str, stamp_ns: int, timeout_s: float) -> Transform:
        from rclpy.duration import Duration
        from rclpy.time import Time

        try:
            found = self._buffer.lookup_transform(
                target, source, Time(nanoseconds=stamp_ns), Duration(seconds=timeout_s)
            )
        except self._error as error:
            raise Refusal(
                Code.NO_TRANSFORM,
                f"no transform from {source!r} to {target!r} at {stamp_ns / 1e9:.3f} s within "
                f"transforms.timeout_s = {timeout_s:g} s: {error}. See that it is published, or "
                f"give the clicks in {target!r}",
            ) from error
        turn, shift = found.transform.rotation, found.transform.translation
        return Transform.from_quaternion(
            np.array([turn.x, turn.y, turn.z, turn.w]), np.array([shift.x, shift.y, shift.z])
        )
