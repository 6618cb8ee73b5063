"""Clouds that are missing, by the stamps of those that came."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pointsam_ros.health.gaps import (
    BLOCK,
    IN_A_ROW,
    LONGEST,
    REGULAR,
    Gaps,
    Recent,
    missing_between,
)

PERIODS = st.floats(0.005, 2.0)
JITTERS = st.floats(0.0, 0.1)
SEEDS = st.integers(0, 2**32 - 1)
STARTS = st.integers(1, 2 * 10**18)


def stamps_of(beats: np.ndarray, period_s: float, jitter: float, seed: int, start: int) -> list:
    """Stamps [ns] of a sensor at these beats, each off by up to `jitter` periods."""
    off = np.random.default_rng(seed).uniform(-jitter, jitter, len(beats))
    return (start + ((beats + off) * period_s * 1e9).astype(np.int64)).tolist()


def random_beats(count: int, share: float, seed: int) -> np.ndarray:
    """Of a sensor's beats those at which a cloud came; each is missing with this probability."""
    came = np.random.default_rng(seed).uniform(size=count * 20) >= share
    return np.flatnonzero(came)[:count]


@given(PERIODS, JITTERS, st.floats(0.0, 0.4), SEEDS, STARTS)
@settings(max_examples=300, deadline=None)
def test_clouds_lost_at_random_are_counted_exactly(
    period_s: float, jitter: float, share: float, seed: int, start: int
) -> None:
    beats = random_beats(BLOCK, share, seed)
    gaps = np.diff(beats)
    assume(not _repeats(gaps) and not _has_pause(gaps))
    lost = int(np.sum(gaps - 1))
    assert missing_between(stamps_of(beats, period_s, jitter, seed + 1, start)) == lost


@given(PERIODS, JITTERS, st.lists(st.integers(1, 8), min_size=8, max_size=32), SEEDS)
@settings(max_examples=300, deadline=None)
def test_whatever_the_gaps_a_count_is_right_or_there_is_none(
    period_s: float, jitter: float, gaps: list[int], seed: int
) -> None:
    assume(gaps.count(1) >= 5 and not _has_pause(np.array(gaps)))
    beats = np.cumsum([0, *gaps])
    counted = missing_between(stamps_of(beats, period_s, jitter / 2, seed, 10**18))
    assert counted in (None, sum(gaps) - len(gaps))


@given(PERIODS, JITTERS, st.floats(0.0, 0.4), SEEDS)
@settings(deadline=None)
def test_the_order_in_which_clouds_come_makes_no_difference(
    period_s: float, jitter: float, share: float, seed: int
) -> None:
    stamps = stamps_of(random_beats(BLOCK, share, seed), period_s, jitter, seed, 10**18)
    shuffled = np.random.default_rng(seed).permutation(stamps).tolist()
    assert missing_between(shuffled) == missing_between(stamps)


