"""Several clicks: at one place that say now this, now that, and at once in any order."""

import numpy as np
import pytest
from boxed_table import SENSOR, box_on_a_table

from pointsam_model import Cloud, Predictor, Prompt, load_model

POINTS, BOX = box_on_a_table(0.008)
TOP = np.array([[0.0, 0.0, 0.2]])
TOP_BESIDE = np.array([[0.05, 0.05, 0.2]])
BORDER = np.array([[0.03, -0.11, 0.0]])  # on the table, before the box
BESIDE = np.array([[0.3, 0.3, 0.0]])


@pytest.fixture(scope="module")
def predictor():
    return Predictor(load_model("tiny", device="cpu"))


@pytest.fixture(scope="module")
def embedding(predictor):
    return predictor.embed(Cloud(POINTS, viewpoint=SENSOR))


def iou(prediction):
    mask = prediction.best().masks[0]
    return (mask & BOX).sum() / (mask | BOX).sum()


def prompt(clicks, labels, mask=None):
    return Prompt(np.concatenate(clicks), np.array(labels), mask)


def test_clicks_back_and_forth_at_a_border_leave_the_object_as_it_is(predictor, embedding):
    (answer,) = predictor.segment(embedding, [prompt([TOP], [1])])
    assert iou(answer) > 0.9
    clicks, labels = [TOP], [1]
    for label in (0, 1, 0, 0, 1, 0):
        clicks, labels = [*clicks, BORDER], [*labels, label]
        (answer,) = predictor.segment(embedding, [prompt(clicks, labels, answer.best())])
        assert iou(answer) > 0.9, labels


def test_of_two_clicks_at_one_place_the_newer_counts(predictor, embedding):
    (first,) = predictor.segment(embedding, [prompt([TOP], [1])])
    both = prompt([TOP, BESIDE, BESIDE], [1, 1, 0], first.best())
    newer = prompt([TOP, BESIDE], [1, 0], first.best())
    answers = predictor.segment(embedding, [both, newer])
    assert np.array_equal(answers[0].best().masks, answers[1].best().masks)
    row = np.linalg.norm(POINTS - BESIDE, axis=1).argmin()
    assert not answers[0].best().masks[0][row]


def test_the_only_click_on_the_object_is_not_taken_back_before_there_is_a_mask(
    predictor, embedding
):
    (answer,) = predictor.segment(embedding, [prompt([TOP, TOP], [1, 0])])
    assert answer.best().masks[0].any()


def test_several_clicks_at_once_mean_the_same_in_any_order(predictor, embedding):
    front = np.array([[0.0, -0.1, 0.1]])
    corner = np.array([[0.09, 0.09, 0.2]])
    told = [(TOP, 1), (front, 1), (corner, 1), (BORDER, 0), (BESIDE, 0)]
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [3, 2, 4, 0, 1]):
        clicks, labels = zip(*(told[row] for row in order), strict=True)
        (answer,) = predictor.segment(embedding, [prompt(list(clicks), list(labels))])
        assert iou(answer) > 0.95, order


def test_an_object_among_others_is_answered_as_it_is_alone(predictor, embedding):
    several = prompt([TOP, BORDER, TOP_BESIDE], [1, 0, 1])
    single = prompt([BESIDE], [1])
    together = predictor.segment(embedding, [several, single, several])
    (alone,) = predictor.segment(embedding, [several])
    for answer in (together[0], together[2]):
        assert np.array_equal(answer.masks, alone.masks)
        np.testing.assert_allclose(answer.scores, alone.scores, atol=1e-4)
