"""Counts and times what happens to clouds and requests."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol

import numpy as np

from pointsam_ros.codes import Code

CLOUD_FATES = ("received", "embedded", "superseded", "missing", "lost", "refused", "time jumps")
GOAL_FATES = ("carried out", "refused", "cancelled")
CLICK_FATES = ("answered", "refused")
OBJECT_FATES = ("followed", "released", "lost")
STAGES = {
    "decode": "a cloud's bytes to points",
    "reduce": "all points to those the network sees",
    "encode": "the network on these",
    "embed": "decode, reduce and encode together",
    "segment": "the prompts of a request to masks",
    "propose": "an embedded cloud to proposals, prompts in between included",
    "publish": "an answer to messages on the topics that somebody listens to",
    "request": "end to end: a request of the service that is answered with success",
}
TIMES_KEPT = 200  # of each stage, the newest


class Watcher(Protocol):
    """Is told each stage's time as it ends."""

    def watches(self) -> bool:
        """Whether anybody wants to know; exact times are then worth a wait for the device."""

    def took(self, stage: str, seconds: float) -> None:
        """One of STAGES has ended."""


class Tally:
    """Counts what happened to clouds and requests. May be used from several threads.

    Attributes:
        watcher: is told the times too; None: nobody.
    """

    def __init__(self) -> None:
        self.watcher: Watcher | None = None
        self._lock = threading.Lock()
        self._clouds: Counter[str] = Counter()
        self._requests: Counter[Code] = Counter()
        self._goals: Counter[str] = Counter()
        self._clicks: Counter[str] = Counter()
        self._objects: Counter[str] = Counter()
        self._unrecognised = ""
        self._sensor = self._missing_sensor = self._doubt = ""
        self._times = {stage: deque[float](maxlen=TIMES_KEPT) for stage in STAGES}
        self._last_refused = ""
        self._last_is_bad = self._last_was_unread = False
        self._last_incompatible = ""
        self._is_unheard = False
        self._last_failure = ""
        self._failed_at = float("-inf")

    def cloud(self, fate: str, count: int = 1) -> None:
        """Counts clouds: received, embedded, superseded, lost (by DDS).

        Superseded is one that a newer one replaced before anything needed it: a sensor is faster
        than the node must be. And "time jumps", at which the clouds of the time to come are
        forgotten.
        """
        with self._lock:
            self._clouds[fate] += count
            if fate == "embedded":
                self._last_is_bad = False
            if fate == "received":
                self._is_unheard = False

    def refused(self, reason: str, unread: bool = False) -> None:
        """Counts a cloud of the sensor that cannot be used; unread: as its message already says."""
        with self._lock:
            self._clouds["refused"] += 1
            self._last_refused, self._last_is_bad, self._last_was_unread = reason, True, unread

    def accepted(self) -> None:
        """A cloud of the sensor came whose message is good; its points are not read yet."""
        with self._lock:
            self._last_is_bad = self._last_is_bad and not self._last_was_unread

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

    def objects(self, fate: str, count: int = 1) -> None:
        """Counts prompted objects: followed (it began), released, lost (it ended)."""
        with self._lock:
            self._objects[fate] += count

    def unrecognisable(self, reason: str) -> None:
        """Remembers why objects cannot be recognised in the sensor's clouds; empty: they can."""
        with self._lock:
            self._unrecognised = reason

    def sensor_at(self, place: str) -> None:
        """Remembers in words where the sensor of the last cloud stood."""
        with self._lock:
            self._sensor = place

    def sensor_missing(self, reason: str) -> None:
        """Remembers why no transform tells where the sensor is; empty: one does, or need not."""
        with self._lock:
            self._missing_sensor = reason

    def doubtful(self, reason: str) -> None:
        """Remembers why the last cloud is probably not in metres; empty: nothing says so."""
        with self._lock:
            self._doubt = reason

    def took(self, stage: str, seconds: float) -> None:
        """Remembers how long one of STAGES took."""
        with self._lock:
            self._times[stage].append(seconds)
        watcher = self.watcher
        if watcher is not None:
            watcher.took(stage, seconds)

    def milliseconds(self, stage: str, percent: float) -> float | None:
        """The percentile of what one of STAGES took of late [ms]; None: it was not done yet."""
        with self._lock:
            times = list(self._times[stage])
        return float(np.percentile(times, percent)) * 1e3 if times else None

    def incompatible(self, reason: str, input: bool) -> None:
        """Remembers a publisher of clouds (`input`) or a subscriber whose QoS does not fit."""
        with self._lock:
            self._last_incompatible = reason
            self._is_unheard = self._is_unheard or input

    def failure(self, message: str) -> None:
        """Remembers what nobody foresaw."""
        with self._lock:
            self._last_failure, self._failed_at = message, time.monotonic()

    def failed(self, within_s: float) -> str:
        """What nobody foresaw, where that is no longer ago; else empty."""
        with self._lock:
            return self._last_failure if time.monotonic() - self._failed_at < within_s else ""

    def clouds(self, fate: str) -> int:
        """How many clouds had this fate."""
        with self._lock:
            return self._clouds[fate]

    def answers(self) -> int:
        """How many requests were answered with success."""
        with self._lock:
            return self._requests[Code.OK]

    def objects_that(self, fate: str) -> int:
        """How many prompted objects had this fate."""
        with self._lock:
            return self._objects[fate]

    def following(self) -> int:
        """How many objects are followed now."""
        with self._lock:
            return self._objects["followed"] - self._objects["released"] - self._objects["lost"]

    def unheard(self) -> str:
        """Why no cloud can come; empty where one came since."""
        with self._lock:
            return self._last_incompatible if self._is_unheard else ""

    def unusable(self) -> str:
        """Why the last cloud was refused; empty where a good one came since, as far as is known."""
        with self._lock:
            return self._last_refused if self._last_is_bad else ""

    def unrecognised(self) -> str:
        """Why objects were not recognised in the last cloud; empty: they were looked for."""
        with self._lock:
            return self._unrecognised

    def missing_sensor(self) -> str:
        """Why no transform tells where the sensor of the last cloud stood; empty: it need not."""
        with self._lock:
            return self._missing_sensor

    def doubt(self) -> str:
        """Why the last cloud is probably not in metres; empty: nothing says so."""
        with self._lock:
            return self._doubt

    def values(self) -> dict[str, str]:
        """All of it as text, for the diagnostics."""
        times = {
            f"{stage} p{percent} [ms]": self.milliseconds(stage, percent)
            for stage in STAGES
            for percent in (50, 99)
        }
        with self._lock:
            values = {f"clouds {fate}": str(self._clouds[fate]) for fate in CLOUD_FATES}
            values["last refused cloud"] = self._last_refused
            values["sensor's place"] = self._sensor
            values |= {f"requests {code.name}": str(self._requests[code]) for code in Code}
            values |= {f"goals {fate}": str(self._goals[fate]) for fate in GOAL_FATES}
            values |= {f"clicks {fate}": str(self._clicks[fate]) for fate in CLICK_FATES}
            values |= {f"objects {fate}": str(self._objects[fate]) for fate in OBJECT_FATES}
            values |= {key: "" if value is None else f"{value:.1f}" for key, value in times.items()}
            values["last incompatible QoS"] = self._last_incompatible
            values["last failure"] = self._last_failure
        return values


class Stopwatch:
    """Times stages that follow each other without a break.

    Args:
        tally: is told.
        settle: waits until a stage's work is really done; called only while somebody watches. On
            a GPU work goes on after the call that asked for it, so without it a stage's time may
            be counted to the next one that needs its result.
    """

    def __init__(self, tally: Tally, settle: Callable[[], None]) -> None:
        self._tally = tally
        self._settle = settle
        self._began = self._last = time.perf_counter()

    def reached(self, stage: str) -> None:
        """A stage has ended, and the next one begins."""
        self._tally.took(stage, self._lap())

    def total(self) -> float:
        """Seconds since the beginning."""
        return self._last - self._began

    def _lap(self) -> float:
        watcher = self._tally.watcher
        if watcher is not None and watcher.watches():
            self._settle()
        before, self._last = self._last, time.perf_counter()
        return self._last - before
