"""`cloud_store`: which clouds are kept, and which one a request gets."""

from __future__ import annotations

import re
import threading
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from pointsam_model.errors import CloudError
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.clouds.cloud_store import CloudStore, StoredCloud
from pointsam_ros.codes import Code
from pointsam_ros.config import CloudSettings, LimitSettings
from pointsam_ros.refusal import Refusal

SECOND = 1_000_000_000
SETTINGS = CloudSettings(max_age_s=1.0, stale_s=10.0)


def cloud(stamp_s: float, arrived_s: float | None = None, embedded: bool = False) -> StoredCloud:
    """A cloud of a stamp, 0 for none, that came at once or when it is said."""
    arrived_s = stamp_s if arrived_s is None else arrived_s
    stamp = Time(sec=int(stamp_s), nanosec=int(stamp_s % 1 * SECOND))
    msg = cloud_msgs.write(Header(stamp=stamp, frame_id="cam"), np.ones((3, 3), np.float32))
    stored = StoredCloud.from_msg(msg, int(arrived_s * SECOND), LimitSettings())
    stored.embedding = object() if embedded else None  # type: ignore[assignment]
    return stored


def store(*clouds: StoredCloud, retain: int = 10) -> CloudStore:
    made = CloudStore("/camera/points")
    for one in clouds:
        made.add(one, retain)
    return made


def refused(call: Any, code: Code, *words: str) -> None:
    with pytest.raises(Refusal) as caught:
        call()
    assert caught.value.code == code
    for word in words:
        assert re.search(word, caught.value.message), caught.value.message


def test_a_cloud_is_found_by_its_stamp_within_the_tolerance() -> None:
    one, two = cloud(10.0), cloud(10.1)
    kept = store(one, two)
    assert kept.at(10 * SECOND, 0.0) is one
    assert kept.at(int(10.098 * SECOND), 0.005) is two
    refused(lambda: kept.at(int(10.05 * SECOND), 0.005), Code.NO_CLOUD, "lost or never sent")


def test_the_oldest_clouds_go_and_a_request_for_one_is_told_which_there_are() -> None:
    clouds = [cloud(float(second)) for second in range(10, 15)]
    kept = store(*clouds, retain=3)
    assert [one in kept for one in clouds] == [False, False, True, True, True]
    refused(
        lambda: kept.at(10 * SECOND, 0.005), Code.NO_CLOUD,
        "older than all retained clouds", "clouds.retain", r"3, stamps 12\.0+ to 14\.0+",
    )  # fmt: skip
    refused(lambda: kept.at(20 * SECOND, 0.005), Code.NO_CLOUD, "not arrived yet")


def test_a_request_before_the_first_cloud_is_told_the_topic() -> None:
    kept = store()
    refused(lambda: kept.current(0, SETTINGS), Code.NO_CLOUD, "no cloud has arrived yet.*/camera")
    refused(lambda: kept.at(SECOND, 0.1), Code.NO_CLOUD, "no cloud has arrived yet.*/camera")


def test_without_a_stamp_a_young_embedded_cloud_comes_before_a_newer_bare_one() -> None:
    embedded, bare = cloud(99.5, embedded=True), cloud(100.0)
    assert store(embedded, bare).current(100 * SECOND, SETTINGS) is embedded


def test_without_a_stamp_the_newest_cloud_comes_when_the_embedded_one_is_too_old() -> None:
    embedded, bare = cloud(98.5, embedded=True), cloud(100.0)
    assert store(embedded, bare).current(100 * SECOND, SETTINGS) is bare


def test_a_sensor_whose_clock_is_ahead_makes_no_cloud_younger_than_it_is() -> None:
    embedded, bare = cloud(100.5, 99.5, embedded=True), cloud(101.0, 100.0)
    kept = store(embedded, bare)
    assert kept.current(100 * SECOND, CloudSettings(max_age_s=0.4)) is bare
    assert kept.current(100 * SECOND, CloudSettings(max_age_s=0.6)) is embedded
    assert kept.current(100 * SECOND, CloudSettings(max_age_s=0.0)) is bare


def test_of_embedded_clouds_the_newest_by_stamp_counts_whatever_came_last() -> None:
    newer, late = cloud(100.0, embedded=True), cloud(99.9, embedded=True)
    kept = store(newer, late)
    assert kept.newest() is newer
    assert kept.current(100 * SECOND, SETTINGS) is newer


def test_a_newest_cloud_that_is_too_old_is_refused_with_its_age() -> None:
    kept = store(cloud(80.0, embedded=True))
    refused(
        lambda: kept.current(100 * SECOND, SETTINGS), Code.NO_CLOUD,
        r"too old: 20\.0 s", r"clouds\.stale_s = 10 s", "captured once.*clouds.stale_s to 0",
        r"80\.000000000",
    )  # fmt: skip
    never = CloudSettings(stale_s=0.0)
    assert kept.current(100 * SECOND, never).stamp_ns == 80 * SECOND


def test_a_cloud_without_a_stamp_is_as_old_as_its_arrival() -> None:
    bare = cloud(0.0, arrived_s=95.0)
    assert bare.age_s(100 * SECOND) == pytest.approx(5.0)
    assert store(bare).current(100 * SECOND, SETTINGS) is bare


