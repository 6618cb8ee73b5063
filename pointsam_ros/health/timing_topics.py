"""The topics `~/debug/*`: processing times of each stage."""

from __future__ import annotations

import threading

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Float64

from pointsam_ros.health.tally import STAGES

DEPTH = 10


class TimingTopics:
    """Publishes the time of each stage [ms] on `~/debug/STAGE_ms`, if it has subscribers.

    These are wall times, including waits for other work. On a GPU they are exact while any of the
    topics has a subscriber: the node then waits for the GPU after each stage, which makes embedding
    a little slower. Thread-safe.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._publishers = {
            stage: node.create_lifecycle_publisher(Float64, f"~/debug/{stage}_ms", DEPTH)
            for stage in STAGES
        }

    def watches(self) -> bool:
        """Whether any of the topics has a subscriber."""
        with self._lock:
            return any(
                publisher.get_subscription_count() for publisher in self._publishers.values()
            )

    def took(self, stage: str, seconds: float) -> None:
        """Publishes how long one of STAGES took, if its topic has a subscriber."""
        with self._lock:
            publisher = self._publishers.get(stage)
            if publisher is not None and publisher.get_subscription_count():
                publisher.publish(Float64(data=float(seconds * 1e3)))

    def destroy(self) -> None:
        """Closes the topics."""
        with self._lock:
            publishers, self._publishers = self._publishers, {}
        for publisher in publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
