"""When the node complains of itself, by the parameters `diagnostics`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from pointsam_ros.codes import Code
from pointsam_ros.config import CloudSettings, DiagnosticsSettings, NodeConfig
from pointsam_ros.health.diagnostics import Rates
from pointsam_ros.health.gaps import Recent
from pointsam_ros.health.health import Clouds, State, health
from pointsam_ros.health.tally import Tally

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
READY = State("ready")
FINE = Clouds("/points", 0.1, 0.0, Recent(96, 0, 0), losses_told=True)


def state_of(
    clouds: Clouds = FINE, tally: Tally | None = None, stale_s: float = 10.0, **limits: Any
) -> State:
    config = NodeConfig(
        clouds=CloudSettings(stale_s=stale_s), diagnostics=DiagnosticsSettings(**limits)
    )
    return health(READY, clouds, tally or Tally(), config)


def aged(age_s: float | None) -> Clouds:
    return replace(FINE, age_s=age_s)


def test_a_node_whose_clouds_come_is_as_it_says_itself() -> None:
    assert state_of() == READY
    loading = State("loading", WARN)
    assert health(loading, aged(1e6), Tally(), NodeConfig()) == loading


@pytest.mark.parametrize(
    ("age_s", "stale_s", "max_age_s", "level"),
    [
        (9.0, 10.0, 0.0, OK),
        (11.0, 10.0, 0.0, WARN),
        (51.0, 10.0, 0.0, ERROR),
        (51.0, 0.0, 0.0, OK),  # clouds never grow stale
        (1.5, 10.0, 1.0, WARN),
        (5.5, 10.0, 1.0, ERROR),
        (11.0, 10.0, 60.0, OK),  # the node's own limit counts, not that of requests
        (None, 10.0, 0.0, OK),
        (None, 10.0, 1.0, WARN),
    ],
)
def test_old_clouds_are_complained_of_from_the_limit_on(
    age_s: float | None, stale_s: float, max_age_s: float, level: bytes
) -> None:
    state = state_of(aged(age_s), stale_s=stale_s, max_cloud_age_s=max_age_s)
    assert state.level == level
    assert level == OK or "/points" in state.text


@pytest.mark.parametrize(
    ("took_ms", "limit_ms", "level"),
    [(20, 0, OK), (20, 30, OK), (20, 10, WARN), (20, 3, ERROR)],
)
def test_slow_answers_are_complained_of_from_the_limit_on(
    took_ms: float, limit_ms: float, level: bytes
) -> None:
    tally = Tally()
    for _ in range(10):
        tally.took("request", took_ms / 1e3)
    assert state_of(tally=tally, max_latency_ms=limit_ms).level == level


def test_the_factor_of_an_error_is_a_parameter() -> None:
    assert state_of(aged(11.0), error_factor=1.0).level == ERROR
    assert state_of(aged(1e6), error_factor=1e9).level == WARN


@pytest.mark.parametrize(
    ("missing", "lost", "told", "remedy"),
    [
        (32, 31, True, "lost on their way; set FASTRTPS_DEFAULT_PROFILES_FILE to config/fastdds"),
        (32, 2, True, "not on their way.* raise points.qos.depth"),
        (32, 0, False, "if they are lost on their way, set FASTRTPS.* if in this node's queue"),
    ],
)
def test_missing_clouds_are_told_with_who_lost_them_and_the_remedy(
    missing: int, lost: int, told: bool, remedy: str
) -> None:
    state = state_of(replace(FINE, recent=Recent(96, missing, lost), losses_told=told))
    assert state.level == WARN
    assert re.search(f"25% of the clouds on /points are missing.*{remedy}", state.text)


@pytest.mark.parametrize(
    ("missing", "most", "level"),
    [
        (5, 0.1, OK),
        (12, 0.1, WARN),
        (200, 0.1, ERROR),
        (200, 1.0, OK),
        (0, 0.0, OK),
        (1, 0.0, WARN),
    ],
)
def test_few_missing_clouds_are_not_told_and_very_many_are_an_error(
    missing: int, most: float, level: bytes
) -> None:
    state = state_of(replace(FINE, recent=Recent(96, missing, 0)), max_missing_share=most)
    assert state.level == level


def test_the_worst_complaint_comes_first_and_none_is_left_out() -> None:
    tally = Tally()
    tally.refused("point_step is 8")
    state = state_of(aged(100.0), tally)
    assert state.level == ERROR
    assert state.text == (
        "the newest cloud on /points is 100.0 s old; unusable clouds come: point_step is 8"
    )


def test_a_sensor_that_tf2_does_not_know_is_told_while_its_frame_is_set() -> None:
    tally = Tally()
    tally.sensor_missing("no transform tells")
    set_ = NodeConfig(clouds=CloudSettings(sensor_frame="camera"))
    told = State("first clicks may be worse: no transform tells", WARN)
    assert health(READY, FINE, tally, set_) == told
    assert health(READY, FINE, tally, NodeConfig()) == READY
    tally.sensor_missing("")
    assert health(READY, FINE, tally, set_) == READY


def test_a_cloud_that_is_not_in_metres_is_told_until_one_is() -> None:
    tally = Tally()
    tally.doubtful("millimetres")
    assert state_of(tally=tally) == State("millimetres", WARN)
    tally.doubtful("")
    assert state_of(tally=tally) == READY


def test_an_unusable_cloud_is_told_until_a_good_one_comes_as_far_as_its_fault_can_be_seen() -> None:
    tally = Tally()
    tally.refused("point_step is 8", unread=True)
    assert "unusable clouds come" in state_of(FINE, tally).text
    tally.accepted()
    assert state_of(FINE, tally) == READY
    tally.refused("3 usable points")
    tally.accepted()  # its points may be as few: nobody has looked
    assert "3 usable points" in state_of(FINE, tally).text
    tally.cloud("embedded")
    assert state_of(FINE, tally) == READY


def test_a_sensor_of_another_clock_is_told() -> None:
    for offset_s, side in ((-60.0, "60.0 s ahead of"), (1e6, "1000000.0 s behind")):
        state = state_of(replace(FINE, offset_s=offset_s))
        assert state.level == WARN and f"{side} this node's clock" in state.text
        assert "use_sim_time" in state.text


def test_rates_are_those_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("pointsam_ros.health.diagnostics.time.monotonic", lambda: now[0])
    tally = Tally()
    rates = Rates(tally)
    assert set(rates.values().values()) == {""}

    def after(seconds: int, happens: Callable[[], None]) -> dict[str, str]:
        for _ in range(seconds):
            now[0] += 1.0
            happens()
            values = rates.values()
        return values

    def work() -> None:
        tally.cloud("received", 10)
        tally.cloud("embedded", 2)
        tally.request(Code.OK)
        tally.request(Code.OVERLOADED)

    assert set(after(3, work).values()) == {"10.00", "2.00", "1.00"}
    assert set(after(10, lambda: None).values()) == {"0.00"}


def test_a_failure_is_complained_of_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = Tally()
    tally.failure("ValueError: nobody foresaw it")
    assert state_of(tally=tally).level == WARN
    assert "nobody foresaw it" in state_of(tally=tally).text
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61.0)
    assert state_of(tally=tally) == READY
