"""A client of the node: publishes clouds, asks, and reads what the node counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from sensor_msgs.msg import PointCloud2
from std_srvs.srv import Trigger

from pointsam_interfaces.action import ProposeInstances
from pointsam_interfaces.srv import SegmentPrompts
from pointsam_ros.client import PointSamClient
from pointsam_ros.client.node_process import NodeProcess

PATIENCE_S = 120.0  # for one answer, on a busy machine
FIRST_DEPTH = 200  # clouds that wait in the publisher for a node that is busy


class NodeEndedError(Exception):
    """The node has ended, or does not answer; says what it printed last."""


class Planner:
    """Talks to the node `pointsam` from a context of its own.

    Args:
        process: the node; its end is an error.
        name: of the client's ROS node.
    """

    def __init__(self, process: NodeProcess, name: str = "planner") -> None:
        self._process = process
        self._context = rclpy.Context()
        rclpy.init(context=self._context, args=[], signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node(name, context=self._context)
        self._executor = rclpy.executors.SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        qos = QoSProfile(depth=FIRST_DEPTH, reliability=QoSReliabilityPolicy.RELIABLE)
        self._points = self.node.create_publisher(PointCloud2, "/pointsam/points", qos)
        self._pointsam = PointSamClient(self.node)
        self._clicks = self.node.create_publisher(PointStamped, "/clicked_point", 10)
        self._reset = self.node.create_client(Trigger, "/pointsam/reset_clicks")
        self._told: dict[str, str] = {}
        self._times_told = 0
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def close(self) -> None:
        """Leaves the middleware."""
        self._executor.shutdown()
        self._pointsam.destroy()
        self.node.destroy_node()
        self._context.try_shutdown()

    def spin(self, seconds: float = 0.0) -> None:
        """Lets messages come, for one callback or for a while.

        Raises:
            NodeEndedError: the node has ended.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._executor.spin_once(0.02)
            if self._process.exit_status is not None:
                raise NodeEndedError(f"the node ended:\n{self._process.last_lines()}")
            if time.monotonic() >= deadline:
                return

    def wait_for(self, done: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> None:
        """Spins until `done`.

        Raises:
            NodeEndedError: the node has ended, or it takes longer than the patience.
        """
        deadline = time.monotonic() + patience_s
        while not done():
            self.spin()
            if time.monotonic() > deadline:
                raise NodeEndedError(
                    f"no {what} within {patience_s:.0f} s:\n{self._process.last_lines()}"
                )

    def wait_until_ready(self) -> None:
        """Until the model is loaded, all doors are seen, and answers find their way here."""
        self.wait_for(self._pointsam.goals.server_is_ready, "action")
        self.wait_for(self._points.get_subscription_count, "subscription to clouds")
        ready = self._executor.create_task(self._pointsam.wait_until_ready_async(2 * PATIENCE_S))
        self.wait_for(ready.done, "model")

    def publish(self, msg: PointCloud2) -> None:
        """Sends a cloud as a sensor does."""
        self._points.publish(msg)

    def begin(self, request: SegmentPrompts.Request) -> Future:
        """Sends a request; the future of its response."""
        return self._pointsam.prompts.call_async(request)

    def ask(self, request: SegmentPrompts.Request) -> Any:
        """The response to a request."""
        future = self.begin(request)
        self.wait_for(future.done, "answer")
        return future.result()

    def click(self, point: PointStamped) -> None:
        """Clicks as a person does in RViz."""
        self._clicks.publish(point)

    def reset_clicks(self) -> Future:
        """Starts a new object; the future of the response."""
        return self._reset.call_async(Trigger.Request())

    def propose(self, goal: ProposeInstances.Goal) -> Future:
        """Sends a goal; the future of its result."""
        outcome: Future = Future()

        def on_accepted(sent: Future) -> None:
            sent.result().get_result_async().add_done_callback(
                lambda result: outcome.set_result(result.result().result)
            )

        self._pointsam.goals.send_goal_async(goal).add_done_callback(on_accepted)
        return outcome

    def counters(self) -> dict[str, int]:
        """What the node has counted by now, by the names of its diagnostics."""
        heard = self._times_told
        self.wait_for(lambda: self._times_told >= heard + 2, "diagnostics")
        return {name: int(value) for name, value in self._told.items() if value.isdigit()}

    def milliseconds(self) -> dict[str, float]:
        """What the node's work took of late [ms], by the names of its diagnostics."""
        return {name: float(each) for name, each in self._told.items() if "[ms]" in name and each}

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith(": segmentation"):
                self._told = {each.key: each.value for each in status.values}
                self._times_told += 1
