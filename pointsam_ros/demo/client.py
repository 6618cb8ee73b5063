"""What any program does that wants masks: publish the cloud, call the service."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import rclpy
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from pointsam_interfaces.srv import SegmentPrompts
from pointsam_model.data.readers import SensorCloud
from pointsam_ros.client import Code, PointSamClient, RefusedError
from pointsam_ros.clouds import cloud_msgs

PAUSE_S = 0.1  # between two looks, and before the same is asked again


class DemoError(Exception):
    """The demonstration cannot go on; says why."""


@dataclass(frozen=True)
class Click:
    """One click of a request: a point [m], 1 on or 0 off the object, and the object's number."""

    point: np.ndarray
    label: int
    object_id: int


@dataclass(frozen=True)
class Mask:
    """One object's answer: rows of the cloud in its mask, and the predicted IoU, 0 to 1."""

    object_id: int
    rows: np.ndarray
    score: float


@dataclass(frozen=True)
class Answer:
    """The masks of a request by object, and the time from sending to having them [ms]."""

    masks: dict[int, Mask]
    milliseconds: float

    def beside(self, earlier: Answer, clicks: Sequence[Click]) -> Answer:
        """This answer to `clicks`, with the earlier masks of the objects it was not asked about."""
        asked = {click.object_id for click in clicks}
        kept = {number: mask for number, mask in earlier.masks.items() if number not in asked}
        return Answer({**kept, **self.masks}, self.milliseconds)


class Client:
    """Publishes clouds on `/pointsam/points` and asks about them.

    Args:
        check: raises where the node has ended, or it takes too long.
        timeout_s: longest wait for anything [s].
    """

    def __init__(self, check: Callable[[], None], timeout_s: float) -> None:
        self._check, self._timeout_s = check, timeout_s
        self._node = rclpy.create_node("pointsam_demo")
        qos = QoSProfile(depth=2, reliability=QoSReliabilityPolicy.RELIABLE)
        self._publisher = self._node.create_publisher(PointCloud2, "/pointsam/points", qos)
        self._pointsam = PointSamClient(
            self._node, timeout_s=timeout_s, pause_s=PAUSE_S, check=check
        )

    def destroy(self) -> None:
        """Takes its node away."""
        self._pointsam.destroy()
        self._node.destroy_node()

    def wait_for_node(self) -> None:
        """Returns once the node takes clouds."""
        while not self._publisher.get_subscription_count():
            self._check()
            time.sleep(PAUSE_S)

    def wait_until_ready(self) -> None:
        """Returns once the node has loaded its model."""
        self._pointsam.wait_until_ready(self._timeout_s)

    def publish(self, msg: PointCloud2) -> None:
        """Sends the cloud as a sensor does, with the time of now."""
        msg.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(msg)

    def segment(self, msg: PointCloud2, clicks: Sequence[Click], session: str) -> Answer:
        """The masks of all clicked objects of a published cloud.

        A cloud that got lost, as a sensor's may, is sent again.

        Raises:
            RefusedError: says why.
            NoAnswerError: none has come in time.
        """
        while True:
            started = time.perf_counter()
            try:
                response = self._pointsam.segment(
                    [click.point for click in clicks],
                    [click.label for click in clicks],
                    object_ids=[click.object_id for click in clicks],
                    frame_id=msg.header.frame_id,
                    stamp=msg.header.stamp,
                    session=session,
                )
            except RefusedError as refused:
                if refused.code != Code.NO_CLOUD:
                    raise
                self.publish(msg)
            else:
                return Answer(_masks(response), (time.perf_counter() - started) * 1e3)


def message_of(cloud: SensorCloud) -> PointCloud2:
    """The cloud as the sensor's driver would send it; one from a bag is the recorded message."""
    if cloud.cdr is not None:
        return deserialize_message(cloud.cdr, PointCloud2)
    intensity = {} if cloud.intensity is None else {"intensity": cloud.intensity}
    header = Header(frame_id=cloud.frame_id or "sensor")
    return cloud_msgs.write(header, cloud.xyz, cloud.rgb, height=cloud.height, **intensity)


def _masks(response: SegmentPrompts.Response) -> dict[int, Mask]:
    """The best mask of each object."""
    masks: dict[int, Mask] = {}
    for instance in response.result.instances:
        rows = np.frombuffer(instance.indices, dtype=np.uint32).astype(np.int64)
        masks.setdefault(instance.object_id, Mask(instance.object_id, rows, instance.score))
    return masks
