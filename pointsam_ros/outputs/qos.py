"""Quality of service from parameters, and reports of incompatible peers."""

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
    """The profile for the parameters; all else is ROS's default."""
    return QoSProfile(depth=settings.depth, reliability=RELIABILITY[settings.reliability])


def mismatch(tally: Tally, topic: str, remedy: str, input: bool) -> Callable[[Any], None]:
    """A callback for the middleware to report a peer with incompatible QoS.

    Args:
        tally: records the report.
        topic: the topic concerned.
        remedy: what to change, for the message.
        input: True: the peer is a publisher to the node; False: a subscriber of it.
    """
    who = "a publisher of" if input else "a subscriber to"

    def told(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        tally.incompatible(f"the {policy} of {who} {topic} does not fit: {remedy}", input)

    return told
