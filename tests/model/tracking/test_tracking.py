"""Ids stay with objects: from other views, in motion, behind others, through masks with errors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.quality.tracking import main as command
from benchmarks.quality.tracking_sequences import (
    Mask,
    MovingCloud,
    faulty_masks,
    moving_sequence,
    true_masks,
)
from pointsam_model import ConfigError, Tracker, TrackingConfig
from pointsam_model.config.building import configured
from pointsam_model.evaluation.tracking import TrackedCloud, TrackingResult, evaluate_tracking
from pointsam_model.tracking.shape import Shape
from pointsam_model.tracking.tracker import MOST

SEEDS = (0, 3, 5)
MOVED = (0.0, 0.5, 0.0)


def box(middle: Sequence[float], seed: int = 0, points: int = 600, side: float = 0.1) -> Mask:
    """Points on the surface of a cube, drawn anew for each seed."""
    random = np.random.default_rng(seed)
    xyz = random.uniform(-side / 2, side / 2, (points, 3))
    face = random.integers(0, 3, points)
    xyz[np.arange(points), face] = np.where(random.random(points) < 0.5, -side / 2, side / 2)
    return Mask(np.arange(points), (xyz + middle).astype(np.float32))


def part(mask: Mask, share: float, axis: int = 0) -> Mask:
    """The points of a mask on one side."""
    rows = mask.points[:, axis] <= np.quantile(mask.points[:, axis], share)
    return Mask(mask.indices[rows], mask.points[rows])


def joined(*masks: Mask) -> Mask:
    points = np.concatenate([mask.points for mask in masks])
    return Mask(np.arange(len(points)), points)


def turned(degrees: float, position: Sequence[float]) -> NDArray[np.float64]:
    """A camera's pose: yawed and moved."""
    angle = math.radians(degrees)
    pose = np.eye(4)
    pose[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    pose[:3, 3] = position
    return pose


def seen_from(pose: NDArray[np.float64], mask: Mask) -> Mask:
    """A mask in world coordinates in those of a camera."""
    points = (mask.points - pose[:3, 3]) @ pose[:3, :3]
    return Mask(mask.indices, points.astype(np.float32))


@pytest.fixture(scope="module", params=SEEDS)
def sequence(request: pytest.FixtureRequest) -> list[MovingCloud]:
    return moving_sequence(request.param, clouds=8, turn_deg=20.0)


def tracked(
    sequence: Sequence[MovingCloud], masks: Sequence[list[Mask]], *, poses: bool = True
) -> TrackingResult:
    tracker = Tracker()
    clouds = []
    for cloud, found in zip(sequence, masks, strict=True):
        ids = tracker.update(found, cloud.stamp_s, cloud.transform if poses else None)
        clouds.append(
            TrackedCloud(cloud.label, {i: each.indices for i, each in zip(ids, found, strict=True)})
        )
    return evaluate_tracking(clouds)


def test_true_masks_of_a_moving_camera_and_a_carried_object_keep_their_ids(
    sequence: list[MovingCloud],
) -> None:
    result = tracked(sequence, [list(true_masks(cloud)) for cloud in sequence])
    assert result.objects >= 20
    assert result.mota >= 0.95
    assert result.idf1 >= 0.95


def test_masks_with_errors_lose_little_more_than_the_errors_cost(
    sequence: list[MovingCloud],
) -> None:
    rng = Random(1)
    result = tracked(sequence, [list(faulty_masks(cloud, rng)) for cloud in sequence])
    assert result.idf1 >= result.with_right_ids().idf1 - 0.15
    assert result.switches <= 0.15 * (result.objects - result.lost)


def test_without_poses_a_moving_camera_loses_ids() -> None:
    clouds = moving_sequence(3, clouds=6, turn_deg=90.0, carried_m=0.0)
    masks = [list(true_masks(cloud)) for cloud in clouds]
    with_poses, without = tracked(clouds, masks), tracked(clouds, masks, poses=False)
    assert with_poses.switches == 0
    assert without.switches > 0


def test_other_points_of_the_same_object_are_the_same_object() -> None:
    tracker = Tracker()
    first = tracker.update([box((0, 0, 1), 1), box((0.3, 0, 1), 2)], 0.0)
    again = tracker.update([box((0.3, 0, 1), 3, points=90), box((0, 0, 1), 4, points=5000)], 0.1)
    assert again == first[::-1]


def test_noise_of_the_sensor_changes_no_id() -> None:
    tracker = Tracker()
    noise = np.random.default_rng(0)
    ids = set()
    for step in range(10):
        mask = box((0, 0, 1), step)
        rough = mask.points + noise.normal(0, 0.004, mask.points.shape)
        ids |= set(tracker.update([replace(mask, points=rough)], step / 10))
    assert len(ids) == 1


def test_half_of_an_object_keeps_its_id() -> None:
    tracker = Tracker()
    first = tracker.update([box((0, 0, 1))], 0.0)
    assert tracker.update([part(box((0, 0, 1), 1), 0.5)], 0.1) == first
    assert tracker.update([box((0, 0, 1), 2)], 0.2) == first


def test_a_camera_that_turns_does_not_matter_when_its_pose_is_known() -> None:
    tracker = Tracker()
    ids = []
    for step in range(6):
        pose = turned(60 * step, (0.2 * step, -0.1 * step, 0.0))
        objects = [box((x, 0, 1), step + 10 * x) for x in (1, 2, 3)]
        ids.append(tracker.update([seen_from(pose, each) for each in objects], step / 10, pose))
    assert all(row == ids[0] for row in ids)


def test_an_object_out_of_view_has_its_id_when_it_comes_back() -> None:
    tracker = Tracker(TrackingConfig(keep_s=2.0))
    here, there = box((0, 0, 1)), box((5, 0, 1))
    (first,) = tracker.update([here], 0.0)
    (second,) = tracker.update([there], 1.0)
    assert tracker.update([here, there], 1.9) == [first, second]


def test_an_object_hidden_for_longer_than_keep_s_is_a_new_one() -> None:
    tracker = Tracker(TrackingConfig(keep_s=2.0))
    (first,) = tracker.update([box((0, 0, 1))], 0.0)
    assert tracker.update([], 2.0) == []
    assert tracker.update([box((0, 0, 1), 1)], 2.1) != [first]


def test_what_the_last_cloud_showed_is_known_however_late_the_next_one_comes() -> None:
    tracker = Tracker(TrackingConfig(keep_s=1.0))
    first = tracker.update([box((0, 0, 1))], 0.0)
    assert tracker.update([box((0, 0, 1), 1)], 30.0) == first
    assert tracker.update([], 31.0) == []
    assert tracker.update([box((0, 0, 1), 2)], 31.5) != first


def test_recognising_changes_nothing_and_may_be_of_an_older_cloud() -> None:
    tracker = Tracker(TrackingConfig(keep_s=1.0))
    here, there = tracker.update([box((0, 0, 1)), box((1, 0, 1))], 5.0)
    objects = [box((2, 0, 1), 1), box((1, 0, 1), 2), box((0, 0, 1), 3)]
    for stamp_s in (4.5, 5.5, 4.5):
        assert tracker.recognise(objects, stamp_s) == [None, there, here]
    tracker.update([], 5.5)
    assert tracker.recognise(objects, 4.2) == [None, there, here]
    assert tracker.recognise(objects, 6.1) == [None, None, None], "longer ago than keep_s"
    assert tracker.update(objects[1:], 6.0) == [there, here]


def test_an_object_that_is_found_otherwise_is_recognised_where_it_was_said_to_be() -> None:
    tracker = Tracker(TrackingConfig(max_speed=0.0))
    known = tracker.new_id()
    tracker.see(known, box((0, 0, 1)), 1.0)
    tracker.see(known, box((0.5, 0, 1), 1), 2.0)
    tracker.see(known, box((5, 0, 1), 1), 1.5)  # too late to count
    assert tracker.update([box((0.5, 0, 1), 2)], 2.0) == [known]
    assert tracker.update([box((5, 0, 1), 2)], 2.1) != [known]


def test_objects_that_are_only_said_to_be_somewhere_stay_there_until_they_are_missed() -> None:
    tracker = Tracker(TrackingConfig(keep_s=1.0))
    for step in range(5):
        tracker.see(tracker.new_id(), box((step, 0, 1)), float(step))
    objects = [box((step, 0, 1), 9) for step in range(5)]
    assert tracker.recognise(objects, 60.0) == [1, 2, 3, 4, 5]
    assert tracker.update(objects[:2], 60.0) == [1, 2]
    assert tracker.recognise(objects, 60.1) == [1, 2, None, None, None]


def test_keep_s_counts_for_an_object_that_was_looked_for_in_vain() -> None:
    tracker = Tracker(TrackingConfig(keep_s=1.0))
    (known,) = tracker.update([box((0, 0, 1))], 0.0)
    tracker.miss(known, 0.0)
    tracker.miss(known + 1, 0.5)
    assert tracker.recognise([box((0, 0, 1), 1)], 2.0) == [known], "seen in that cloud"
    tracker.miss(known, 0.5)
    assert tracker.recognise([box((0, 0, 1), 1)], 0.9) == [known]
    assert tracker.recognise([box((0, 0, 1), 1)], 2.0) == [None]
    tracker.see(known, box((0, 0, 1), 2), 1.0)
    assert tracker.recognise([box((0, 0, 1), 1)], 5.0) == [known], "it was seen since"


def test_an_object_that_was_seen_in_a_cloud_is_not_missed_by_that_clouds_proposals() -> None:
    tracker = Tracker(TrackingConfig(keep_s=1.0))
    known = tracker.new_id()
    tracker.see(known, box((0, 0, 1)), 1.0)
    assert tracker.update([], 1.0) == []
    assert tracker.recognise([box((0, 0, 1), 1)], 5.0) == [known]


def test_of_what_nobody_looks_for_the_oldest_is_forgotten() -> None:
    tracker = Tracker()
    for step in range(MOST + 2):
        tracker.see(tracker.new_id(), box((step, 0, 1), points=20), float(step))
    objects = [box((step, 0, 1), 9, points=20) for step in range(4)]
    assert tracker.recognise(objects, MOST + 2.0) == [None, None, 3, 4]


def test_an_instance_is_none_of_the_ids_that_it_cannot_have() -> None:
    tracker = Tracker()
    upper, lower = tracker.update([box((0, 0, 1.03)), box((0, 0, 1))], 0.0)
    here = box((0, 0, 1), 1)
    assert tracker.recognise([here], 0.1) == [lower]
    assert tracker.recognise([here], 0.1, exclude=[{lower}]) == [upper]
    assert tracker.recognise([here], 0.1, exclude=[{lower, upper}]) == [None]
    both = [here, box((0, 0, 1.03), 2)]
    assert tracker.recognise(both, 0.1, exclude=[{lower}, set()]) == [None, upper]


def test_an_object_that_was_away_for_minutes_is_not_taken_for_one_far_off() -> None:
    tracker = Tracker(TrackingConfig(max_speed=1.0))
    known = tracker.new_id()
    tracker.see(known, box((0, 0, 1)), 0.0)
    assert tracker.update([box((3, 0, 1), 1)], 120.0) != [known]
    assert tracker.update([box((0, 0, 1), 1), box((4, 0, 1), 1)], 121.0)[0] != known, "missed since"


def test_a_moving_object_is_where_it_would_be_behind_what_hid_it() -> None:
    tracker = Tracker()
    ids = [tracker.update([box((0.05 * step, 0, 1), step)], step / 10) for step in range(6)]
    assert all(row == ids[0] for row in ids)
    for step in range(6, 12):
        tracker.update([], step / 10)
    waiting, moved = box((0.0, 0, 1), 50), box((0.6, 0, 1), 51)
    found = tracker.update([waiting, moved], 1.2)
    assert found[1] == ids[0][0]


def test_an_object_that_starts_with_a_jump_keeps_its_id() -> None:
    tracker = Tracker()
    first = tracker.update([box((0, 0, 1)), box((2, 0, 1))], 0.0)
    assert tracker.update([box((0.15, 0, 1), 1), box((2, 0, 1), 2)], 0.2) == first


def test_nothing_moves_faster_than_max_speed() -> None:
    tracker = Tracker(TrackingConfig(max_speed=0.5))
    first = tracker.update([box((0, 0, 1))], 0.0)
    assert tracker.update([box((0.15, 0, 1), 1)], 0.2) != first


def test_another_shape_at_another_place_is_another_object() -> None:
    tracker = Tracker()
    first = tracker.update([box((0, 0, 1))], 0.0)
    plate = box((0.15, 0, 1), 1, side=0.4)
    flat = replace(plate, points=plate.points * np.float32([1, 1, 0.01]) + np.float32([0, 0, 1]))
    assert tracker.update([flat], 0.2) != first


def test_two_objects_have_their_ids_again_after_one_mask_held_both() -> None:
    tracker = Tracker()
    left, right = box((0, 0, 1)), box((0.1, 0, 1), 1)
    first = tracker.update([left, right], 0.0)
    (both,) = tracker.update([joined(left, right)], 0.1)
    assert both in first
    assert tracker.update([box((0, 0, 1), 2), box((0.1, 0, 1), 3)], 0.2) == first


def test_an_object_has_its_id_again_after_its_mask_broke_in_two() -> None:
    tracker = Tracker()
    whole = box((0, 0, 1))
    (first,) = tracker.update([whole], 0.0)
    larger = part(whole, 0.6)
    rest = np.setdiff1d(whole.indices, larger.indices)
    pieces = tracker.update([larger, Mask(rest, whole.points[rest])], 0.1)
    assert pieces[0] == first
    assert pieces[1] != first
    assert tracker.update([box((0, 0, 1), 1)], 0.2) == [first]


def test_one_cut_mask_does_not_make_another_object_of_the_rest() -> None:
    tracker = Tracker(TrackingConfig(max_speed=0.0))
    whole = box((0, 0, 1))
    left = part(whole, 0.35)
    right = np.setdiff1d(whole.indices, part(whole, 0.65).indices)
    first = tracker.update([whole], 0.0)
    assert tracker.update([left], 0.1) == first
    assert tracker.update([Mask(right, whole.points[right])], 0.2) == first


def test_time_that_jumps_back_begins_anew_and_gives_no_id_twice() -> None:
    tracker = Tracker()
    first = tracker.update([box((0, 0, 1)), box((1, 0, 1))], 10.0)
    again = tracker.update([box((0, 0, 1)), box((1, 0, 1))], 9.0)
    assert not set(first) & set(again)
    assert tracker.update([box((0, 0, 1)), box((1, 0, 1))], 9.1) == again


def test_clouds_of_one_stamp_keep_ids() -> None:
    tracker = Tracker()
    first = tracker.update([box((0, 0, 1))], 1.0)
    assert tracker.update([box((0, 0, 1), 1)], 1.0) == first
    assert tracker.update([box((0, 0, 1), 2)], 1.1) == first


def test_an_empty_cloud_gives_no_ids_and_forgets_nothing() -> None:
    tracker = Tracker()
    assert tracker.update([], 0.0) == []
    first = tracker.update([box((0, 0, 1))], 0.1)
    assert tracker.update([], 0.2) == []
    assert tracker.update([box((0, 0, 1), 1)], 0.3) == first


def test_a_new_id_is_no_instances() -> None:
    tracker = Tracker()
    (first,) = tracker.update([box((0, 0, 1))], 0.0)
    own = tracker.new_id()
    _, third = tracker.update([box((0, 0, 1)), box((1, 0, 1))], 0.1)
    assert len({first, own, third}) == 3


def test_far_from_the_origin_ids_stay_too() -> None:
    tracker = Tracker()
    map_from_cloud = turned(30, (5.5e5, 4.2e6, 300.0))
    first = tracker.update([box((0, 0, 1)), box((0.3, 0, 1))], 0.0, map_from_cloud)
    again = tracker.update([box((0.3, 0, 1), 1), box((0, 0, 1), 2)], 0.1, map_from_cloud)
    assert again == first[::-1]


def test_one_point_is_an_instance() -> None:
    tracker = Tracker()
    point = Mask(np.arange(1), np.ones((1, 3), np.float32))
    first = tracker.update([point], 0.0)
    assert tracker.update([point], 0.1) == first


@pytest.mark.parametrize(
    "transform",
    [np.eye(3), 2 * np.eye(4), np.diag([-1.0, 1.0, 1.0, 1.0]), np.full((4, 4), np.nan)],
)
def test_a_transform_that_is_not_rigid_is_refused(transform: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="transform"):
        Tracker().update([box((0, 0, 1))], 0.0, transform)


def test_a_stamp_that_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="stamp"):
        Tracker().update([], math.nan)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="keep_s"):
        configured(TrackingConfig(), {"keep_s": -1.0})


