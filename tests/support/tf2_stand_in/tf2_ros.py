"""The part of tf2_ros's interface that the node uses, as Humble and Jazzy have it, and no more.

Not tf2: it refuses what tf2 would refuse, and where tf2 would hold up the thread it fails. It hears
single TransformStamped on /tf, as the machines without tf2 lack tf2_msgs too.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from frame_tree import STATIC, Tree
from geometry_msgs.msg import TransformStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from scipy.spatial.transform import Rotation

from pointsam_ros.requests.transforms import Gap, NoTransformError, Transform


class TransformException(Exception):
    pass


class ConnectivityException(TransformException):
    pass


class LookupException(TransformException):
    pass


class ExtrapolationException(TransformException):
    pass


class InvalidArgumentException(TransformException):
    pass


class TimeoutException(TransformException):
    pass


ERRORS = {
    Gap.UNKNOWN_FRAME: LookupException,
    Gap.DISCONNECTED: ConnectivityException,
    Gap.OTHER_TIME: ExtrapolationException,
}


class Buffer:
    def __init__(self, cache_time: Duration | None = None, node: Node | None = None) -> None:
        self._lock = threading.Lock()
        self._tree = Tree()

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Time, timeout: Duration | None = None
    ) -> TransformStamped:
        assert timeout is None or timeout == Duration(), "tf2 sleeps until the timeout"
        assert isinstance(time, Time)
        for name, frame in (("target_frame", target_frame), ("source_frame", source_frame)):
            if not frame or frame.startswith("/"):
                raise InvalidArgumentException(f'Invalid argument "{frame}" passed as {name}')
        try:
            with self._lock:
                pose = self._tree(target_frame, source_frame, time.nanoseconds)
        except NoTransformError as error:
            raise ERRORS[error.gap](str(error)) from None
        return message(target_frame, source_frame, pose, pose.stamp_ns)

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        stamp = Time.from_msg(transform.header.stamp).nanoseconds
        self._put(transform, stamp)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        self._put(transform, STATIC)

    def clear(self) -> None:
        with self._lock:
            self._tree.forget()

    def _put(self, transform: TransformStamped, stamp_ns: int) -> None:
        turn, shift = transform.transform.rotation, transform.transform.translation
        pose = Transform.from_quaternion(
            np.array([turn.x, turn.y, turn.z, turn.w]), np.array([shift.x, shift.y, shift.z])
        )
        with self._lock:
            self._tree.put(transform.header.frame_id, transform.child_frame_id, pose, stamp_ns)


class TransformListener:
    def __init__(
        self,
        buffer: Buffer,
        node: Node,
        *,
        spin_thread: bool = False,
        qos: Any = None,
        static_qos: Any = None,
    ) -> None:
        assert not spin_thread, "the node's executor hears /tf"
        self.buffer = buffer
        self.tf_sub = node.create_subscription(
            TransformStamped,
            "/tf",
            lambda heard: buffer.set_transform(heard, "default_authority"),
            100,
            callback_group=ReentrantCallbackGroup(),
        )


def message(parent: str, child: str, pose: Transform, stamp_ns: int) -> TransformStamped:
    """The pose of `child` in `parent` as tf2's message."""
    told = TransformStamped(child_frame_id=child)
    told.header.frame_id = parent
    told.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
    turn, shift = told.transform.rotation, told.transform.translation
    turn.x, turn.y, turn.z, turn.w = map(float, Rotation.from_matrix(pose.rotation).as_quat())
    shift.x, shift.y, shift.z = map(float, pose.translation)
    return told
