"""Detects clouds of a steady sensor that never arrived, from the stamps of those that did."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BLOCK = 33  # stamps evaluated together: 32 intervals
RECENT = 3  # blocks covered by `recent`
LONGEST = 40  # periods: a longer gap is a pause of the sensor
IN_A_ROW = 4  # clouds lost in a row; longer runs must not be most of the missing clouds
LEAST_SINGLE = 5  # least intervals of a single period in a block, to determine the period
OFF_BEAT = 0.25  # periods: greatest deviation of an interval from a multiple of the period
MOST_OFF_BEAT = 0.1  # share of intervals beyond that; with more, the sensor is not steady
REGULAR = 6  # repetitions from which a gap is a property of the sensor, not a loss


@dataclass(frozen=True)
class Recent:
    """Counts of clouds that recently arrived or are missing.

    `lost` of the missing were lost in transport, according to the middleware.
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
    """Counts the clouds missing between those that arrived. Thread-safe.

    A sensor with a steady rate stamps its clouds periodically. A missing stamp is a cloud that was
    lost in transport, overwritten in the node's own queue, or not sent. Nothing is counted for a
    topic without a steady rate, nor over a pause (a gap longer than all others together) or a jump
    of time; a change of rate may count as a few.

    Attributes:
        losses_told: whether the middleware reports clouds lost in transport.
    """

    def __init__(self) -> None:
        self.losses_told = False
        self._lock = threading.Lock()
        self._block: list[int] = []
        self._lost = 0  # since the block began
        self._blocks: deque[Recent] = deque(maxlen=RECENT)

    @property
    def recent(self) -> Recent:
        """The counts of the most recent blocks."""
        with self._lock:
            return sum(self._blocks, Recent())

    def came(self, stamp_ns: int) -> int:
        """Records the arrival of a cloud; one without a stamp (0) is ignored.

        Returns:
            Number of missing clouds newly detected; it takes some clouds to find the period.
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
        """Records clouds that the middleware reported as lost in transport."""
        with self._lock:
            self._lost += count

    def restart(self) -> None:
        """Starts afresh, for another sensor or after a jump of time."""
        with self._lock:
            self._block.clear()
            self._blocks.clear()
            self._lost = 0


def missing_between(stamps_ns: Sequence[int]) -> int | None:
    """Number of stamps missing from a periodic sequence.

    Args:
        stamps_ns: in any order [ns]; each may deviate by up to a tenth of the period.

    Returns:
        The number; None if the stamps are not periodic.
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
    """Refines the period with successively longer intervals."""
    elapsed, steps = 0.0, 0
    for interval in ascending.tolist():
        elapsed += interval
        steps += max(1, round(interval / period))
        period = elapsed / steps
    return period


def _without_pauses(gaps: list[int]) -> int:
    """The sum of the gaps, except those longer than all shorter ones together."""
    ascending = sorted(gaps)
    while ascending and ascending[-1] > max(IN_A_ROW, sum(ascending[:-1])):
        ascending.pop()
    return sum(ascending)


def _is_regular(steps: list[int]) -> bool:
    """Whether every cloud, or every second one, is followed by the same gap for a while.

    This indicates a change of rate, or two sensors on one topic.
    """
    for lag in (1, 2):
        repeated = 0
        for row in range(lag, len(steps)):
            same = steps[row] == steps[row - lag]
            repeated = repeated + 1 if same and max(steps[row - lag : row]) > 1 else 0
            if repeated >= (REGULAR - 1) * lag:
                return True
    return False
