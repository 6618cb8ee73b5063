"""Average recall counts what proposals cover, and the classical pipeline is measured beside it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from plain_tabletop import plain_tabletop

from pointsam_model.evaluation import (
    Bare,
    LabelledCloud,
    Method,
    ObjectResult,
    ProposalResult,
    average_recall,
    evaluate_cloud,
    evaluate_proposals,
    iou,
    losses,
    overlaps,
    summarise,
    table,
)
from pointsam_model.evaluation.baselines.classical import ClassicalPipeline
from pointsam_model.evaluation.summary import RECALL_THRESHOLDS


@dataclass
class FakeProposal:
    indices: NDArray[np.uint32]
    score: float = 1.0


class FakeGenerator:
    """Proposes what it was told to."""

    def __init__(self, *proposals: NDArray[np.integer]) -> None:
        self.proposals = [FakeProposal(rows.astype(np.uint32)) for rows in proposals]
        self.seen: list[Any] = []

    def generate(self, cloud: Any) -> list[FakeProposal]:
        self.seen.append(cloud)
        return self.proposals


def two_objects() -> LabelledCloud:
    """An object of 100 points, one of 60, a speck of 10, background, and 10 ignored points."""
    label = np.zeros(400, dtype=np.int32)
    label[50:150], label[200:260], label[300:310], label[390:] = 1, 2, 3, -1
    xyz = np.zeros((400, 3), dtype=np.float32)
    xyz[:, 0] = np.arange(1, 401)
    xyz[395:] = np.nan
    rgb = np.full((400, 3), 9, dtype=np.uint8)
    return LabelledCloud(xyz, rgb, 1, 400, "line", instance=label)


def recall_of(*best_iou: float) -> Any:
    found = ObjectResult("a", 1, 60, (0.5,), 0.5, (0.5,), ((3, 1),))
    covered = dict(enumerate(best_iou, start=1))
    return summarise([found], [ProposalResult("a", 7, covered)]).recall


def test_the_best_proposal_of_each_object_counts() -> None:
    generator = FakeGenerator(
        np.arange(50, 100), np.arange(50, 125), np.arange(200, 260), np.arange(0, 400)
    )
    result = evaluate_proposals(generator, two_objects())
    assert result.best_iou == {1: 0.75, 2: 1.0}
    assert (result.cloud, result.proposals) == ("line", 4)


def test_points_that_are_ignored_or_unseen_cost_a_proposal_nothing() -> None:
    rows = np.concatenate([np.arange(50, 150), np.arange(390, 400)])
    assert evaluate_proposals(FakeGenerator(rows), two_objects()).best_iou[1] == 1.0


def test_a_small_object_is_no_object_and_counts_as_background() -> None:
    rows = np.concatenate([np.arange(200, 260), np.arange(300, 310)])
    result = evaluate_proposals(FakeGenerator(rows), two_objects())
    assert result.best_iou == {1: 0.0, 2: pytest.approx(60 / 70)}


def test_only_the_first_proposals_count() -> None:
    whole, other = np.arange(50, 150), np.arange(160, 170)
    generator = FakeGenerator(other, other, whole)
    assert evaluate_proposals(generator, two_objects(), most=2).best_iou[1] == 0.0
    assert evaluate_proposals(generator, two_objects(), most=3).best_iou[1] == 1.0


def test_no_proposal_covers_nothing() -> None:
    result = evaluate_proposals(FakeGenerator(), two_objects())
    assert result.best_iou == {1: 0.0, 2: 0.0} and result.proposals == 0


def test_colours_can_be_hidden_from_the_generator() -> None:
    generator = FakeGenerator()
    evaluate_proposals(generator, two_objects())
    evaluate_proposals(generator, two_objects(), color=False)
    assert generator.seen[0].rgb is not None and generator.seen[1].rgb is None


def proposed(*proposals: FakeProposal) -> ProposalResult:
    generator = FakeGenerator()
    generator.proposals = list(proposals)
    return evaluate_proposals(generator, two_objects())


def test_confident_proposals_are_right_where_they_are_objects() -> None:
    result = proposed(
        FakeProposal(np.arange(50, 130), 0.9),
        FakeProposal(np.arange(200, 260), 0.5),
        FakeProposal(np.arange(0, 60), 0.6),  # mostly background
        FakeProposal(np.arange(200, 260), 0.49),  # not sure of itself
    )
    assert (result.confident, result.right, result.proposals) == (3, 2, 4)


def test_a_proposal_mostly_on_ignored_points_is_neither_right_nor_wrong() -> None:
    ignored = FakeProposal(np.arange(385, 400), 0.9)
    assert proposed(ignored).confident == 0
    background = FakeProposal(np.arange(370, 395), 0.9)
    assert (proposed(background).confident, proposed(background).right) == (1, 0)


def test_an_object_mostly_ignored_around_is_still_right() -> None:
    spread = FakeProposal(np.arange(200, 400), 0.9)
    whole = FakeProposal(np.r_[200:260, 390:400], 0.9)
    assert (proposed(spread).right, proposed(whole).right) == (0, 1)


def test_a_proposal_of_an_object_too_small_to_count_is_neither_right_nor_wrong() -> None:
    assert proposed(FakeProposal(np.arange(300, 310), 0.9)).confident == 0


def test_the_share_of_right_proposals_is_over_all_clouds() -> None:
    found = ObjectResult("a", 1, 60, (0.5,), 0.5, (0.5,), ((3, 1),))
    clouds = [
        ProposalResult("a", 7, {1: 1.0}, confident=4, right=1, seconds=1.0),
        ProposalResult("b", 9, {1: 1.0}, confident=1, right=1, seconds=3.0),
    ]
    recall = summarise([found], clouds).recall
    assert recall is not None
    assert (recall.precision, recall.proposals, recall.seconds) == (2 / 5, 8, 2.0)
    assert summarise([found], [ProposalResult("a", 7, {1: 1.0})]).recall.precision is None


def bare_cloud() -> LabelledCloud:
    cloud = two_objects()
    return replace(cloud, rgb=None, instance=np.minimum(cloud.instance, 0))


def test_proposals_on_a_bare_cloud_are_counted_and_no_object_is_missed() -> None:
    generator = FakeGenerator(np.arange(10), np.arange(20))
    generator.proposals[1].score = 0.3
    method = Method("fake", ClickedByNobody(), generator)
    method.measure(bare_cloud())
    summary = method.summary()
    assert summary.bare == Bare(clouds=1, proposals=2.0, confident=1.0)
    assert (summary.objects, summary.iou_at, summary.recall) == (0, {}, None)


def test_a_bare_cloud_changes_no_figure_of_the_others() -> None:
    generator = FakeGenerator(np.arange(50, 150))
    method = Method("fake", ClickedByNobody(), generator)
    method.objects = [ObjectResult("line", 1, 100, (0.5,), 0.5, (0.5,), ((3, 1),))]
    method.proposals = [evaluate_proposals(generator, two_objects())]
    before = method.summary()
    method.measure(bare_cloud())
    after = method.summary()
    assert after.recall == before.recall and after.iou_at == before.iou_at
    assert before.bare is None and after.bare is not None


def test_a_cloud_with_nothing_but_small_objects_is_not_bare() -> None:
    cloud = two_objects()
    small = replace(cloud, rgb=None, instance=np.where(cloud.instance == 3, 3, 0))
    generator = FakeGenerator(np.arange(10))
    method = Method("fake", ClickedByNobody(), generator)
    method.measure(small)
    assert not small.is_bare and method.proposals == [] and generator.seen == []


class ClickedByNobody:
    """A predictor for clouds without anything to click."""

    def embed(self, cloud: Any) -> Any:
        raise AssertionError("nothing is to be clicked")

    segment = embed


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 300), objects=st.integers(0, 6))
def test_overlaps_are_those_of_the_masks(seed: int, size: int, objects: int) -> None:
    rng = np.random.default_rng(seed)
    label = rng.integers(-1, objects + 1, size).astype(np.int32)
    xyz = rng.normal(size=(size, 3)).astype(np.float32)
    xyz[rng.random(size) < 0.1] = np.nan
    cloud = LabelledCloud(xyz, None, 1, size, "random", instance=label)
    masks = rng.random((4, size)) < rng.random((4, 1))
    proposals = [FakeProposal(np.flatnonzero(mask).astype(np.uint32)) for mask in masks]
    labels = cloud.objects(1)
    counted = cloud.counted
    wanted = [[iou(mask, (label == each) & counted, counted) for each in labels] for mask in masks]
    assert overlaps(cloud, labels, proposals) == pytest.approx(np.array(wanted).reshape(4, -1))


def test_average_recall_is_the_mean_over_thresholds_from_a_half_to_95_per_cent() -> None:
    assert RECALL_THRESHOLDS.tolist() == pytest.approx(
        [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    )
    assert average_recall(np.array([1.0, 0.74, 0.3]), RECALL_THRESHOLDS) == pytest.approx(0.5)


@pytest.mark.parametrize("percent", range(50, 100, 5))
def test_an_iou_of_exactly_a_threshold_is_enough(percent: int) -> None:
    thresholds = RECALL_THRESHOLDS
    assert average_recall(np.array([percent / 100]), thresholds) == pytest.approx(
        (percent - 45) / 50
    )


def test_the_summary_has_recall_at_a_half_and_a_quarter_over_all_objects() -> None:
    recall = recall_of(0.1, 0.25, 0.5, 1.0)
    assert recall.ar == pytest.approx((0.1 + 1.0) / 4)
    assert (recall.ar50, recall.ar25, recall.proposals) == (0.5, 0.75, 7)


def test_the_table_shows_which_method_is_better() -> None:
    def method(first: float, ious: int, covered: float) -> Any:
        found = ObjectResult("a", 1, 60, (first,) * ious, first, (first,), ((3, 1),))
        return summarise([found], [ProposalResult("a", 4, {1: covered})])

    ours, classical = method(0.5, 3, 0.9), method(0.625, 1, 0.4)
    shown = table({"ours": ours, "classical": classical}, "data")
    cells = {str(column.header): list(column.cells) for column in shown.columns}
    assert cells["IoU@1"] == ["50.0", "[bold]62.5[/]"]
    assert cells["IoU@3"] == ["[bold]50.0[/]", "–"], "the classical pipeline has one click"
    assert cells["AR50"] == ["[bold]100.0[/]", "0.0"]
    assert cells["proposals"] == ["4", "4"]
    assert "IoU@5" not in cells
    assert losses(ours, classical) == ["IoU@1", "best of click 1"]
    assert losses(ours, ours) == []


# --- the classical pipeline


@pytest.fixture(scope="module")
def pipeline() -> ClassicalPipeline:
    pytest.importorskip("open3d", reason="open3d has no wheel for this Python")
    return ClassicalPipeline()


def test_a_cluster_is_the_mask_of_a_click_and_a_proposal(pipeline: ClassicalPipeline) -> None:
    cloud = plain_tabletop()
    masks = evaluate_cloud(pipeline, cloud, clicks=1)
    assert [result.ious[0] for result in masks] == pytest.approx([1.0, 1.0], abs=0.02)
    proposals = evaluate_proposals(pipeline, cloud)
    assert proposals.proposals == 2
    assert list(proposals.best_iou.values()) == [result.ious[0] for result in masks]


def test_a_click_on_the_plane_gives_an_empty_mask(pipeline: ClassicalPipeline) -> None:
    from pointsam_model import Prompt

    clusters = pipeline.embed(plain_tabletop().as_seen())
    (mask,) = pipeline.segment(clusters, [Prompt(np.array([[0.0, 0.25, 0.8]]))])
    assert mask.masks.shape == (1, len(clusters.xyz)) and not mask.masks.any()


def test_a_cloud_of_a_plane_alone_gives_no_proposal(pipeline: ClassicalPipeline) -> None:
    cloud = plain_tabletop()
    flat = np.where(np.isnan(cloud.xyz), np.nan, cloud.xyz * [1, 1, 0] + [0, 0, 0.8])
    empty = LabelledCloud(flat, None, 1, len(flat), "flat", instance=cloud.instance)
    assert pipeline.generate(empty.as_seen()) == []


def test_without_open3d_the_pipeline_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(ImportError, match=r"pip install 'pointsam_ros\[evaluation\]'"):
        ClassicalPipeline()
