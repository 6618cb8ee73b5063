"""The node's health: rules on its counts and times, with limits from `diagnostics.*`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus

from pointsam_ros.config import NodeConfig
from pointsam_ros.health.gaps import Recent
from pointsam_ros.health.tally import Tally

FAILURE_TOLD_S = 60.0
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@dataclass(frozen=True)
class State:
    """What the node is doing, with a diagnostic level."""

    text: str
    level: bytes = OK


@dataclass(frozen=True)
class Clouds:
    """The state of the sensor's clouds.

    Attributes:
        topic: their topic.
        age_s: age of the newest [s]; None: none has arrived.
        offset_s: time from the newest one's stamp to its arrival [s], if the stamp is from another
            clock than the node's; else 0.
        recent: counts of clouds that arrived and that are missing.
        losses_told: whether the middleware reports clouds lost in transport.
    """

    topic: str
    age_s: float | None
    offset_s: float
    recent: Recent
    losses_told: bool


def health(
    state: State, clouds: Clouds, tally: Tally, config: NodeConfig, namesakes: str | None = None
) -> State:
    """The node's state and, if that is OK, problems with its clouds, answers and name.

    The worst problem comes first. Exceeding a limit by `diagnostics.error_factor` is an ERROR, else
    a WARN.
    """
    if state.level != OK:
        return state
    complaints = [State(namesakes, WARN)] if namesakes else []
    complaints += _complaints(clouds, tally, config)
    complaints.sort(key=lambda complaint: complaint.level, reverse=True)
    if not complaints:
        return state
    return State("; ".join(complaint.text for complaint in complaints), complaints[0].level)


def _complaints(clouds: Clouds, tally: Tally, config: NodeConfig) -> Iterator[State]:
    if reason := tally.failed(FAILURE_TOLD_S):
        yield State(f"something failed less than {FAILURE_TOLD_S:.0f} s ago: {reason}", WARN)
    if reason := tally.unheard():
        yield State(f"no cloud comes: {reason}", WARN)
    if reason := tally.unusable():
        yield State(f"unusable clouds come: {reason}", WARN)
    if reason := tally.doubt():
        yield State(reason, WARN)
    if (reason := tally.missing_sensor()) and config.clouds.sensor_frame:
        yield State(f"first clicks may be worse: {reason}", WARN)
    if (reason := tally.unrecognised()) and config.tracking.enabled:
        yield State(f"objects lose their ids: {reason}", WARN)
    yield from _of_age(clouds, config)
    yield from _of_missing(clouds, config)
    yield from _of_latency(tally, config)


def _of_age(clouds: Clouds, config: NodeConfig) -> Iterator[State]:
    age, limit = clouds.age_s, config.diagnostics.max_cloud_age_s
    if age is None:
        if limit > 0:
            yield State(f"no cloud has arrived yet on {clouds.topic}", WARN)
        return
    most = limit or config.clouds.stale_s
    if 0 < most < age:
        text = f"the newest cloud on {clouds.topic} is {age:.1f} s old"
        yield State(text, _level(age / most, config))
    if clouds.offset_s:
        side = "behind" if clouds.offset_s > 0 else "ahead of"
        yield State(
            f"clouds are stamped {abs(clouds.offset_s):.1f} s {side} this node's clock, so they "
            "count as measured when they arrive, and clicks in other frames may find no transform "
            "at their time: set the sensor's clock, or use_sim_time for recorded clouds",
            WARN,
        )


def _of_missing(clouds: Clouds, config: NodeConfig) -> Iterator[State]:
    share, most = clouds.recent.share, config.diagnostics.max_missing_share
    if share > most:
        yield State(
            f"{share:.0%} of the clouds on {clouds.topic} are missing, by their stamps: "
            f"{_remedy(clouds)}",
            _level(share / most if most else 1.0, config),
        )


def _remedy(clouds: Clouds) -> str:
    """What to do about missing clouds, depending on where they were lost, if known."""
    on_the_way = (
        "set FASTRTPS_DEFAULT_PROFILES_FILE to config/fastdds_large_clouds.xml of this package in "
        "the publisher's environment, or make both sides reliable (points.qos.reliability)"
    )
    in_the_queue = "raise points.qos.depth, or see whether the sensor leaves them out"
    if 2 * clouds.recent.lost >= clouds.recent.missing:
        return f"they are lost on their way; {on_the_way}"
    if clouds.losses_told:
        return f"not on their way, but in this node's queue or at the sensor; {in_the_queue}"
    return f"if they are lost on their way, {on_the_way}; if in this node's queue, {in_the_queue}"


def _of_latency(tally: Tally, config: NodeConfig) -> Iterator[State]:
    latency_ms, most = tally.milliseconds("request", 99), config.diagnostics.max_latency_ms
    if latency_ms is not None and 0 < most < latency_ms:
        yield State(
            f"one request of a hundred takes {latency_ms:.0f} ms or more, longer than "
            f"diagnostics.max_latency_ms = {most:g}",
            _level(latency_ms / most, config),
        )


def _level(times: float, config: NodeConfig) -> bytes:
    """The diagnostic level of a value that is so many times its limit."""
    level: bytes = ERROR if times >= config.diagnostics.error_factor else WARN
    return level
