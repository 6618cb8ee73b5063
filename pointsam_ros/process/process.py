"""Runs nodes as a process: starts them, spins until a signal arrives, and ends cleanly."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

import rclpy
import rclpy.utilities
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from rclpy.logging import get_logger
from rclpy.signals import SignalHandlerOptions

from pointsam_model.errors import ConfigError
from pointsam_ros.process.allocator import return_freed_memory

# The model's thread needs the interpreter between any two operations of the network. With Python's
# default of 5 ms it would wait that long each time the executor's thread is busy.
SWITCH_S = 0.0005
LAST_ANSWERS_S = 0.5  # time at shutdown to refuse open requests [s]
LAST_RESULTS_S = 0.5  # time at shutdown for messages still in the middleware [s]


class WorkNode(LifecycleNode):
    """A lifecycle node that `run` can run.

    Attributes:
        failure: why the process must end with an error, or None.
    """

    failure: str | None = None

    def now_ns(self) -> int:
        """The node's time [ns], wall or simulated."""
        return int(self.get_clock().now().nanoseconds)

    @property
    def open_requests(self) -> int:
        """Number of requests not yet answered."""
        return 0

    def start(self) -> None:
        """Configures and activates the node, if it does so by itself."""
        raise NotImplementedError

    def destroy_node(self) -> None:
        """Destroys the node, and frees the middleware's shared memory."""
        super().destroy_node()
        # rclpy does not destroy the state machine, which keeps the participant: 35 MB of /dev/shm.
        machine = getattr(self, "_state_machine", None)
        if machine is not None:
            machine.destroy_when_not_in_use()


def own_arguments(command_line: Sequence[str]) -> list[str]:
    """The arguments without ROS arguments and the program's name.

    If ROS cannot parse its own arguments, the process prints why and exits with status 1.
    """
    try:
        return list(rclpy.utilities.remove_ros_args(command_line)[1:])
    except Exception as error:
        _tell_of_start(error)
        sys.exit(1)


def run(make_nodes: Callable[[], Sequence[WorkNode]], args: list[str] | None = None) -> NoReturn:
    """Spins nodes until SIGINT, SIGTERM or the failure of one, and ends the process.

    Waiting requests are answered first; the model's running job is not waited for. The exit status
    is 0 after a signal, and 1 after a failure, whose reason is in the log.
    """
    sys.setswitchinterval(SWITCH_S)
    return_freed_memory()
    status = _spin(make_nodes, args)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # the pipe is closed, or the disk is full
            stream.flush()
    # Skips the interpreter's shutdown: with PyTorch that takes seconds, and it would unload modules
    # that a running job of the model still uses.
    os._exit(status)


def _spin(make_nodes: Callable[[], Sequence[WorkNode]], args: list[str] | None) -> int:
    stop = StopSignals()
    # rclpy's own handlers would shut the context down, and pending requests would get no answer.
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # a wrong argument, no such parameter file, no place for logs
        _tell_of_start(error)
        return 1
    try:
        nodes = make_nodes()
    except ConfigError as error:
        get_logger("pointsam").fatal(str(error))
        return 1
    executor = SingleThreadedExecutor()
    stop.wake = executor.wake
    for node in nodes:
        executor.add_node(node)
        node.start()
    while not (stop.came or _failed(nodes)) and _spin_once(nodes[0], executor):
        pass
    _finish(nodes, executor)
    for node in nodes:
        if node.failure is not None:
            node.get_logger().fatal(node.failure)
        node.destroy_node()
    rclpy.try_shutdown()
    return 1 if _failed(nodes) else 0


def _tell_of_start(error: Exception) -> None:
    """Prints why ROS cannot start, with a hint."""
    hint = "(see --ros-args, and ROS_LOG_DIR for the folder of logs)"
    if "Sequence should be of same type" in str(error):
        hint = "(all numbers in a list must have the same type: [1.0, 2.5, 3.0])"
    print(f"ROS cannot start: {error}\n{hint}", file=sys.stderr)


def _failed(nodes: Sequence[WorkNode]) -> bool:
    return any(node.failure is not None for node in nodes)


class StopSignals:
    """SIGINT and SIGTERM as a flag, even if they arrive repeatedly.

    The interpreter's handler runs only between two bytecodes of the main thread, which may be
    waiting in the middleware; the wake-up pipe is written at once, whichever thread gets the
    signal.

    Attributes:
        came: whether a signal has arrived.
        wake: called when one arrives, to interrupt a wait so that `came` is checked.
    """

    def __init__(self) -> None:
        self.came = False
        self.wake: Callable[[], None] = lambda: None
        self._reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def _wait(self) -> None:
        os.read(self._reader, 1)
        self.came = True
        self.wake()


def _spin_once(node: WorkNode, executor: Executor, timeout_s: float | None = None) -> bool:
    """Runs one callback, logging its exceptions; returns whether ROS is still up."""
    try:
        executor.spin_once(timeout_s)
    except ExternalShutdownException:
        return False
    except Exception:
        node.get_logger().error(
            f"a callback raised an exception, the node keeps running:\n{traceback.format_exc()}"
        )
    return True


def _finish(nodes: Sequence[WorkNode], executor: Executor) -> None:
    """Shuts the nodes down, and sends the resulting answers."""
    for node in nodes:
        try:
            node.trigger_shutdown()
        except Exception as error:  # already finalized
            node.get_logger().debug(f"no shutdown transition: {error}")
    _spin_while(
        lambda: any(node.open_requests for node in nodes), nodes[0], executor, LAST_ANSWERS_S
    )
    # Also answers requests that were received but not yet handled; and rclpy sends the result of a
    # goal in a callback of its own, after the goal's.
    _spin_while(lambda: True, nodes[0], executor, LAST_RESULTS_S)


def _spin_while(
    wanted: Callable[[], bool], node: WorkNode, executor: Executor, most_s: float
) -> None:
    deadline = time.monotonic() + most_s
    while wanted() and time.monotonic() < deadline and _spin_once(node, executor, 0.05):
        pass
