"""The subscription to clouds."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import PointCloud2

from pointsam_ros.config import QosSettings
from pointsam_ros.diagnostics import Tally
from pointsam_ros.qos import mismatch, profile


def subscribe(
    node: Node, settings: QosSettings, callback: Callable[[PointCloud2], None], tally: Tally
) -> Subscription:
    """Subscribes to `~/points`; clouds that the middleware loses are counted where it tells."""
    remedy = "set points.qos.reliability to best_effort, or make the publisher reliable"
    unheard = mismatch(tally, node.resolve_topic_name("~/points"), remedy, input=True)
    events = SubscriptionEventCallbacks(
        incompatible_qos=unheard,
        message_lost=lambda info: tally.cloud("lost", info.total_count_change),
    )
    qos = profile(settings)
    try:
        return node.create_subscription(
            PointCloud2, "~/points", callback, qos, event_callbacks=events
        )
    except UnsupportedEventTypeError:
        return node.create_subscription(PointCloud2, "~/points", callback, qos)
