"""Quality of service by parameters, and who cannot be heard because of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import QoSProfile, QoSReliabilityPolicy, qos_policy_name_from_kind

from pointsam_ros.config import OutputQosSettings, QosSettings
from pointsam_ros.health.tally import Tally

RELIABILITY = {
    "best_effort": QoSReliabilityPolicy.BEST_EFFORT,
    "reliable": QoSReliabilityPolicy.RELIABLE,
}


def profile(settings: QosSettings | OutputQosSettings) -> QoSProfile:
    """What the parameters ask for; the rest is ROS's default."""
    return QoSProfile(depth=settings.depth, reliability=RELIABILITY[settings.reliability])


def mismatch(tally: Tally, topic: str, remedy: str, input: bool) -> Callable[[Any], None]:
    """What the middleware is to call when it finds somebody whose QoS does not fit ours.

    Args:
        tally: is told.
        topic: on which.
        remedy: what would be right.
        input: it is a publisher that the node cannot hear; else a subscriber that cannot hear it.
    """
    who = "a publisher of" if input else "a subscriber to"

    def told(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        tally.incompatible(f"the {policy} of {who} {topic} does not fit: {remedy}", input)

    return told
