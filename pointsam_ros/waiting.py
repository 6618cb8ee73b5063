"""Waiting in a node's executor: for a future or for some time, and from outside of it."""

from __future__ import annotations

import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future

Result = TypeVar("Result")


async def until(node: Node, done: Future | None, seconds: float) -> bool:
    """Lets other callbacks run until a future is done or time is up; returns whether it is done.

    Args:
        node: in whose executor the caller runs.
        done: the future of one of the node's calls; None: wait for the time only.
        seconds: longest wait, in wall time even if the node's time is simulated.
    """
    if done is not None and done.done():
        return True
    over = Future(executor=node.executor)

    def end(_: object = None) -> None:
        if not over.done():
            over.set_result(None)

    timer = node.create_timer(
        seconds,
        end,
        callback_group=ReentrantCallbackGroup(),
        clock=Clock(clock_type=ClockType.STEADY_TIME),
    )
    if done is not None:
        done.add_done_callback(end)
    try:
        await over
    finally:
        node.destroy_timer(timer)
    return done is not None and done.done()


def from_outside(node: Node, coroutine: Coroutine[Any, Any, Result], seconds: float) -> Result:
    """Runs a coroutine in a node's executor and waits for its result.

    A node without an executor is spun meanwhile. One with an executor must be spun by another
    thread.

    Raises:
        TimeoutError: the coroutine has not ended within `seconds`.
        Exception: what the coroutine raises.
    """

    async def caught() -> Result | Exception:
        try:
            return await coroutine
        except Exception as error:  # raising it here would end the thread that spins the node
            return error

    spun = node.executor
    if spun is None or node not in spun.get_nodes():  # after removal a node still names it
        executor = SingleThreadedExecutor(context=node.context)
        node.executor = executor
        try:
            task = executor.create_task(caught())
            executor.spin_until_future_complete(task, timeout_sec=seconds)
        finally:
            node.executor = None
            executor.shutdown()
    else:
        task, ended = spun.create_task(caught()), threading.Event()
        task.add_done_callback(lambda _: ended.set())
        ended.wait(seconds)
    if not task.done():
        task.cancel()
        with suppress(ValueError):  # another thread is in the middle of it
            coroutine.close()
        raise TimeoutError(
            f"not done within {seconds:g} s: does another thread spin the node? In a callback of "
            "the node's own executor use the method that ends with _async"
        )
    result = task.result()
    if isinstance(result, Exception):
        raise result
    return result  # type: ignore[no-any-return]
