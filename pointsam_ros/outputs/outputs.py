"""An answer as messages: the service's response, and the topics that others listen to."""

from __future__ import annotations

from rclpy.event_handler import PublisherEventCallbacks
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from sensor_msgs.msg import PointCloud2
from visualization_msgs.msg import MarkerArray

from pointsam_interfaces.msg import InstanceArray
from pointsam_interfaces.srv import SegmentPrompts
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.config import OutputQosSettings
from pointsam_ros.health.tally import Tally
from pointsam_ros.outputs import detection_msgs, mask_msgs
from pointsam_ros.outputs.answers import Answer
from pointsam_ros.outputs.qos import mismatch, profile


def response_of(answer: Answer, return_points: bool) -> SegmentPrompts.Response:
    """The response to an answered request; objects whose mask is empty are named in its message."""
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
    """`~/instances`, `~/segmented_points` and `~/markers`, each only while someone subscribes.

    And `~/detections` where vision_msgs is installed.
    """

    def __init__(self, node: LifecycleNode, settings: OutputQosSettings, tally: Tally) -> None:
        self._node = node
        self._settings = settings
        self._tally = tally
        self._instances = self._publisher(InstanceArray, "~/instances")
        self._points = self._publisher(PointCloud2, "~/segmented_points")
        self._markers = self._publisher(MarkerArray, "~/markers")
        detections = detection_msgs.message_type()
        self._detections = self._publisher(detections, "~/detections") if detections else None

    def wanted(self) -> bool:
        """Whether somebody subscribes to any of them."""
        return any(publisher.get_subscription_count() for publisher in self._publishers())

    def publish(self, answer: Answer) -> None:
        """Publishes an answer on the topics that somebody listens to."""
        source, found = answer.cloud.msg, answer.found
        if self._instances.get_subscription_count():
            self._instances.publish(answer.message)
        if self._points.get_subscription_count():
            self._points.publish(mask_msgs.segmented_points(source, found))
        if self._markers.get_subscription_count():
            self._markers.publish(mask_msgs.markers(source.header, found))
        if self._detections is not None and self._detections.get_subscription_count():
            self._detections.publish(detection_msgs.detection_array(source.header, found))

    def destroy(self) -> None:
        """Takes the topics away."""
        for publisher in self._publishers():
            self._node.destroy_lifecycle_publisher(publisher)

    def _publisher(self, kind: type, name: str) -> LifecyclePublisher:
        remedy = "set outputs.qos.reliability to reliable, or subscribe with best effort"
        topic = self._node.resolve_topic_name(name)
        events = PublisherEventCallbacks(
            incompatible_qos=mismatch(self._tally, topic, remedy, input=False)
        )
        return self._node.create_lifecycle_publisher(
            kind, name, profile(self._settings), event_callbacks=events
        )

    def _publishers(self) -> list[LifecyclePublisher]:
        known = (self._instances, self._points, self._markers, self._detections)
        return [publisher for publisher in known if publisher is not None]
