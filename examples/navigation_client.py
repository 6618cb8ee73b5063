"""A navigation stack's client: everything in the newest cloud -> obstacles to keep away from.

    python examples/navigation_client.py --min-score 0.6 --within 5.0

Obstacles are in the cloud's coordinate frame, nearest first.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np
import rclpy
from rclpy.action import ActionClient

from pointsam_interfaces.action import ProposeInstances
from pointsam_interfaces.msg import InstanceArray


@dataclass(frozen=True)
class Obstacle:
    """A sphere that holds an object: its id, centre (3,) [m] and radius [m]."""

    id: int
    center: np.ndarray
    radius: float

    @property
    def distance(self) -> float:
        """From the sensor to its surface [m]; 0 within it."""
        return max(0.0, float(np.linalg.norm(self.center)) - self.radius)


def obstacles_of(array: InstanceArray, within_m: float) -> list[Obstacle]:
    """The objects of a cloud that are not farther than `within_m`, nearest first."""
    obstacles = []
    for instance in array.instances:
        center, size = instance.box_pose.position, instance.box_size
        radius = float(np.linalg.norm([size.x, size.y, size.z])) / 2
        obstacles.append(Obstacle(instance.id, np.array([center.x, center.y, center.z]), radius))
    near = [obstacle for obstacle in obstacles if obstacle.distance <= within_m]
    return sorted(near, key=lambda obstacle: obstacle.distance)


def main() -> int:
    """Asks once and prints the obstacles; 1 where the cloud cannot be had."""
    parser = argparse.ArgumentParser(description="Prints the obstacles in the newest cloud.")
    parser.add_argument("--min-score", type=float, default=0.0, help="0: the node's parameter")
    parser.add_argument("--within", type=float, default=np.inf, help="distance to look at [m]")
    parser.add_argument("--action", default="/pointsam/propose_instances")
    asked = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node("navigation_client")
    client = ActionClient(node, ProposeInstances, asked.action)
    if not client.wait_for_server(10.0):
        print(f"no action {asked.action}: is the node running?")
        return 1
    sent = client.send_goal_async(
        ProposeInstances.Goal(min_score=asked.min_score),
        lambda message: print(
            f"{message.feedback.prompts_done} of {message.feedback.prompts_total} prompts",
            file=sys.stderr,
        ),
    )
    rclpy.spin_until_future_complete(node, sent)
    answer = sent.result().get_result_async()
    rclpy.spin_until_future_complete(node, answer)
    result = answer.result().result
    if not result.success:
        print(f"no obstacles known: {result.message}")
        return 1
    for obstacle in obstacles_of(result.result, asked.within):
        place = " ".join(f"{value:.3f}" for value in obstacle.center)
        print(f"obstacle {obstacle.id} at {place}, radius {obstacle.radius:.3f} m")
    return 0


if __name__ == "__main__":
    sys.exit(main())
