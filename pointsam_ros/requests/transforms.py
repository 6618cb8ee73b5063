"""Transforms clicks and boxes to the cloud's coordinate frame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pointsam_model import Box
from pointsam_ros.clouds.cloud_store import seconds
from pointsam_ros.clouds.cloud_store import stamp_ns as nanoseconds
from pointsam_ros.codes import Code
from pointsam_ros.refusal import Refusal

if TYPE_CHECKING:
    from rclpy.node import Node


@dataclass(frozen=True)
class Transform:
    """A rigid transform.

    Attributes:
        rotation: (3,3).
        translation: (3,) [m].
        stamp_ns: the time at which it is valid [ns]; 0: static, or not known.
    """

    rotation: np.ndarray
    translation: np.ndarray
    stamp_ns: int = 0

    @classmethod
    def from_quaternion(
        cls, quaternion: np.ndarray, translation: np.ndarray, stamp_ns: int = 0
    ) -> Transform:
        """From a quaternion x, y, z, w (4,) of any length, and a translation (3,) [m]."""
        x, y, z, w = np.asarray(quaternion, np.float64) / np.linalg.norm(quaternion)
        rotation = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        return cls(np.array(rotation), np.asarray(translation, np.float64), stamp_ns)

    @property
    def matrix(self) -> np.ndarray:
        """The homogeneous matrix (4,4)."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.rotation, self.translation
        return matrix

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Transforms points (q,3) [m] from the source frame to the target frame."""
        return points @ self.rotation.T + self.translation

    def of_box(self, box: Box) -> Box:
        """Transforms a box from the source frame to the target frame."""
        (center,) = self(box.center[None])
        return Box(center, box.size, self.rotation @ box.orientation)


class Gap(Enum):
    """Why there is no transform between two frames; the value says what to do about it."""

    UNKNOWN_FRAME = (
        "a frame that nobody publishes on /tf or /tf_static: start its broadcaster, and compare "
        "the names letter by letter"
    )
    DISCONNECTED = (
        "both frames are known, but no chain of transforms joins them: publish the one that is "
        "missing between the two trees, often the camera's mounting"
    )
    OTHER_TIME = (
        "the frames are joined, but not at the time of the cloud. Where the cloud is newer than "
        "the transforms, raise transforms.timeout_s or see whether the clocks of the camera and of "
        "the broadcaster agree; where it is older than all that are kept, ask sooner, about a "
        "newer cloud"
    )
    NO_TF2 = "tf2_ros is not installed where the node runs: install it (ros-$ROS_DISTRO-tf2-ros-py)"
    OTHER = "see that the transforms are published"


class NoTransformError(Exception):
    """There is no transform between two frames (yet).

    Args:
        gap: the reason.
        detail: the message of the lookup, such as tf2's.
    """

    def __init__(self, gap: Gap, detail: str) -> None:
        super().__init__(detail)
        self.gap = gap


class Lookup(Protocol):
    """Finds transforms between coordinate frames."""

    def __call__(self, target: str, source: str, stamp_ns: int) -> Transform:
        """The transform from `source` to `target`; never waits. Thread-safe.

        Args:
            target, source: frames, without a leading slash.
            stamp_ns: the time [ns]; 0: the newest transform, whose `stamp_ns` is then its time.

        Raises:
            NoTransformError: there is none; it may still arrive, unless the gap is NO_TF2.
        """

    def forget(self) -> None:
        """Drops all transforms, after time has jumped back."""


@dataclass(frozen=True)
class TransformQuery:
    """A query for a transform from one frame to another at a time [ns].

    `instead` says, for messages, what the client can do if there is none.
    """

    target: str
    source: str
    stamp_ns: int
    instead: str


class MissingTransform(Refusal):
    """NO_TRANSFORM, but the transform may still arrive.

    Attributes:
        query: the missing transform.
    """

    def __init__(self, query: TransformQuery, message: str) -> None:
        super().__init__(Code.NO_TRANSFORM, message)
        self.query = query


def in_frame(
    points: np.ndarray, source: str, target: str, stamp_ns: int, lookup: Lookup
) -> np.ndarray:
    """Transforms points (q,3) [m] from the frame `source` to `target`; see `into`."""
    way = into(source, target, stamp_ns, lookup)
    return points if way is None else way(points)


def into(source: str, target: str, stamp_ns: int, lookup: Lookup) -> Transform | None:
    """The transform from the frame `source` to `target`; None: they are the same. Never waits.

    An empty `source` means `target`. A leading slash, as in ROS 1, is ignored.

    Raises:
        MissingTransform: it may still arrive; names the frames and what to do.
        Refusal: NO_TRANSFORM; it cannot arrive.
    """
    source, target = source.lstrip("/"), target.lstrip("/")
    if source in ("", target):
        return None
    if not target:
        raise Refusal(
            Code.NO_TRANSFORM,
            f"the clicks are in the coordinate frame {source!r}, but the cloud's header has an "
            "empty frame_id; leave the request's empty too, or name the frame in the driver",
        )
    return look_up(
        TransformQuery(target, source, stamp_ns, f"give the clicks in {target!r}"), lookup
    )


def look_up(query: TransformQuery, lookup: Lookup) -> Transform:
    """Looks up a transform.

    Raises:
        MissingTransform: there is none, but it may still arrive.
        Refusal: NO_TRANSFORM; it cannot arrive.
    """
    try:
        return lookup(query.target, query.source, query.stamp_ns)
    except NoTransformError as error:
        when = f"time {seconds(query.stamp_ns)}" if query.stamp_ns else "any time"
        message = (
            f"no transform from {query.source!r} to {query.target!r} at {when}: "
            f"{error.gap.value}; or {query.instead}"
        )
        if error.gap is Gap.NO_TF2:
            raise Refusal(Code.NO_TRANSFORM, message) from error
        raise MissingTransform(query, f"{message}. In detail: {error}") from error


class WithoutTf2:
    """The lookup if tf2_ros is not installed: finds no transform."""

    def __call__(self, target: str, source: str, stamp_ns: int) -> Transform:
        raise NoTransformError(Gap.NO_TF2, "tf2_ros is not installed")

    def forget(self) -> None:
        pass


def lookup_for(node: Node) -> Lookup:
    """A lookup in tf2 for `node`; `WithoutTf2` if tf2_ros is not installed."""
    try:
        import tf2_ros
    except ImportError:
        return WithoutTf2()
    return Tf2Lookup(tf2_ros, node)


class Tf2Lookup:
    """Looks transforms up in tf2_ros, without a timeout: waiting would block the calling thread."""

    def __init__(self, tf2_ros: Any, node: Node) -> None:
        self._error = tf2_ros.TransformException
        self._gaps = {
            tf2_ros.LookupException: Gap.UNKNOWN_FRAME,
            tf2_ros.ConnectivityException: Gap.DISCONNECTED,
            tf2_ros.ExtrapolationException: Gap.OTHER_TIME,
        }
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def __call__(self, target: str, source: str, stamp_ns: int) -> Transform:
        from rclpy.time import Time

        if stamp_ns < 0:  # not accepted by rclpy's Time
            raise NoTransformError(Gap.OTHER_TIME, "tf2 has no time before 1970")
        try:
            known = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp_ns))
        except self._error as error:
            gap = self._gaps.get(type(error), Gap.OTHER)
            if gap is Gap.OTHER_TIME and stamp_ns and not self._joined(target, source):
                gap = Gap.DISCONNECTED
            raise NoTransformError(gap, str(error)) from error
        turn, shift = known.transform.rotation, known.transform.translation
        return Transform.from_quaternion(
            np.array([turn.x, turn.y, turn.z, turn.w]),
            np.array([shift.x, shift.y, shift.z]),
            nanoseconds(known.header.stamp),
        )

    def _joined(self, target: str, source: str) -> bool:
        """Whether a chain of transforms connects two frames at any time.

        For unconnected frames tf2 raises the same error as for a wrong time.
        """
        from rclpy.time import Time

        try:
            self._buffer.lookup_transform(target, source, Time())
        except self._error:
            return False
        return True

    def forget(self) -> None:
        self._buffer.clear()  # keeps static transforms
