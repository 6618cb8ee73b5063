"""Clicks and IoU@k follow the paper's protocol."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from typer.testing import CliRunner

from pointsam_model.data.clicks import innermost
from pointsam_model.errors import CloudError
from pointsam_model.evaluation import (
    LabelledCloud,
    Method,
    evaluate_cloud,
    find_labelled,
    first_click,
    first_clicks,
    iou,
    next_click,
    read_labelled,
    summarise,
    write_json,
)
from pointsam_model.evaluation.timing import Seconds


def line_cloud(size: int) -> NDArray[np.float32]:
    """Points one metre apart on the x axis, from x = 1."""
    xyz = np.zeros((size, 3), dtype=np.float32)
    xyz[:, 0] = np.arange(1, size + 1)
    return xyz


def rows(size: int, *chosen: int) -> NDArray[np.bool_]:
    mask = np.zeros(size, dtype=bool)
    mask[list(chosen)] = True
    return mask


def test_first_click_is_the_object_point_farthest_from_the_complement() -> None:
    assert first_click(line_cloud(9), rows(9, 2, 3, 4, 5, 6)) == 4


def test_first_click_takes_the_lowest_row_of_equals() -> None:
    assert first_click(line_cloud(8), rows(8, 2, 3, 4, 5)) == 3


def test_first_click_never_falls_on_a_point_that_does_not_count() -> None:
    counted = ~rows(9, 4)
    assert first_click(line_cloud(9), rows(9, 2, 3, 4, 5, 6), counted) == 3


def test_points_that_do_not_count_are_no_complement() -> None:
    # rows 0 to 2 would be the near complement; without them row 3 is deepest
    counted = ~rows(10, 0, 1, 2)
    assert first_click(line_cloud(10), rows(10, 3, 4, 5, 6), counted) == 3


def test_first_click_on_an_empty_object_is_none() -> None:
    assert first_click(line_cloud(5), rows(5)) is None


def test_first_click_on_an_object_that_is_the_whole_cloud_is_its_middle() -> None:
    assert first_click(line_cloud(5), np.ones(5, dtype=bool)) == 2


def test_next_click_is_positive_where_the_missed_region_is_deeper() -> None:
    truth, predicted = rows(20, *range(2, 10)), rows(20, 2, 3, 12)
    assert next_click(line_cloud(20), truth, predicted) == (6, 1)


def test_next_click_is_negative_where_the_wrong_region_is_deeper() -> None:
    truth, predicted = rows(20, 2, 3, 4), rows(20, 2, 3, *range(10, 17))
    assert next_click(line_cloud(20), truth, predicted) == (13, 0)


def test_next_click_between_equal_regions_is_positive() -> None:
    assert next_click(line_cloud(9), rows(9, 1), rows(9, 6)) == (1, 1)


def test_next_click_after_a_right_mask_is_none() -> None:
    truth = rows(9, 2, 3)
    assert next_click(line_cloud(9), truth, truth) is None


def test_next_click_ignores_errors_at_points_that_do_not_count() -> None:
    truth, predicted = rows(9, 2, 3), rows(9, 2, 3, 7)
    assert next_click(line_cloud(9), truth, predicted, ~rows(9, 7)) is None


def test_next_click_when_nothing_was_predicted_of_a_whole_cloud_is_its_middle() -> None:
    every = np.ones(5, dtype=bool)
    assert next_click(line_cloud(5), every, ~every) == (2, 1)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    size=st.integers(2, 3000),
    share=st.floats(0.02, 0.98),
    clustered=st.booleans(),
    offset=st.sampled_from([0.0, 5.5e5]),
)
def test_innermost_point_is_the_brute_force_one(
    seed: int, size: int, share: float, clustered: bool, offset: float
) -> None:
    rng = np.random.default_rng(seed)
    xyz = (rng.normal(size=(size, 3)) + offset).astype(np.float32)
    counted = rng.random(size) < 0.9
    amount = xyz[:, 0].argsort().argsort() / size if clustered else rng.random(size)
    region = (amount < share) & counted
    outside = xyz[counted & ~region].astype(np.float64)
    found = innermost(xyz, region, counted)
    if not region.any():
        assert found is None
        return
    assert found is not None
    row, distance = found
    assert region[row]
    if not len(outside):
        assert distance == np.inf
        return
    deepest = max(
        np.sqrt(((outside - point) ** 2).sum(axis=1).min())
        for point in xyz[region].astype(np.float64)
    )
    assert distance == pytest.approx(deepest, rel=1e-9, abs=1e-12)
    assert distance == pytest.approx(np.linalg.norm(outside - xyz[row], axis=1).min(), rel=1e-9)


def test_iou_counts_only_points_that_count() -> None:
    assert iou(rows(6, 0, 1, 5), rows(6, 1, 2), ~rows(6, 5)) == pytest.approx(1 / 3)


def test_iou_of_two_empty_masks_is_one() -> None:
    assert iou(rows(4), rows(4), ~rows(4)) == 1.0


def test_first_click_nearest_the_centroid_is_not_always_the_deepest() -> None:
    mask, counted = rows(12, 2, 3, 4, 5, 6, 9), ~rows(12, 8)
    # the mean is at row 4.83
    assert first_clicks("centroid", line_cloud(12), mask, counted) == [5]
    assert first_clicks("deepest", line_cloud(12), mask, counted) == [4]


def test_the_point_nearest_the_centroid_is_one_that_counts() -> None:
    counted = ~rows(9, 4)
    assert first_clicks("centroid", line_cloud(9), rows(9, 2, 3, 4, 5, 6), counted) == [3]


def test_random_first_clicks_fall_on_the_object_and_come_again_for_the_same_name() -> None:
    mask, counted = rows(300, *range(20, 220)), ~rows(300, *range(20, 40))
    drawn = first_clicks("random", line_cloud(300), mask, counted, "a:1")
    assert len(drawn) == 3 and all(40 <= row < 220 for row in drawn)
    assert first_clicks("random", line_cloud(300), mask, counted, "a:1") == drawn
    assert first_clicks("random", line_cloud(300), mask, counted, "a:2") != drawn


@pytest.mark.parametrize("kind", ["deepest", "centroid", "random"])
def test_an_empty_object_has_no_first_click(kind: Any) -> None:
    assert first_clicks(kind, line_cloud(5), rows(5)) == []


@pytest.mark.parametrize("nothing", [np.nan, np.inf, 0.0, 3.4028235e38, -3.4028235e38])
def test_rows_where_the_sensor_saw_nothing_are_never_clicked(nothing: float) -> None:
    """As `Cloud.valid` has it: also those that some drivers fill with FLT_MAX."""
    xyz, label = line_cloud(400), np.zeros(400, dtype=np.int32)
    label[100:300] = 1
    xyz[150:210] = nothing
    cloud = LabelledCloud(xyz, None, 1, 400, "gaps", instance=label)
    assert np.array_equal(cloud.counted, cloud.as_seen().valid)
    assert not cloud.counted[150:210].any() and cloud.counted.sum() == 340
    results = evaluate_cloud(FakePredictor(cloud, lambda truth, _: [~truth]), cloud, clicks=4)
    clicked = [row for row, _ in results[0].clicks]
    assert len(clicked) == 4 and not any(150 <= row < 210 for row in clicked)


def test_a_cloud_of_which_nothing_was_seen_has_no_objects() -> None:
    label = np.ones(60, dtype=np.int32)
    dark = np.full((60, 3), np.nan)
    assert LabelledCloud(dark, None, 1, 60, "dark", instance=label).objects() == []


# --- the protocol, with predictors whose answers are known


@dataclass
class FakePrediction:
    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]

    def best(self) -> FakePrediction:
        return FakePrediction(self.masks[:1], self.scores[:1])


class FakePredictor:
    """Knows the truth; answers each object's mask with `wrong(mask, clicks so far)`."""

    def __init__(self, cloud: LabelledCloud, wrong: Any) -> None:
        self.cloud, self.wrong = cloud, wrong
        self.embedded: list[Any] = []
        self.rounds: list[list[Any]] = []

    def embed(self, cloud: Any) -> str:
        self.embedded.append(cloud)
        return "embedding"

    def segment(self, embedding: Any, prompts: Any) -> list[FakePrediction]:
        assert embedding == "embedding"
        self.rounds.append(list(prompts))
        return [self.answer(prompt) for prompt in prompts]

    def answer(self, prompt: Any) -> FakePrediction:
        distance = np.linalg.norm(self.cloud.xyz - prompt.points[0], axis=1)
        label = self.cloud.instance[np.nanargmin(distance)]
        truth = self.cloud.instance == label
        masks = self.wrong(truth, len(prompt.points))
        if not prompt.multimask:
            masks = masks[:1]
        scores = np.linspace(0.9, 0.7, len(masks), dtype=np.float32)
        return FakePrediction(np.array(masks), scores)


