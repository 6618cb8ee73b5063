"""What any program does that wants masks: publish the cloud, call the service."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import rclpy
from geometry_msgs.msg import Point
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from pointsam_interfaces.srv import SegmentPrompts
from pointsam_model.data.readers import SensorCloud
from pointsam_ros.clouds import cloud_msgs

Response = SegmentPrompts.Response
PATIENT_CODES = (Response.NOT_READY, Response.NO_CLOUD, Response.OVERLOADED)
ASK_AGAIN_S = 5.0  # without any answer; longer after each, as the node may merely be slow


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


class Client(Node):
    """Publishes clouds on `/pointsam/points` and asks `/pointsam/segment_prompts`.

    Args:
        check: raises where the node has ended.
        timeout_s: longest wait for anything [s].
    """

    def __init__(self, check: Callable[[], None], timeout_s: float) -> None:
        super().__init__("pointsam_demo")
        self._check = check
        self._deadline = time.monotonic() + timeout_s
        self._timeout_s = timeout_s
        qos = QoSProfile(depth=2, reliability=QoSReliabilityPolicy.RELIABLE)
        self._publisher = self.create_publisher(PointCloud2, "/pointsam/points", qos)
        self._service = self.create_client(SegmentPrompts, "/pointsam/segment_prompts")

    def wait_for_node(self) -> None:
        """Returns once the node's service and its subscription are there.

        Raises:
            DemoError: it does not come in time.
        """
        while not (self._service.service_is_ready() and self._publisher.get_subscription_count()):
            self._wait("the node did not offer /pointsam/segment_prompts and take /pointsam/points")

    def publish(self, msg: PointCloud2) -> None:
        """Sends the cloud as a sensor does, with the time of now."""
        msg.header.stamp = self.get_clock().now().to_msg()
        self._publisher.publish(msg)

    def segment(self, msg: PointCloud2, clicks: Sequence[Click], session: str) -> Answer:
        """Asks for the masks of all clicked objects of a published cloud.

        While the node loads its model or is busy the request is made again; where the cloud got
        lost, as a sensor's may, it is sent again first. A node under load may not yet know the
        client that it answers, and that answer is lost: a request without a session is then made
        again, too; in a session its clicks would count twice.

        Raises:
            DemoError: no answer in time, or a refusal.
        """
        patience = math.inf if session else ASK_AGAIN_S
        while True:
            request = _request(msg.header, clicks, session)
            started = time.perf_counter()
            future = self._service.call_async(request)
            while not future.done() and time.perf_counter() - started < patience:
                self._wait("the node did not answer", future)
            if not future.done():
                self._service.remove_pending_request(future)
                patience *= 2
                continue
            milliseconds = (time.perf_counter() - started) * 1e3
            response = future.result()
            if response is not None and response.success:
                return Answer(_masks(response), milliseconds)
            if response is None or response.code not in PATIENT_CODES:
                said = "no response" if response is None else response.message
                raise DemoError(f"the node refused the request: {said}")
            self._pause(0.3, f"the node still says: {response.message}")
            if response.code == Response.NO_CLOUD:
                self.publish(msg)

    def _wait(self, late: str, future: rclpy.task.Future | None = None) -> None:
        """Lets ROS work for a moment."""
        if future is None:
            rclpy.spin_once(self, timeout_sec=0.05)
        else:
            rclpy.spin_until_future_complete(self, future, timeout_sec=0.5)
        self._check()
        if time.monotonic() > self._deadline and (future is None or not future.done()):
            raise DemoError(f"{late} within {self._timeout_s:.0f} s (--timeout)")

    def _pause(self, seconds: float, late: str) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._wait(late)


def message_of(cloud: SensorCloud) -> PointCloud2:
    """The cloud as the sensor's driver would send it; one from a bag is the recorded message."""
    if cloud.cdr is not None:
        return deserialize_message(cloud.cdr, PointCloud2)
    intensity = {} if cloud.intensity is None else {"intensity": cloud.intensity}
    header = Header(frame_id=cloud.frame_id or "sensor")
    return cloud_msgs.write(header, cloud.xyz, cloud.rgb, height=cloud.height, **intensity)


def _request(header: Header, clicks: Sequence[Click], session: str) -> SegmentPrompts.Request:
    request = SegmentPrompts.Request(header=header, session=session)
    # numpy's scalars abort the process in message fields: Python's own numbers only
    request.points = [
        Point(**dict(zip("xyz", each.point.tolist(), strict=True))) for each in clicks
    ]
    request.labels = bytes(each.label for each in clicks)
    request.object_ids = [int(each.object_id) for each in clicks]
    return request


def _masks(response: SegmentPrompts.Response) -> dict[int, Mask]:
    """The best mask of each object."""
    masks: dict[int, Mask] = {}
    for instance in response.result.instances:
        rows = np.frombuffer(instance.indices, dtype=np.uint32).astype(np.int64)
        masks.setdefault(instance.object_id, Mask(instance.object_id, rows, instance.score))
    return masks