def test_overlap_is_iou_whatever_the_density() -> None:
    whole = Shape.of(box((0, 0, 0), 1, points=4000).points, 0.06, 0.001)
    same = Shape.of(box((0, 0, 0), 2, points=500).points, 0.06, 0.001)
    half = Shape.of(part(box((0, 0, 0), 3, points=4000), 0.5).points, 0.06, 0.001)
    away = Shape.of(box(MOVED, 4).points, 0.06, 0.001)
    assert whole.overlap(same) > 0.95
    assert whole.overlap(half) == pytest.approx(0.5, abs=0.12)
    assert whole.overlap(away) == 0.0
    assert whole.overlap(away, np.array(MOVED)) > 0.9


places = st.lists(
    st.tuples(st.integers(-5, 5), st.integers(-5, 5), st.integers(0, 2)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=30, deadline=None)
@given(clouds=st.lists(places, min_size=1, max_size=4), order=st.randoms(use_true_random=False))
def test_ids_are_unique_reproducible_and_permute_with_the_instances(
    clouds: list[list[tuple[int, int, int]]], order: Random
) -> None:
    straight, again, shuffled = Tracker(), Tracker(), Tracker()
    given_before: set[int] = set()
    for number, middles in enumerate(clouds):
        masks = [
            box([0.12 * axis for axis in middle], seed=100 * number + row, points=60)
            for row, middle in enumerate(middles)
        ]
        rows = list(range(len(masks)))
        order.shuffle(rows)
        stamp_s = 1.5 * number
        ids = straight.update(masks, stamp_s)
        assert len(set(ids)) == len(ids)
        assert min(ids) >= 1
        assert again.update(masks, stamp_s) == ids
        assert shuffled.update([masks[row] for row in rows], stamp_s) == [ids[row] for row in rows]
        new = sorted(set(ids) - given_before)
        assert not given_before or not new or min(new) > max(given_before)
        given_before |= set(ids)


def test_a_sequence_is_the_same_for_the_same_seed() -> None:
    first, again = (moving_sequence(2, clouds=2) for _ in range(2))
    for one, other in itertools.zip_longest(first, again):
        np.testing.assert_array_equal(one.xyz, other.xyz)
        np.testing.assert_array_equal(one.label, other.label)
        np.testing.assert_array_equal(one.transform, other.transform)


def test_the_transform_puts_resting_objects_of_a_sequence_in_one_place() -> None:
    first, last = moving_sequence(5, clouds=2, turn_deg=20.0, carried_m=0.0)
    for number in np.intersect1d(first.label, last.label):
        if number > 0 and min((each.label == number).sum() for each in (first, last)) > 200:
            middles = [
                np.median(each.xyz[each.label == number] @ each.transform[:3, :3].T, 0)
                + each.transform[:3, 3]
                for each in (first, last)
            ]
            assert np.linalg.norm(middles[0] - middles[1]) < 0.05


def test_the_command_reports_mota_and_idf1_of_each_kind_of_masks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command(sequences=1, clouds=3, proposed=0, followed=0, standing=0)
    report = capsys.readouterr().out
    for word in ("MOTA", "IDF1", "switches", "true", "faulty"):
        assert word in report