def two_objects() -> LabelledCloud:
    """An object of 100 points, one of 60, a speck of 10, background, and ignored points."""
    label = np.zeros(400, dtype=np.int32)
    label[50:150], label[200:260], label[300:310], label[390:] = 1, 2, 3, -1
    xyz = line_cloud(400)
    xyz[395:] = np.nan
    return LabelledCloud(xyz, None, 1, 400, "line", instance=label)


def test_a_perfect_predictor_scores_one_at_every_click() -> None:
    cloud = two_objects()
    predictor = FakePredictor(cloud, lambda truth, _: [truth])
    results = evaluate_cloud(predictor, cloud, clicks=4)
    assert [result.label for result in results] == [1, 2]
    assert all(result.ious == (1.0,) * 4 for result in results)
    assert all(len(result.clicks) == 1 for result in results)
    assert len(predictor.rounds) == 1, "a right mask needs no further click"


def test_objects_under_fifty_points_are_left_out() -> None:
    cloud = two_objects()
    results = evaluate_cloud(FakePredictor(cloud, lambda truth, _: [truth]), cloud, clicks=1)
    assert [result.points for result in results] == [100, 60]


def test_all_objects_of_a_cloud_decode_together_and_it_is_embedded_once() -> None:
    cloud = two_objects()
    predictor = FakePredictor(cloud, lambda truth, _: [~truth])
    evaluate_cloud(predictor, cloud, clicks=3)
    assert len(predictor.embedded) == 1
    assert [len(prompts) for prompts in predictor.rounds] == [2, 2, 2]


