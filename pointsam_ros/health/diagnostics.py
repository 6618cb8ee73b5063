"""The node's status on /diagnostics."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from pointsam_model import DeviceMemory
from pointsam_ros.health.health import State
from pointsam_ros.health.tally import Tally

PERIOD_S = 1.0
RATES_OVER = 5  # periods
MEMORY = Path("/proc/self/statm")


class Diagnostics:
    """Publishes the tally, rates, memory and the node's state every second of real time.

    Args:
        node: the node to report on.
        tally: its counts and times.
        state: returns its state.
        values: returns further values to publish.
    """

    def __init__(
        self,
        node: Node,
        tally: Tally,
        state: Callable[[], State],
        values: Callable[[], Mapping[str, str]],
    ) -> None:
        self._node = node
        self._tally = tally
        self._state = state
        self._values = values
        self._rates = Rates(tally)
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 1)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still
        node.create_timer(PERIOD_S, self._publish, clock=steady)

    def _publish(self) -> None:
        name = self._node.get_fully_qualified_name().lstrip("/")
        state = self._state()
        values = {**self._rates.values(), **self._values(), **self._tally.values()}
        status = DiagnosticStatus(
            level=state.level,
            name=f"{name}: segmentation",
            message=state.text,
            hardware_id=name,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)


class Rates:
    """Rates of received clouds, embedded clouds and answered requests over the last seconds."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._counts: deque[tuple[float, dict[str, int]]] = deque(maxlen=RATES_OVER + 1)

    def values(self) -> dict[str, str]:
        """The rates [Hz] over the last `RATES_OVER` calls; empty at the first call."""
        counts = {
            "clouds received [Hz]": self._tally.clouds("received"),
            "clouds embedded [Hz]": self._tally.clouds("embedded"),
            "requests answered [Hz]": self._tally.answers(),
        }
        self._counts.append((time.monotonic(), counts))
        (began, before), (now, _) = self._counts[0], self._counts[-1]
        if now == began:
            return dict.fromkeys(counts, "")
        return {key: f"{(counts[key] - before[key]) / (now - began):.2f}" for key in counts}


def memory_values(on_device: DeviceMemory | None) -> dict[str, str]:
    """Memory of this process and, if any, its GPU memory [MiB], as text."""
    values = {"memory resident [MiB]": _mib(_resident())}
    if on_device is not None:
        values["GPU memory allocated [MiB]"] = _mib(on_device.allocated)
        values["GPU memory reserved [MiB]"] = _mib(on_device.reserved)
    return values


def _resident() -> int:
    """Resident memory of this process in bytes; 0 except on Linux."""
    try:
        return int(MEMORY.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _mib(count: int) -> str:
    return f"{count / 2**20:.0f}"
