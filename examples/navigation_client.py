"""A navigation stack's client: everything in the newest cloud -> obstacles to keep away from.

    python examples/navigation_client.py --within 5.0

Obstacles are in the cloud's coordinate frame, nearest first.

Besides ROS it needs `pointsam_interfaces` and numpy only: no torch, nothing of the node.

A node that is killed in the middle of a goal never ends it: `result_of` waits no longer than it
should, and sends the goal again.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

import numpy as np
import rclpy
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

from pointsam_interfaces.action import ProposeInstances
from pointsam_interfaces.msg import InstanceArray
from pointsam_interfaces.srv import SegmentPrompts

# Each client of an action hears the answers to all its clients. With ROS's default of the last ten,
# the own answer would be lost among those of busy neighbours.
ANSWERS = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)
ATTEMPTS = 4
PAUSE_S = 1.0  # before sending again what could not be carried out yet
PASSING = (
    SegmentPrompts.Response.NO_CLOUD,
    SegmentPrompts.Response.NOT_READY,
    SegmentPrompts.Response.OVERLOADED,
)


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


def result_of(
    goal: ProposeInstances.Goal, node: Node, client: ActionClient, timeout_s: float
) -> ProposeInstances.Result:
    """Sends a goal until it has a result that will not pass, at most ATTEMPTS times.

    Raises:
        TimeoutError: the last attempt had no result within `timeout_s`.
    """
    for attempt in range(1, ATTEMPTS + 1):
        result = _attempt(goal, node, client, timeout_s)
        if result is not None and result.code not in PASSING:
            break
        why = f"no result within {timeout_s:g} s" if result is None else result.message
        if attempt < ATTEMPTS:
            print(f"asks again: {why}", file=sys.stderr)
            time.sleep(PAUSE_S)
    if result is None:
        raise TimeoutError(why)
    return result


def _attempt(
    goal: ProposeInstances.Goal, node: Node, client: ActionClient, timeout_s: float
) -> ProposeInstances.Result | None:
    sent = client.send_goal_async(goal, _print_progress)
    rclpy.spin_until_future_complete(node, sent, timeout_sec=timeout_s)
    if not sent.done():
        return None
    answer = sent.result().get_result_async()
    rclpy.spin_until_future_complete(node, answer, timeout_sec=timeout_s)
    if not answer.done():
        sent.result().cancel_goal_async()  # else the node would work on what nobody waits for
        return None
    return answer.result().result


def _print_progress(message: ProposeInstances.Impl.FeedbackMessage) -> None:
    told = message.feedback
    print(f"{told.prompts_done} of {told.prompts_total} prompts", file=sys.stderr)


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
    parser.add_argument("--action", default="/pointsam/propose_instances")
    parser.add_argument("--timeout", type=float, default=60.0, help="of an attempt [s]")
    asked = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node("navigation_client")
    client = ActionClient(
        node,
        ProposeInstances,
        asked.action,
        goal_service_qos_profile=ANSWERS,
        result_service_qos_profile=ANSWERS,
        cancel_service_qos_profile=ANSWERS,
    )
    if not client.wait_for_server(10.0):
        print(f"no action {asked.action}: is the node running?")
        return 1
    try:
        goal = ProposeInstances.Goal(min_score=asked.min_score)
        result = result_of(goal, node, client, asked.timeout)
    except TimeoutError as error:
        print(f"no obstacles known: {error}")
        return 1
    if not result.success:
        print(f"no obstacles known: {result.message}")
        return 1
    for obstacle in obstacles_of(result.result, asked.within):
        place = " ".join(f"{value:.3f}" for value in obstacle.center)
        print(f"obstacle {obstacle.id} at {place}, radius {obstacle.radius:.3f} m")
    return 0


if __name__ == "__main__":
    sys.exit(main())
