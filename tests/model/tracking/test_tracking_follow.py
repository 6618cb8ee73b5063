"""A prompted object is followed from cloud to cloud, and said to be lost when it is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from moving_tabletop import HERE, SIDE, tabletop
from numpy.typing import NDArray

from benchmarks.quality.tracking import main as command
from pointsam_model import (
    Cloud,
    Embedding,
    Follower,
    Instance,
    Predictor,
    PromptError,
    TrackingConfig,
    load_model,
)
from pointsam_model.segment.prediction import Prediction
from pointsam_model.tracking.follower import CLICKS


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(load_model("tiny", device="cpu"))


def iou(instance: Instance | None, truth: NDArray[np.bool_]) -> float:
    assert instance is not None
    mask = np.zeros(len(truth), bool)
    mask[instance.indices] = True
    return float(np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth))


@pytest.fixture(scope="module")
def both(predictor: Predictor) -> list[Prediction]:
    """The true masks of both boxes in the first cloud, whatever the checkpoint is worth."""
    cloud, label = tabletop()
    embedding = predictor.embed(cloud)
    inside = [label[embedding.kept.rows] == number for number in (1, 2)]
    logits = [np.where(mask, 4.0, -4.0).astype(np.float32)[None] for mask in inside]
    return [Prediction(embedding, each, np.array([0.9], np.float32)) for each in logits]


@pytest.fixture(scope="module")
def prompted(both: list[Prediction]) -> Prediction:
    """The mask of the first box, which is followed."""
    return both[0]


def step(
    follower: Follower,
    predictor: Predictor,
    cloud: Cloud,
    stamp_s: float,
    pose: NDArray[np.float64] | None = None,
) -> Instance | None:
    """One cloud, as a caller goes on."""
    embedding = predictor.embed(cloud)
    prompt = follower.prompt(embedding, stamp_s, pose)
    if prompt is None:
        return None
    (prediction,) = predictor.segment(embedding, [prompt])
    return follower.see(prediction, stamp_s, pose)


def test_an_object_that_moves_is_followed(predictor: Predictor, prompted: Prediction) -> None:
    follower = Follower(prompted, 0.0)
    for number in range(1, 5):
        cloud, label = tabletop((HERE[0], HERE[1] + 0.02 * number), number)
        found = step(follower, predictor, cloud, 0.1 * number)
        assert iou(found, label == 1) > 0.7
        assert not follower.lost(0.1 * number)


def test_an_object_is_followed_by_a_camera_that_moves(
    predictor: Predictor, prompted: Prediction
) -> None:
    follower = Follower(prompted, 0.0)
    for number in range(1, 4):
        angle = math.radians(12 * number)
        pose = np.eye(4)
        pose[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        pose[:3, 3] = 0.3 * number, -0.2 * number, 0.05 * number
        cloud, label = tabletop(seed=number, pose=pose)
        assert iou(step(follower, predictor, cloud, 0.1 * number, pose), label == 1) > 0.7


def test_a_hidden_object_is_found_again_within_keep_s(
    predictor: Predictor, prompted: Prediction
) -> None:
    follower = Follower(prompted, 0.0, config=TrackingConfig(keep_s=1.0))
    hidden, _ = tabletop(None, 1)
    assert step(follower, predictor, hidden, 0.5) is None
    assert not follower.lost(0.5)
    cloud, label = tabletop(seed=2)
    assert iou(step(follower, predictor, cloud, 0.9), label == 1) > 0.7
    assert not follower.lost(1.5)


def test_an_object_that_is_gone_for_longer_is_lost_and_stays_so(
    predictor: Predictor, prompted: Prediction
) -> None:
    follower = Follower(prompted, 0.0, config=TrackingConfig(keep_s=1.0))
    gone, _ = tabletop(None, 1)
    assert step(follower, predictor, gone, 1.0) is None
    assert follower.lost(1.1)
    back, _ = tabletop(seed=2)
    assert follower.prompt(predictor.embed(back), 1.1) is None
    assert follower.see(prompted, 1.1) is None
    assert follower.lost(1.2)


def test_an_object_that_nobody_looked_for_is_looked_for_however_late(
    predictor: Predictor, prompted: Prediction
) -> None:
    follower = Follower(prompted, 0.0, config=TrackingConfig(keep_s=1.0))
    assert not follower.lost(60.0)
    cloud, label = tabletop(seed=1)
    assert iou(step(follower, predictor, cloud, 60.0), label == 1) > 0.7
    gone, _ = tabletop(None, 2)
    assert step(follower, predictor, gone, 120.0) is None
    assert follower.lost(120.0)


def test_another_object_is_not_taken_for_it(both: list[Prediction]) -> None:
    first, other = both
    follower = Follower(first, 0.0)
    assert follower.see(other, 0.1) is None
    assert follower.see(first, 0.1) is not None


def test_a_mask_of_low_score_is_not_taken_for_it(prompted: Prediction) -> None:
    follower = Follower(prompted, 0.0, config=TrackingConfig(follow_min_score=0.5))
    unsure = Prediction(prompted.embedding, prompted.logits, np.array([0.4], np.float32))
    assert follower.see(unsure, 0.1) is None


def test_the_prompt_is_clicks_on_the_object_and_its_mask(
    predictor: Predictor, prompted: Prediction
) -> None:
    follower = Follower(prompted, 0.0)
    cloud, label = tabletop(seed=3)
    embedding: Embedding = predictor.embed(cloud)
    prompt = follower.prompt(embedding, 0.1)
    assert prompt is not None
    points, labels = prompt.clicks()
    rows, _ = cloud.nearest(points)
    assert len(set(rows.tolist())) == len(rows) == CLICKS
    assert (label[rows] == 1).all() and labels.all(), "nothing is near that could be clicked off it"
    truth = label[embedding.kept.rows] == 1
    projected = np.asarray(prompt.mask) > 0
    assert np.count_nonzero(projected & truth) > 0.7 * np.count_nonzero(projected | truth)


def of_box(embedding: Embedding, middle: tuple[float, float], side: float) -> Prediction:
    """An answer that is all points in a square of this side, the table's too."""
    xy = (embedding.kept.points + embedding.kept.origin)[:, :2]
    inside = (abs(xy - middle) < side / 2).all(1)
    logits = np.where(inside, 4.0, -4.0).astype(np.float32)[None]
    return Prediction(embedding, logits, np.array([0.9], np.float32))


