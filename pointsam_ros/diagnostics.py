"""What the node says of itself on /diagnostics."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from pointsam_ros.refusal import Code

PERIOD_S = 1.0
CLOUD_FATES = ("received", "embedded", "dropped", "lost", "refused", "time jumps")
GOAL_FATES = ("carried out", "refused", "cancelled")
CLICK_FATES = ("answered", "refused")
TIMED = ("embed", "segment", "propose", "publish", "request")
TIMES_KEPT = 200  # of each kind, the newest


@dataclass(frozen=True)
class State:
    """What the node is doing, and whether that is as it should be."""

    text: str
    level: bytes = DiagnosticStatus.OK


class Tally:
    """Counts what happened to clouds and requests. May be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clouds: Counter[str] = Counter()
        self._requests: Counter[Code] = Counter()
        self._goals: Counter[str] = Counter()
        self._clicks: Counter[str] = Counter()
        self._times = {what: deque[float](maxlen=TIMES_KEPT) for what in TIMED}
        self._last_refused = ""
        self._last_is_bad = False
        self._last_incompatible = ""
        self._is_unheard = False
        self._last_failure = ""

    def cloud(self, fate: str, count: int = 1) -> None:
        """Counts clouds: received, embedded, dropped (a newer one came first), lost (by DDS).

        And "time jumps", at which the clouds of the time to come are forgotten.
        """
        with self._lock:
            self._clouds[fate] += count
            if fate == "embedded":
                self._last_is_bad = False
            if fate == "received":
                self._is_unheard = False

    def refused(self, reason: str) -> None:
        """Counts a cloud of the sensor that cannot be used."""
        with self._lock:
            self._clouds["refused"] += 1
            self._last_refused, self._last_is_bad = reason, True

    def request(self, code: Code) -> None:
        """Counts an answer to a request; goals and clicks are requests too."""
        with self._lock:
            self._requests[code] += 1

    def goal(self, fate: str) -> None:
        """Counts goals of the action: carried out, refused, cancelled."""
        with self._lock:
            self._goals[fate] += 1

    def click(self, fate: str) -> None:
        """Counts clicks of RViz: answered, refused."""
        with self._lock:
            self._clicks[fate] += 1

    def took(self, what: str, seconds: float) -> None:
        """Remembers how long one of TIMED took; "request" is from a request to its answer."""
        with self._lock:
            self._times[what].append(seconds)

    def milliseconds(self, what: str, percent: float) -> float | None:
        """The percentile of what one of TIMED took of late [ms]; None: it was not done yet."""
        with self._lock:
            times = list(self._times[what])
        return float(np.percentile(times, percent)) * 1e3 if times else None

    def incompatible(self, reason: str, input: bool) -> None:
        """Remembers a publisher of clouds (`input`) or a subscriber whose QoS does not fit."""
        with self._lock:
            self._last_incompatible = reason
            self._is_unheard = self._is_unheard or input

    def failure(self, message: str) -> None:
        """Remembers what nobody foresaw."""
        with self._lock:
            self._last_failure = message

    def status(self, name: str, hardware_id: str, state: State) -> DiagnosticStatus:
        """All of it as a message; WARN while no cloud can come, or the last one was unusable."""
        times = {
            f"{what} p{percent} [ms]": self.milliseconds(what, percent)
            for what in TIMED
            for percent in (50, 99)
        }
        with self._lock:
            values = {f"clouds {fate}": str(self._clouds[fate]) for fate in CLOUD_FATES}
            values["last refused cloud"] = self._last_refused
            values |= {f"requests {code.name}": str(self._requests[code]) for code in Code}
            values |= {f"goals {fate}": str(self._goals[fate]) for fate in GOAL_FATES}
            values |= {f"clicks {fate}": str(self._clicks[fate]) for fate in CLICK_FATES}
            values |= {key: "" if it is None else f"{it:.1f}" for key, it in times.items()}
            values["last incompatible QoS"] = self._last_incompatible
            values["last failure"] = self._last_failure
            if self._is_unheard and state.level == DiagnosticStatus.OK:
                state = State(f"no cloud comes: {self._last_incompatible}", DiagnosticStatus.WARN)
            elif self._last_is_bad and state.level == DiagnosticStatus.OK:
                state = State(f"unusable clouds come: {self._last_refused}", DiagnosticStatus.WARN)
        return DiagnosticStatus(
            level=state.level,
            name=name,
            message=state.text,
            hardware_id=hardware_id,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )


class Diagnostics:
    """Publishes a tally and the node's state every second, of real time."""

    def __init__(self, node: Node, tally: Tally, state: Callable[[], State]) -> None:
        self._node = node
        self._tally = tally
        self._state = state
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 1)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still
        node.create_timer(PERIOD_S, self._publish, clock=steady)

    def _publish(self) -> None:
        name = self._node.get_fully_qualified_name().lstrip("/")
        message = DiagnosticArray(
            status=[self._tally.status(f"{name}: segmentation", name, self._state())]
        )
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