def test_first_click_asks_for_several_masks_and_later_ones_refine_the_best() -> None:
    cloud = two_objects()
    predictor = FakePredictor(cloud, lambda truth, _: [~truth, truth])
    evaluate_cloud(predictor, cloud, clicks=3)
    first, second, third = (prompts[0] for prompts in predictor.rounds)
    assert first.multimask is True and first.mask is None and len(first.points) == 1
    assert second.multimask is False and second.mask is not None and len(second.points) == 2
    assert third.multimask is False and len(third.points) == 3
    assert np.array_equal(third.points[:2], second.points), "all clicks so far are given"


def test_the_mask_of_highest_predicted_iou_counts_and_the_best_one_is_reported_beside() -> None:
    cloud = two_objects()

    def half_then_all(truth: NDArray[np.bool_], _: int) -> list[NDArray[np.bool_]]:
        half = truth.copy()
        half[np.flatnonzero(truth)[: truth.sum() // 2]] = False
        return [half, truth]

    results = evaluate_cloud(FakePredictor(cloud, half_then_all), cloud, clicks=2)
    assert all(result.ious == (0.5, 0.5) for result in results)
    assert all(result.best_of_first == 1.0 for result in results)


def test_ignored_points_in_a_mask_cost_nothing() -> None:
    cloud = two_objects()
    results = evaluate_cloud(
        FakePredictor(cloud, lambda truth, _: [truth | (cloud.instance == -1)]), cloud, clicks=1
    )
    assert all(result.ious == (1.0,) for result in results)


def test_a_predictor_that_obeys_clicks_gets_better_with_each() -> None:
    cloud = two_objects()

    def grows(truth: NDArray[np.bool_], clicks: int) -> list[NDArray[np.bool_]]:
        mask = truth.copy()
        mask[np.flatnonzero(truth)[clicks * 12 :]] = False
        return [mask]

    results = evaluate_cloud(FakePredictor(cloud, grows), cloud, clicks=10)
    for result in results:
        assert list(result.ious) == sorted(result.ious) and result.ious[0] < 0.25
        assert all(label == 1 for _, label in result.clicks)
    assert results[1].ious[4] == 1.0 and results[0].ious[8] == 1.0


def test_colours_can_be_hidden_from_the_predictor() -> None:
    cloud = two_objects()
    colored = replace(cloud, rgb=np.full((400, 3), 9, dtype=np.uint8))
    predictor = FakePredictor(colored, lambda truth, _: [truth])
    evaluate_cloud(predictor, colored, clicks=1)
    evaluate_cloud(predictor, colored, clicks=1, color=False)
    assert predictor.embedded[0].rgb is not None and predictor.embedded[1].rgb is None


def test_a_cloud_without_objects_gives_no_result() -> None:
    cloud = two_objects()
    empty = replace(cloud, instance=np.zeros(400, dtype=np.int32))
    assert evaluate_cloud(FakePredictor(empty, None), empty) == []
    with pytest.raises(CloudError, match="nothing to measure"):
        summarise([])


def test_the_summary_is_the_mean_over_objects_not_over_clouds(tmp_path: Any) -> None:
    cloud = two_objects()

    def only_first(truth: NDArray[np.bool_], _: int) -> list[NDArray[np.bool_]]:
        return [truth if truth.sum() == 100 else np.zeros_like(truth)]

    results = evaluate_cloud(FakePredictor(cloud, only_first), cloud, clicks=3)
    summary = summarise(results)
    assert summary.objects == 2 and summary.clouds == 1
    assert summary.iou_at == {1: 0.5, 2: 0.5, 3: 0.5}


def test_the_report_has_the_summary_and_every_object(tmp_path: Any) -> None:
    cloud = two_objects()
    method = Method("fake", FakePredictor(cloud, lambda truth, _: [truth]), clicks=3)
    method.measure(cloud)
    write_json(tmp_path / "out.json", [method], {"model": "fake"})
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["about"] == {"model": "fake"} and list(written["methods"]) == ["fake"]
    fake = written["methods"]["fake"]
    assert fake["summary"]["iou_at"] == {"1": 1.0, "2": 1.0, "3": 1.0}
    assert [item["label"] for item in fake["objects"]] == [1, 2]
    assert fake["seconds"]["embedding"] > 0 and fake["seconds"]["first"] > 0
    assert fake["seconds"]["refining"] is None, "the first mask was right"


def test_random_first_clicks_each_begin_a_series_and_the_spread_is_told() -> None:
    cloud = two_objects()
    draws = iter(range(100))

    def by_draw(truth: NDArray[np.bool_], _: int) -> list[NDArray[np.bool_]]:
        mask = truth.copy()
        keep = (1.0, 0.5, 0.5)[next(draws) % 3]
        mask[np.flatnonzero(truth)[round(truth.sum() * keep) :]] = False
        return [mask]

    predictor = FakePredictor(cloud, by_draw)
    results = evaluate_cloud(predictor, cloud, clicks=1, first="random")
    assert [(each.label, each.draw) for each in results] == [
        (n, d) for n in (1, 2) for d in range(3)
    ]
    assert len(predictor.embedded) == 1 and len(predictor.rounds[0]) == 6
    summary = summarise(results)
    assert (summary.clouds, summary.objects) == (1, 2)
    assert summary.iou_at[1] == pytest.approx(2 / 3)
    assert summary.spread is not None
    assert [draw[1] for draw in summary.spread.iou_at] == [1.0, 0.5, 0.5]
    assert summary.spread.within[1] == pytest.approx(np.std([1.0, 0.5, 0.5]))
    assert summarise([each for each in results if each.draw == 0]).spread is None


def test_seconds_of_a_click_are_those_of_its_round_shared_by_the_objects() -> None:
    cloud, seconds = two_objects(), Seconds()

    class Slow(FakePredictor):
        def segment(self, embedding: Any, prompts: Any) -> list[FakePrediction]:
            time.sleep(0.02 if prompts[0].mask is None else 0.06)
            return super().segment(embedding, prompts)

    evaluate_cloud(Slow(cloud, lambda truth, _: [~truth]), cloud, clicks=3, seconds=seconds)
    assert (len(seconds.embedding), len(seconds.first), len(seconds.refining)) == (1, 1, 2)
    assert 0.01 <= seconds.first[0] < min(seconds.refining)


def test_masks_are_shown_after_every_click_also_once_they_are_right() -> None:
    cloud = two_objects()
    seen: list[tuple[int, int, int]] = []

    def on_mask(label: int, click: int, mask: NDArray[np.bool_]) -> None:
        seen.append((label, click, np.count_nonzero(mask)))

    predictor = FakePredictor(cloud, lambda truth, _: [truth])
    evaluate_cloud(predictor, cloud, clicks=2, on_mask=on_mask)
    assert seen == [(1, 1, 100), (2, 1, 60), (1, 2, 100), (2, 2, 60)]


def test_labelled_clouds_are_read_from_the_npz_form(tmp_path: Any) -> None:
    cloud = two_objects()
    path = tmp_path / "line.npz"
    np.savez(path, xyz=cloud.xyz, label=cloud.instance, hw=np.array([20, 20]))
    read = read_labelled(path)
    assert read_labelled(path, "folder/line").name == "folder/line"
    assert (read.name, read.height, read.width) == ("line", 20, 20)
    assert np.array_equal(read.instance, cloud.instance)
    assert read.objects() == [1, 2]
    assert find_labelled(tmp_path) == [path] == find_labelled(path)


def test_a_cloud_without_labels_is_refused_with_the_form(tmp_path: Any) -> None:
    np.savez(tmp_path / "bare.npz", xyz=line_cloud(4))
    with pytest.raises(CloudError, match="no array 'label'"):
        read_labelled(tmp_path / "bare.npz")


def test_the_command_says_what_is_wrong_with_its_data(tmp_path: Any) -> None:
    from pointsam_model.cli.app import app

    result = CliRunner().invoke(app, ["evaluate", str(tmp_path)])
    assert result.exit_code == 1
    assert "no .npz cloud" in result.output + result.stderr