def share_of_prompt(
    follower: Follower, embedding: Embedding, stamp_s: float, on: Prediction
) -> float:
    """IoU of the mask of the next prompt with a mask."""
    prompt = follower.prompt(embedding, stamp_s)
    assert prompt is not None
    projected, truth = np.asarray(prompt.mask) > 0, on.logits[0] > 0
    return float(np.count_nonzero(projected & truth) / np.count_nonzero(projected | truth))


def test_what_lies_around_the_object_is_clicked_off_it(predictor: Predictor) -> None:
    middle = 0.0, -0.2  # a square of the table
    embedding = predictor.embed(tabletop()[0])
    follower = Follower(of_box(embedding, middle, SIDE), 0.0)
    prompt = follower.prompt(predictor.embed(tabletop(seed=1)[0]), 0.1)
    assert prompt is not None
    points, labels = prompt.clicks()
    away = abs(points[:, :2] - middle).max(1)
    assert labels.tolist() == [1] * CLICKS + [0] * CLICKS
    assert (away[labels == 1] < SIDE / 2).all()
    assert (away[labels == 0] > SIDE / 2).all() and (away < SIDE).all()


def test_errors_of_answers_do_not_grow_from_cloud_to_cloud(
    predictor: Predictor, prompted: Prediction
) -> None:
    follower = Follower(prompted, 0.0)
    for number in range(1, 6):
        embedding = predictor.embed(tabletop(seed=number)[0])
        truth = of_box(embedding, HERE, SIDE)
        assert share_of_prompt(follower, embedding, 0.1 * number, truth) > 0.8
        assert follower.see(of_box(embedding, HERE, SIDE + 0.02), 0.1 * number) is not None


