"""Answers as messages: the service's response, and the published topics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from pointsam_interfaces.msg import InstanceArray
from pointsam_interfaces.srv import SegmentPrompts
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.config import OutputQosSettings
from pointsam_ros.health.tally import Tally
from pointsam_ros.outputs import detection_msgs, mask_msgs
from pointsam_ros.outputs.answers import Answer
from pointsam_ros.outputs.found import Found
from pointsam_ros.outputs.qos import mismatch, profile

MessageOf = Callable[[Answer], Any]  # makes a topic's message; None: publish nothing


def response_of(answer: Answer, return_points: bool) -> SegmentPrompts.Response:
    """The response to an answered request; its message names objects with an empty mask."""
    source, found = answer.cloud.msg, answer.found
    response = SegmentPrompts.Response(success=True, code=SegmentPrompts.Response.OK)
    response.result = answer.message
    if return_points:
        response.object_points = [
            cloud_msgs.with_rows(source, each.instance.indices) for each in found
        ]
    if answer.empty:
        named = ", ".join(str(object_id) for object_id in answer.empty)
        response.message = f"the mask of these objects holds no point: {named}; click again"
    return response


class Outputs:
    """The topics for answers; a message is made only if its topic has a subscriber.

    `~/detections` exists only if vision_msgs is installed.
    """

    def __init__(self, node: LifecycleNode, settings: OutputQosSettings, tally: Tally) -> None:
        self._node = node
        self._settings = settings
        self._tally = tally
        self._topics = [
            self._topic(InstanceArray, "~/instances", lambda answer: answer.message),
            self._topic(PointCloud2, "~/segmented_points", _of(mask_msgs.segmented_points)),
            self._topic(PointCloud2, "~/remaining_points", _of(mask_msgs.remaining_points)),
            self._topic(Image, "~/instance_image", self._image),
            self._topic(MarkerArray, "~/markers", _under_header(mask_msgs.markers)),
        ]
        detections = detection_msgs.message_type()
        if detections is not None:
            made = _under_header(detection_msgs.detection_array)
            self._topics.append(self._topic(detections, "~/detections", made))

    def wanted(self) -> bool:
        """Whether any of the topics has a subscriber."""
        return any(publisher.get_subscription_count() for publisher, _ in self._topics)

    def publish(self, answer: Answer) -> None:
        """Publishes an answer on the topics with subscribers."""
        for publisher, message_of in self._topics:
            if publisher.get_subscription_count():
                message = message_of(answer)
                if message is not None:
                    publisher.publish(message)

    def destroy(self) -> None:
        """Closes the topics."""
        for publisher, _ in self._topics:
            self._node.destroy_lifecycle_publisher(publisher)

    def _topic(
        self, kind: type, name: str, message_of: MessageOf
    ) -> tuple[LifecyclePublisher, MessageOf]:
        remedy = "set outputs.qos.reliability to reliable, or subscribe with best effort"
        topic = self._node.resolve_topic_name(name)
        events = PublisherEventCallbacks(
            incompatible_qos=mismatch(self._tally, topic, remedy, input=False)
        )
        publisher = self._node.create_lifecycle_publisher(
            kind, name, profile(self._settings), event_callbacks=events
        )
        return publisher, message_of

    def _image(self, answer: Answer) -> Image | None:
        source = answer.cloud.msg
        if source.height == 1:
            self._node.get_logger().warn(
                "nothing is published on ~/instance_image: the clouds are not organised (height "
                "1), so they have no rows and columns; ~/segmented_points has the same ids",
                once=True,
            )
            return None
        return mask_msgs.instance_image(source, answer.found)


def _of(make: Callable[[PointCloud2, Sequence[Found]], Any]) -> MessageOf:
    return lambda answer: make(answer.cloud.msg, answer.found)


def _under_header(make: Callable[[Header, Sequence[Found]], Any]) -> MessageOf:
    return lambda answer: make(answer.cloud.msg.header, answer.found)
