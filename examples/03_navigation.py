"""A navigation stack's client: everything in the newest cloud -> obstacles to keep away from.

    python examples/03_navigation.py --within 5.0

Obstacles are in the cloud's coordinate frame, nearest first.

Besides ROS it needs `pointsam_interfaces` and `pointsam_ros.client` only, neither torch nor the
model. The client sends a goal again that is lost or cannot be carried out yet, and cancels one
that takes too long.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np
import rclpy

from pointsam_interfaces.msg import InstanceArray
from pointsam_ros.client import NoAnswerError, PointSamClient, RefusedError


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


def _print_progress(done: int, total: int) -> None:
    print(f"{done} of {total} prompts", file=sys.stderr)


def main() -> int:
    """Asks and prints the obstacles; 1 where the cloud cannot be had."""
    parser = argparse.ArgumentParser(description="Prints the obstacles in the newest cloud.")
    parser.add_argument(
        "--min-score",
        type=float,
        default=0.0,
        help="least score of an obstacle, 0 to 1",
    )
    parser.add_argument("--within", type=float, default=np.inf, help="distance to look at [m]")
    parser.add_argument("--node", default="/pointsam", help="name of the node that is asked")
    parser.add_argument("--timeout", type=float, default=60.0, help="of an attempt [s]")
    asked = parser.parse_args()
    rclpy.init()
    client = PointSamClient(
        rclpy.create_node("navigation_client"), asked.node, goal_timeout_s=asked.timeout
    )
    try:
        found = client.propose(min_score=asked.min_score, on_progress=_print_progress)
    except (NoAnswerError, RefusedError) as error:
        print(f"no obstacles known: {error}")
        return 1
    for obstacle in obstacles_of(found, asked.within):
        place = " ".join(f"{value:.3f}" for value in obstacle.center)
        print(f"obstacle {obstacle.id} at {place}, radius {obstacle.radius:.3f} m")
    return 0


if __name__ == "__main__":
    sys.exit(main())
