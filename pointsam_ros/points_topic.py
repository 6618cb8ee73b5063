"""The subscription to clouds."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import PointCloud2

from pointsam_ros.config import QosSettings
from pointsam_ros.diagnostics import Tally

RELIABILITY = {
    "best_effort": QoSReliabilityPolicy.BEST_EFFORT,
    "reliable": QoSReliabilityPolicy.RELIABLE,
}


def subscribe(
    node: Node, settings: QosSettings, callback: Callable[[PointCloud2], None], tally: Tally
) -> Subscription:
    """Subscribes to `~/points`; clouds that the middleware loses are counted where it tells."""
    qos = QoSProfile(depth=settings.depth, reliability=RELIABILITY[settings.reliability])
    events = SubscriptionEventCallbacks(
        message_lost=lambda info: tally.cloud("lost", info.total_count_change)
    )
    try:
        return node.create_subscription(
            PointCloud2, "~/points", callback, qos, event_callbacks=events
        )
    except UnsupportedEventTypeError:
        return node.create_subscription(PointCloud2, "~/points", callback, qos)