@given(st.sampled_from(["exponential", "uniform", "lognormal"]), SEEDS)
@settings(max_examples=300, deadline=None)
def test_a_topic_without_a_beat_misses_nothing(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    intervals = {
        "exponential": rng.exponential(0.1, BLOCK),
        "uniform": rng.uniform(0.05, 0.3, BLOCK),
        "lognormal": 0.1 * rng.lognormal(0.0, 0.7, BLOCK),
    }[kind]
    assert missing_between((np.cumsum(intervals) * 1e9).astype(np.int64).tolist()) is None


@pytest.mark.parametrize("slower", [2, 3, 6])
@pytest.mark.parametrize("at", [REGULAR, 16, 26])
def test_a_change_of_rate_loses_nothing(slower: int, at: int) -> None:
    gaps = np.where(np.arange(BLOCK - 1) < at, 1, slower)
    for beats in (np.cumsum([0, *gaps]), np.cumsum([0, *gaps[::-1]])):
        counted = missing_between(stamps_of(beats, 0.033, 0.05, 1, 10**18))
        assert not counted


def test_two_sensors_on_one_topic_lose_nothing() -> None:
    assert not missing_between(stamps_of(np.cumsum([1, 2] * 16), 0.033, 0.02, 3, 10**18))


def test_over_a_pause_nothing_is_counted() -> None:
    beats = np.cumsum([1] * 16 + [LONGEST + 1] + [1] * 10 + [2] + [1] * 5)
    assert missing_between(stamps_of(beats, 0.1, 0.05, 4, 10**18)) == 1


@given(
    PERIODS, JITTERS, SEEDS, st.lists(st.integers(0, 30), max_size=3), st.floats(0.0, 0.15),
)  # fmt: skip
@settings(deadline=None)
def test_a_sensor_that_is_triggered_or_pauses_before_it_streams_loses_nothing(
    period_s: float, jitter: float, seed: int, growth: list[int], share: float
) -> None:
    random = np.diff(random_beats(BLOCK, share, seed))
    assume(not _repeats(random) and not _has_pause(random))
    pauses: list[int] = []
    for more in growth:  # each longer than everything before it
        pauses.append(int(np.sum(random - 1)) + sum(pauses) + IN_A_ROW + 2 + more)
    gaps = [*(pause for pause in pauses if pause < LONGEST), *random]
    counted = missing_between(stamps_of(np.cumsum([0, *gaps]), period_s, jitter, seed + 1, 10**18))
    assert counted in (None, int(np.sum(random - 1)))


def test_bursts_that_come_again_are_losses() -> None:
    beats = np.cumsum([*[1] * 6, 7, *[1] * 8, 6, *[1] * 9, 7, *[1] * 6])
    assert missing_between(stamps_of(beats, 0.1, 0.05, 5, 10**18)) == 6 + 5 + 6


def test_what_is_missing_is_told_block_by_block_and_for_of_late() -> None:
    gaps = Gaps()
    beats = np.array([beat for beat in range(1, 400) if beat % 10])  # each tenth is missing
    told = [gaps.came(int(stamp * 1e8)) for stamp in beats]
    assert set(np.flatnonzero(told) + 1) <= set(range(BLOCK, 400, BLOCK - 1))
    assert sum(told) == pytest.approx(len(beats) / 9, abs=4)
    assert gaps.recent.share == pytest.approx(0.1, abs=0.02)
    gaps.restart()
    assert gaps.recent == Recent()


def test_losses_that_the_middleware_tells_belong_to_their_block() -> None:
    gaps = Gaps()
    for beat in range(1, BLOCK + 10):
        if beat % 10:
            gaps.came(beat * 10**8)
        else:
            gaps.lost(1)
    assert gaps.recent.missing == gaps.recent.lost == 3


def test_clouds_without_a_stamp_say_nothing() -> None:
    gaps = Gaps()
    assert sum(gaps.came(0) for _ in range(3 * BLOCK)) == 0
    assert gaps.recent == Recent()


def test_time_that_starts_again_loses_nothing() -> None:
    gaps = Gaps()
    for _ in range(6):
        assert sum(gaps.came(10**9 + beat * 10**8) for beat in range(20)) == 0


def _has_pause(gaps: np.ndarray) -> bool:
    """Whether some gap misses more than all that are not longer, and than come by chance."""
    missing = np.sort(gaps - 1)
    return bool(np.any(missing > np.maximum(IN_A_ROW, np.cumsum(missing) - missing)))


def _repeats(gaps: np.ndarray) -> bool:
    """Whether some gap, or pair of gaps, comes so often in a row that it looks like a rate."""
    return any(
        np.all(gaps[row + lag : row + REGULAR * lag] == gaps[row : row + (REGULAR - 1) * lag])
        and max(gaps[row : row + lag]) > 1
        for lag in (1, 2)
        for row in range(len(gaps) - REGULAR * lag + 1)
    )
