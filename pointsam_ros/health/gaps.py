"""Clouds that a steady sensor has sent and that never came, by the stamps of those that did."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BLOCK = 33  # stamps that are judged together: 32 intervals
RECENT = 3  # blocks that `recent` is about
LONGEST = 40  # more periods without a cloud are a pause of the sensor
IN_A_ROW = 4  # clouds that may be lost together; more must not be most of those that are missing
LEAST_SINGLE = 5  # intervals of one period that a block must have to show the period
OFF_BEAT = 0.25  # periods: an interval farther from a whole number of them does not fit
MOST_OFF_BEAT = 0.1  # share of the intervals; a topic with more has no steady sensor
REGULAR = 6  # gaps that repeat so often are how the sensor works, not lost clouds


@dataclass(frozen=True)
class Recent:
    """What became of the clouds that should have come of late: they came, or are missing.

    `lost` of them were so on their way, as far as the middleware tells.
    """

    came: int = 0
    missing: int = 0
    lost: int = 0

    @property
    def share(self) -> float:
        """The share that is missing, 0 to 1."""
        return self.missing / max(1, self.came + self.missing)

    def __add__(self, other: Recent) -> Recent:
        return Recent(self.came + other.came, self.missing + other.missing, self.lost + other.lost)


class Gaps:
    """Finds the clouds that are missing between those that came. May be used from several threads.

    A sensor of steady rate stamps its clouds on a beat; a stamp that is left out is a cloud that
    was lost on its way, was overwritten in the node's own queue, or was not sent. Nothing is
    counted for a topic without a beat, nor over a pause (a gap longer than all others together) or
    a jump of time; a change of rate may count for a few.

    Attributes:
        losses_told: whether the middleware tells of clouds that are lost on their way.
    """

    def __init__(self) -> None:
        self.losses_told = False
        self._lock = threading.Lock()
        self._block: list[int] = []
        self._lost = 0  # since the block began
        self._blocks: deque[Recent] = deque(maxlen=RECENT)

    @property
    def recent(self) -> Recent:
        """What was counted of late."""
        with self._lock:
            return sum(self._blocks, Recent())

    def came(self, stamp_ns: int) -> int:
        """A cloud came; one without a stamp (0) says nothing.

        Returns:
            How many missing ones this made known: it takes some clouds to see a beat.
        """
        with self._lock:
            if stamp_ns:
                self._block.append(stamp_ns)
            if len(self._block) < BLOCK:
                return 0
            missing = missing_between(self._block) or 0
            self._blocks.append(Recent(BLOCK - 1, missing, self._lost))
            self._block, self._lost = [max(self._block)], 0
            return missing

    def lost(self, count: int) -> None:
        """The middleware told of clouds that were lost on their way."""
        with self._lock:
            self._lost += count

    def restart(self) -> None:
        """Begins anew: another sensor may come, or another time."""
        with self._lock:
            self._block.clear()
            self._blocks.clear()
            self._lost = 0


def missing_between(stamps_ns: Sequence[int]) -> int | None:
    """How many stamps are left out of a steady sequence.

    Args:
        stamps_ns: in any order [ns]; each may be off its beat by up to a tenth of the period.

    Returns:
        The number; None where the stamps show no steady beat.
    """
    stamps = np.unique(np.asarray(stamps_ns, np.int64))
    intervals = np.diff(stamps).astype(np.float64)
    if len(intervals) < LEAST_SINGLE:
        return None
    # A jitter of a tenth at both ends: intervals of one period lie within 0.8 and 1.2 of it.
    single = intervals[intervals <= 1.5 * np.partition(intervals, 2)[2]]
    if len(single) < LEAST_SINGLE:
        return None
    period = _refined(float(np.mean(single)), np.sort(intervals))
    beats = intervals / period
    steps = np.maximum(1, np.rint(beats)).astype(np.int64)
    fits = np.abs(beats - steps) <= OFF_BEAT
    if np.mean(~fits) > MOST_OFF_BEAT or _is_regular(steps.tolist()):
        return None
    return _without_pauses((steps[fits & (steps <= LONGEST)] - 1).tolist())


def _refined(period: float, ascending: np.ndarray) -> float:
    """The period that all intervals agree on: each longer one makes it more exact."""
    elapsed, steps = 0.0, 0
    for interval in ascending.tolist():
        elapsed += interval
        steps += max(1, round(interval / period))
        period = elapsed / steps
    return period


def _without_pauses(gaps: list[int]) -> int:
    """The sum of the gaps, but for those longer than all shorter ones together."""
    ascending = sorted(gaps)
    while ascending and ascending[-1] > max(IN_A_ROW, sum(ascending[:-1])):
        ascending.pop()
    return sum(ascending)


def _is_regular(steps: list[int]) -> bool:
    """Whether every cloud, or every second one, is followed by the same gap for a while.

    That is what a change of rate looks like, or two sensors on one topic.
    """
    for lag in (1, 2):
        repeated = 0
        for row in range(lag, len(steps)):
            same = steps[row] == steps[row - lag]
            repeated = repeated + 1 if same and max(steps[row - lag : row]) > 1 else 0
            if repeated >= (REGULAR - 1) * lag:
                return True
    return False
