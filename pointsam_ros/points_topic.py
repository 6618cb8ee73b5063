"""The subscription to clouds."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import PointCloud2

from pointsam_ros.config import QosSettings
from pointsam_ros.gaps import Gaps
from pointsam_ros.qos import mismatch, profile
from pointsam_ros.tally import Tally


def subscribe(
    node: Node,
    settings: QosSettings,
    callback: Callable[[PointCloud2], None],
    tally: Tally,
    gaps: Gaps,
) -> Subscription:
    """Subscribes to `~/points`; clouds that are lost on their way are counted where DDS tells."""

    def lost(count: int) -> None:
        tally.cloud("lost", count)
        gaps.lost(count)

    remedy = "set points.qos.reliability to best_effort, or make the publisher reliable"
    unheard = mismatch(tally, node.resolve_topic_name("~/points"), remedy, input=True)
    events = SubscriptionEventCallbacks(
        incompatible_qos=unheard,
        message_lost=lambda info: lost(info.total_count_change),
    )
    qos = profile(settings)
    try:
        made = node.create_subscription(
            PointCloud2, "~/points", callback, qos, event_callbacks=events
        )
        gaps.losses_told = True
        return made
    except UnsupportedEventTypeError:
        return node.create_subscription(PointCloud2, "~/points", callback, qos)