@pytest.mark.parametrize("power_on_s", [3.0, 5000.0])
def test_a_sensor_that_counts_from_power_on_is_as_old_as_its_arrivals(power_on_s: float) -> None:
    clouds = [cloud(power_on_s + second, 1e6 + second) for second in range(3)]
    kept = store(*clouds)
    now = int((1e6 + 2.5) * SECOND)
    assert kept.newest() is clouds[2]
    assert kept.newest().age_s(now) == pytest.approx(0.5)
    assert kept.current(now, SETTINGS) is clouds[2]
    assert kept.at(int((power_on_s + 1) * SECOND), 0.005) is clouds[1]
    refused(lambda: kept.current(now + 20 * SECOND, SETTINGS), Code.NO_CLOUD, "too old: 20.5 s")


def test_clouds_without_a_stamp_are_the_newest_after_one_that_had_one() -> None:
    stamped, first, second = cloud(100.0), cloud(0.0, 101.0), cloud(0.0, 102.0)
    kept = store(stamped, first)
    assert kept.newest() is first
    kept.add(second, retain=10)
    assert kept.newest() is second and stamped in kept
    assert kept.current(103 * SECOND, SETTINGS) is second


def test_of_a_recording_without_simulated_time_the_cloud_that_came_last_is_the_newest() -> None:
    year = 3e7
    clouds = [cloud(1e6 + second, 1e6 + year + second) for second in (0, 1, 2)]
    kept = store(*clouds)
    assert kept.fresh(int((1e6 + year + 3) * SECOND), 10.0) is clouds[2]


@pytest.mark.parametrize(
    ("late_s", "shares"), [(-2.0, False), (-0.9, True), (0.0, True), (9.0, True), (11.0, False)]
)
def test_a_stamp_is_of_the_nodes_clock_where_it_is_near_the_arrival(
    late_s: float, shares: bool
) -> None:
    one = cloud(100.0, 100.0 + late_s)
    assert one.shares_clock == shares
    assert one.time_ns == (100 * SECOND if shares else int((100 + late_s) * SECOND))


def test_a_request_whose_stamp_is_of_another_clock_is_told_so() -> None:
    kept = store(cloud(12.0, 1e6))
    refused(
        lambda: kept.at(int(1e6 * SECOND), 0.005),
        Code.NO_CLOUD,
        "another clock than the clouds'",
    )


def test_a_cloud_of_the_same_stamp_replaces_the_earlier_one() -> None:
    first, again = cloud(10.0), cloud(10.0)
    kept = store(first, again)
    assert len(kept) == 1 and again in kept and first not in kept


def test_when_time_jumps_back_the_clouds_of_the_time_to_come_are_forgotten() -> None:
    kept = store(cloud(4.0), cloud(100.0), cloud(101.0))
    first, second = cloud(5.0), cloud(5.1)
    assert not kept.add(first, retain=10), "one cloud may be merely late"
    assert kept.add(second, retain=10)
    assert kept.newest() is second and len(kept) == 3
    assert not kept.add(cloud(4.5), retain=10), "a cloud that is a little late is no jump"
    assert kept.newest() is second


def test_a_single_late_cloud_and_clouds_without_a_stamp_take_nothing_away() -> None:
    newest = cloud(101.0)
    kept = store(cloud(100.0), newest)
    for late in (cloud(40.0), cloud(101.1), cloud(0.0), cloud(0.0), cloud(50.0)):
        assert not kept.add(late, retain=10)
    assert newest in kept and len(kept) == 6


def test_a_discarded_cloud_is_gone() -> None:
    bad = cloud(10.0)
    kept = store(bad)
    kept.discard(bad, "no point can be used")
    assert bad not in kept and kept.newest() is None


def test_whoever_asks_for_a_cloud_that_was_refused_is_told_why_until_time_starts_again() -> None:
    bad = cloud(10.0)
    kept = store(bad)
    kept.discard(bad, "no point can be used")
    kept.refuse(11 * SECOND, "row_step is 7")
    refused(lambda: kept.at(10 * SECOND, 0.005), Code.BAD_CLOUD, "10.0.*no point can be used")
    kept.add(cloud(12.0), retain=5)
    refused(lambda: kept.at(11 * SECOND, 0.005), Code.BAD_CLOUD, "row_step is 7")
    refused(lambda: kept.at(9 * SECOND, 0.005), Code.NO_CLOUD, "older than all")
    kept.clear()
    refused(lambda: kept.at(11 * SECOND, 0.005), Code.NO_CLOUD, "no cloud has arrived")


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_points": 100}, r"101 points; .*at most 100 .*limits\.max_points"),
        ({"max_bytes": 1211}, r"1212 bytes of data; .*at most 1211 .*limits\.max_bytes"),
        ({"max_fields": 2}, r"3 fields; .*limits\.max_fields"),
        ({"max_name_length": 5}, r"6 characters in a name; .*limits\.max_name_length"),
    ],
)
def test_a_cloud_beyond_a_limit_is_refused_at_the_door(limits: dict, reason: str) -> None:
    msg = cloud_msgs.write(Header(frame_id="camera"), np.ones((101, 3), np.float32))
    StoredCloud.from_msg(msg, 0, LimitSettings())
    with pytest.raises(CloudError, match=reason):
        StoredCloud.from_msg(msg, 0, LimitSettings(**limits))


def test_threads_may_add_and_ask_at_once() -> None:
    kept = store(cloud(1.0))
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(300):
                kept.current(SECOND, CloudSettings(stale_s=0.0))
                kept.at(kept.newest().stamp_ns, 1e6)  # type: ignore[union-attr]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for stamp in range(300):
        kept.add(cloud(1.0 + stamp / 100), retain=5)
    for thread in threads:
        thread.join()
    assert not errors
