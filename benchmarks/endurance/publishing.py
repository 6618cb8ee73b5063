"""A sensor at a steady rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from builtin_interfaces.msg import Time
from sensor_msgs.msg import PointCloud2


class Sensor:
    """Publishes messages in turn, each with the time of its sending.

    Args:
        publish: takes them, in this sensor's thread.
        messages: their stamps are overwritten.
        rate_hz: how many a second.
    """

    def __init__(
        self,
        publish: Callable[[PointCloud2], None],
        messages: Sequence[PointCloud2],
        rate_hz: float,
    ) -> None:
        self._publish = publish
        self._messages = messages
        self._period_s = 1.0 / rate_hz
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent = 0
        self.newest = messages[0]  # that was sent last

    def __enter__(self) -> Sensor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._done.wait(max(0.0, due - time.monotonic())):
            msg, now = self._messages[self.sent % len(self._messages)], time.time_ns()
            msg.header.stamp = Time(sec=now // 10**9, nanosec=now % 10**9)
            self._publish(msg)
            self.newest = msg
            self.sent += 1
            due = max(due + self._period_s, time.monotonic() - self._period_s)  # no catching up