def test_the_prompted_mask_moves_with_the_object(
    predictor: Predictor, prompted: Prediction
) -> None:
    follower = Follower(prompted, 0.0)
    for number in range(1, 6):
        there = HERE[0], HERE[1] + 0.02 * number
        embedding = predictor.embed(tabletop(there, seed=number)[0])
        if number > 2:
            truth = of_box(embedding, there, SIDE)
            assert share_of_prompt(follower, embedding, 0.1 * number, truth) > 0.6
        assert follower.see(of_box(embedding, there, SIDE), 0.1 * number) is not None


def test_when_the_object_looks_different_the_last_mask_is_the_prompt(
    predictor: Predictor, prompted: Prediction
) -> None:
    half = SIDE / 2
    quarter = of_box(prompted.embedding, (HERE[0] + half / 2, HERE[1] + half / 2), half)
    follower = Follower(quarter, 0.0, config=TrackingConfig(min_overlap=0.1))
    for number in (1, 2):
        embedding = predictor.embed(tabletop(seed=number)[0])
        whole = of_box(embedding, HERE, SIDE)
        assert follower.see(whole, 0.1 * number) is not None
    assert share_of_prompt(follower, embedding, 0.3, whole) > 0.7


def of_rim(embedding: Embedding, wide: float) -> Prediction:
    """What is left of a mask that leaked where the box was taken away: a ring of the table."""
    points = embedding.kept.points + embedding.kept.origin
    away = abs(points[:, :2] - HERE).max(1)
    on = (away > SIDE / 2) & (away < SIDE / 2 + wide)
    assert on.sum() > 10
    logits = np.where(on, 4.0, -4.0).astype(np.float32)[None]
    return Prediction(embedding, logits, np.array([0.9], np.float32))


def test_the_rim_that_is_left_where_the_object_was_taken_away_is_not_the_object(
    predictor: Predictor,
) -> None:
    config = TrackingConfig(keep_s=0.3, min_overlap=0.01)
    with_it, without = (predictor.embed(tabletop(at, 1)[0]) for at in (HERE, None))
    follower = Follower(of_box(with_it, HERE, SIDE + 0.02), 0.0, config=config)
    for number in range(1, 4):
        assert follower.see(of_rim(without, 0.008), 0.1 * number) is None
    assert follower.see(of_box(with_it, HERE, SIDE), 0.25) is not None, "it was put back"
    assert follower.see(of_rim(without, 0.008), 0.6) is None
    assert follower.lost(0.6)


def test_time_that_jumps_back_loses_it(predictor: Predictor, prompted: Prediction) -> None:
    follower = Follower(prompted, 10.0)
    cloud, _ = tabletop(seed=1)
    assert follower.lost(9.0)
    assert follower.prompt(predictor.embed(cloud), 9.0) is None


def test_the_same_stamp_is_no_loss(predictor: Predictor, prompted: Prediction) -> None:
    follower = Follower(prompted, 1.0)
    cloud, label = tabletop(seed=1)
    assert iou(step(follower, predictor, cloud, 1.0), label == 1) > 0.7


def test_following_is_deterministic(predictor: Predictor, prompted: Prediction) -> None:
    cloud, _ = tabletop((HERE[0] + 0.02, HERE[1]), 1)
    first, again = (step(Follower(prompted, 0.0), predictor, cloud, 0.1) for _ in range(2))
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(first.indices, again.indices)


def test_an_empty_mask_cannot_be_followed(prompted: Prediction) -> None:
    with pytest.raises(PromptError, match="empty"):
        Follower(Prediction(prompted.embedding, prompted.logits - 100, prompted.scores), 0.0)


def test_the_command_counts_followed_objects(capsys: pytest.CaptureFixture[str]) -> None:
    command(sequences=1, clouds=3, proposed=0, followed=1, standing=0)
    report = capsys.readouterr().out
    for word in ("followed", "found", "in part", "wrong", "not seen", "lost"):
        assert word in report
