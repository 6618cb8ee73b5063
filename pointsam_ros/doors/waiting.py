"""Waiting for some time without holding up the executor."""

from __future__ import annotations

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.task import Future

from pointsam_ros.process.process import WorkNode


async def pause(node: WorkNode, seconds: float) -> None:
    """Lets other callbacks of a node's executor run for so long, by the wall's time."""
    over = Future(executor=node.executor)
    timer = node.create_timer(
        seconds,
        lambda: over.set_result(None),
        callback_group=ReentrantCallbackGroup(),
        clock=Clock(clock_type=ClockType.STEADY_TIME),  # simulated time may stand still
    )
    try:
        await over
    finally:
        node.destroy_timer(timer)
