"""Counts and times of clouds and requests."""

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
TIMES_KEPT = 200  # latest times kept per stage


class Watcher(Protocol):
    """Receives the time of each stage as it ends."""

    def watches(self) -> bool:
        """Whether exact times are wanted, for which the device must be waited for."""

    def took(self, stage: str, seconds: float) -> None:
        """Receives the time of one of STAGES."""


class Tally:
    """Counts and times clouds and requests. Thread-safe.

    Attributes:
        watcher: receives the times as well, or None.
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
        """Counts clouds by one of CLOUD_FATES.

        "superseded": replaced by a newer one before it was needed, as sensors are faster than the
        node has to be. "lost": by DDS. "time jumps" counts jumps, at which clouds with later stamps
        are dropped.
        """
        with self._lock:
            self._clouds[fate] += count
            if fate == "embedded":
                self._last_is_bad = False
            if fate == "received":
                self._is_unheard = False

    def refused(self, reason: str, unread: bool = False) -> None:
        """Counts an unusable cloud of the sensor; unread: its message is already malformed."""
        with self._lock:
            self._clouds["refused"] += 1
            self._last_refused, self._last_is_bad, self._last_was_unread = reason, True, unread

    def accepted(self) -> None:
        """Records a cloud of the sensor with a valid message; its points are not read yet."""
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
        """Records why objects cannot be recognised in the sensor's clouds; empty: they can."""
        with self._lock:
            self._unrecognised = reason

    def sensor_at(self, place: str) -> None:
        """Records, as text, the sensor's position in the last cloud."""
        with self._lock:
            self._sensor = place

    def sensor_missing(self, reason: str) -> None:
        """Records why no transform gives the sensor's position; empty: it does or is not needed."""
        with self._lock:
            self._missing_sensor = reason

    def doubtful(self, reason: str) -> None:
        """Records why the last cloud is probably not in metres; empty: no reason to doubt."""
        with self._lock:
            self._doubt = reason

    def took(self, stage: str, seconds: float) -> None:
        """Records how long one of STAGES took [s]."""
        with self._lock:
            self._times[stage].append(seconds)
        watcher = self.watcher
        if watcher is not None:
            watcher.took(stage, seconds)

    def milliseconds(self, stage: str, percent: float) -> float | None:
        """A percentile of the recent times of one of STAGES [ms]; None: no times yet."""
        with self._lock:
            times = list(self._times[stage])
        return float(np.percentile(times, percent)) * 1e3 if times else None

    def incompatible(self, reason: str, input: bool) -> None:
        """Records a publisher of clouds (`input`) or a subscriber with incompatible QoS."""
        with self._lock:
            self._last_incompatible = reason
            self._is_unheard = self._is_unheard or input

    def failure(self, message: str) -> None:
        """Records an unexpected error."""
        with self._lock:
            self._last_failure, self._failed_at = message, time.monotonic()

    def failed(self, within_s: float) -> str:
        """The last unexpected error, if it was within this time [s]; else empty."""
        with self._lock:
            return self._last_failure if time.monotonic() - self._failed_at < within_s else ""

    def clouds(self, fate: str) -> int:
        """Number of clouds with this fate."""
        with self._lock:
            return self._clouds[fate]

    def answers(self) -> int:
        """Number of requests answered successfully."""
        with self._lock:
            return self._requests[Code.OK]

    def objects_that(self, fate: str) -> int:
        """Number of prompted objects with this fate."""
        with self._lock:
            return self._objects[fate]

    def following(self) -> int:
        """Number of objects followed now."""
        with self._lock:
            return self._objects["followed"] - self._objects["released"] - self._objects["lost"]

    def unheard(self) -> str:
        """Why no cloud can arrive; empty once one has."""
        with self._lock:
            return self._last_incompatible if self._is_unheard else ""

    def unusable(self) -> str:
        """Why the last cloud was refused; empty once a usable one has arrived."""
        with self._lock:
            return self._last_refused if self._last_is_bad else ""

    def unrecognised(self) -> str:
        """Why objects were not recognised in the last cloud; empty: they were searched for."""
        with self._lock:
            return self._unrecognised

    def missing_sensor(self) -> str:
        """Why no transform gives the sensor's position in the last cloud; empty: not needed."""
        with self._lock:
            return self._missing_sensor

    def doubt(self) -> str:
        """Why the last cloud is probably not in metres; empty: no reason to doubt."""
        with self._lock:
            return self._doubt

    def values(self) -> dict[str, str]:
        """All counts and times as text, for the diagnostics."""
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
    """Times consecutive stages.

    Args:
        tally: records the times.
        settle: waits until the device has finished a stage; called only if the tally's watcher
            wants exact times. A GPU works asynchronously, so without it part of a stage's time may
            be counted for a later stage that needs its result.
    """

    def __init__(self, tally: Tally, settle: Callable[[], None]) -> None:
        self._tally = tally
        self._settle = settle
        self._began = self._last = time.perf_counter()

    def reached(self, stage: str) -> None:
        """Marks the end of a stage and the start of the next one."""
        self._tally.took(stage, self._lap())

    def total(self) -> float:
        """Time since the beginning [s]."""
        return self._last - self._began

    def _lap(self) -> float:
        watcher = self._tally.watcher
        if watcher is not None and watcher.watches():
            self._settle()
        before, self._last = self._last, time.perf_counter()
        return self._last - before
