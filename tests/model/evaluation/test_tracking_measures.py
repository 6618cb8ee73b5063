"""MOTA and IDF1 against cases small enough to count by hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from pointsam_model.evaluation.tracking import TrackedCloud, TrackingResult, evaluate_tracking

POINTS = 100  # of each object


def cloud(objects: Mapping[int, float], masks: Mapping[int, int]) -> TrackedCloud:
    """Objects side by side, each with the share of its points that its mask has.

    masks: for each id the object that it covers.
    """
    label = np.repeat(list(objects), POINTS).astype(np.int32)
    rows = {}
    for track, number in masks.items():
        own = np.flatnonzero(label == number)
        rows[track] = own[: round(len(own) * objects[number])]
    return TrackedCloud(label, rows)


def test_ids_that_stay_with_objects_are_perfect() -> None:
    result = evaluate_tracking([cloud({1: 1.0, 2: 0.9}, {7: 1, 8: 2})] * 5)
    assert result == TrackingResult(objects=10, lost=0, false=0, switches=0, tracked=10)
    assert (result.mota, result.idf1) == (1.0, 1.0)


def test_an_id_that_changes_is_one_switch_and_half_of_the_identity() -> None:
    before, after = cloud({1: 1.0}, {7: 1}), cloud({1: 1.0}, {9: 1})
    result = evaluate_tracking([before, before, after, after])
    assert (result.switches, result.lost, result.false) == (1, 0, 0)
    assert result.mota == 0.75
    assert result.idf1 == 0.5


def test_two_objects_that_swap_ids_are_two_switches() -> None:
    before, after = cloud({1: 1.0, 2: 1.0}, {7: 1, 8: 2}), cloud({1: 1.0, 2: 1.0}, {8: 1, 7: 2})
    result = evaluate_tracking([before, before, before, after])
    assert result.switches == 2
    assert result.idf1 == 0.75


def test_an_id_that_comes_back_after_a_gap_is_no_switch() -> None:
    seen, missed = cloud({1: 1.0}, {7: 1}), cloud({1: 1.0}, {})
    result = evaluate_tracking([seen, missed, missed, seen])
    assert (result.lost, result.switches) == (2, 0)
    assert result.idf1 == pytest.approx(2 * 2 / (4 + 2))


def test_a_mask_of_less_than_half_loses_the_object_and_is_false() -> None:
    result = evaluate_tracking([cloud({1: 0.4}, {7: 1})])
    assert (result.lost, result.false, result.tracked) == (1, 1, 0)
    assert result.mota == -1.0
    assert result.idf1 == 0.0


def test_a_mask_of_exactly_half_covers_the_object() -> None:
    assert evaluate_tracking([cloud({1: 0.5}, {7: 1})]).lost == 0


def test_an_object_keeps_its_track_though_another_overlaps_more() -> None:
    label = np.ones(POINTS, np.int32)
    first = TrackedCloud(label, {7: np.arange(POINTS)})
    both = TrackedCloud(label, {7: np.arange(60), 8: np.arange(POINTS)})
    result = evaluate_tracking([first, both])
    assert (result.switches, result.false) == (0, 1)


def test_small_objects_and_masks_on_ignored_points_count_as_nothing() -> None:
    label = np.repeat([1, 2, -1, 0], [100, 10, 100, 100]).astype(np.int32)
    masks = {5: np.arange(100), 6: np.arange(100, 110), 7: np.arange(110, 210)}
    result = evaluate_tracking([TrackedCloud(label, masks)])
    assert result == TrackingResult(objects=1, lost=0, false=0, switches=0, tracked=1)


def test_a_mask_of_the_background_is_false() -> None:
    label = np.repeat([1, 0], [100, 100]).astype(np.int32)
    masks = {5: np.arange(100), 6: np.arange(100, 200)}
    assert evaluate_tracking([TrackedCloud(label, masks)]).false == 1


def test_results_of_sequences_add_up() -> None:
    one = TrackingResult(objects=10, lost=2, false=1, switches=1, tracked=7)
    both = one + TrackingResult(objects=10, lost=0, false=0, switches=0, tracked=10)
    assert both == TrackingResult(objects=20, lost=2, false=1, switches=1, tracked=17)
    assert both.mota == pytest.approx(0.8)
    assert both.idf1 == pytest.approx(2 * 17 / (20 + 19))


def test_a_sequence_without_objects_has_measures() -> None:
    nothing = evaluate_tracking([TrackedCloud(np.zeros(10, np.int32), {})])
    assert (nothing.mota, nothing.idf1) == (1.0, 0.0)


def test_with_right_ids_only_the_masks_errors_are_left() -> None:
    before, after = cloud({1: 1.0, 2: 0.3}, {7: 1, 8: 2}), cloud({1: 1.0}, {9: 1})
    result = evaluate_tracking([before, after]).with_right_ids()
    assert result == TrackingResult(objects=3, lost=1, false=1, switches=0, tracked=2)
