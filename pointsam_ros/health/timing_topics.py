"""The topics `~/debug/*`: how long each stage of the work took."""

from __future__ import annotations

import threading

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Float64

from pointsam_ros.health.tally import STAGES

DEPTH = 10


class TimingTopics:
    """Publishes each stage's time [ms] as it ends, on `~/debug/STAGE_ms`, while somebody listens.

    They are times on the wall, waiting for other work included. With a GPU they are exact while
    somebody subscribes to any of them: the node then waits for the GPU after each stage, which
    makes embedding a little slower. May be used from several threads.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._publishers = {
            stage: node.create_lifecycle_publisher(Float64, f"~/debug/{stage}_ms", DEPTH)
            for stage in STAGES
        }

    def watches(self) -> bool:
        """Whether somebody subscribes to any of them."""
        with self._lock:
            return any(
                publisher.get_subscription_count() for publisher in self._publishers.values()
            )

    def took(self, stage: str, seconds: float) -> None:
        """Publishes how long one of STAGES took, if somebody listens."""
        with self._lock:
            publisher = self._publishers.get(stage)
            if publisher is not None and publisher.get_subscription_count():
                publisher.publish(Float64(data=float(seconds * 1e3)))

    def destroy(self) -> None:
        """Takes the topics away."""
        with self._lock:
            publishers, self._publishers = self._publishers, {}
        for publisher in publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
