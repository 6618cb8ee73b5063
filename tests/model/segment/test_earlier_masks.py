"""An earlier mask as a prompt: without a click, on a large cloud, and of a small thing."""

import numpy as np
import pytest
from boxed_table import SENSOR, box_on_a_table

from pointsam_model import Cloud, Predictor, Prompt, PromptError, load_model
from pointsam_model.instances.boxes import oriented_box

POINTS, BOX = box_on_a_table(0.008)
TOP = np.array([[0.0, 0.0, 0.2]])


@pytest.fixture(scope="module")
def predictor():
    return Predictor(load_model("tiny", device="cpu"))


@pytest.fixture(scope="module")
def table(predictor):
    return predictor.embed(Cloud(POINTS, viewpoint=SENSOR))


def iou(mask, truth):
    return (mask & truth).sum() / (mask | truth).sum()


def test_an_earlier_mask_needs_no_click(predictor, table):
    (first,) = predictor.segment(table, [Prompt(TOP)])
    again, clicked = predictor.segment(table, [Prompt(mask=first.best()), Prompt(TOP)])
    assert iou(again.masks[0], BOX) > 0.95
    assert iou(clicked.masks[0], BOX) > 0.95
    predictor.set_cloud(POINTS)
    masks, _, logits = predictor.predict(TOP, [1])
    refined, _, _ = predictor.predict(mask_input=logits[0], multimask_output=False)
    assert iou(refined[0], masks[0]) > 0.8


def test_an_empty_earlier_mask_needs_one(predictor, table):
    nothing = np.full(len(table.kept), -4.0, np.float32)
    with pytest.raises(PromptError, match="the mask is empty"):
        predictor.segment(table, [Prompt(mask=nothing)])


def floor_with_a_block(side, height, half=3.0, across=600):
    """A floor of 6 m with a small block, from 1.2 m above it."""
    u, v = np.meshgrid(np.linspace(-half, half, across), np.linspace(1, 1 + 2 * half, across))
    block = (np.abs(u - 0.4) < side / 2) & (np.abs(v - 3) < side / 2)
    noise = np.random.default_rng(0).normal(0, 0.001, u.shape)
    points = np.stack([u, 1.2 - height * block + noise, v], 2).reshape(-1, 3)
    return points.astype(np.float32), block.ravel()


def test_a_small_block_on_a_wide_floor_is_found_although_the_floor_fills_the_look(predictor):
    points, block = floor_with_a_block(0.04, 0.02)
    embedding = predictor.embed(Cloud(points, viewpoint=(0, 0, 0)))
    middle = points[np.flatnonzero(block)[block.sum() // 2 + 1]].astype(np.float64)
    (answer,) = predictor.segment(embedding, [Prompt(middle[None])])
    assert iou(answer.masks[0], block) > 0.8


def test_bare_logits_on_a_large_cloud_are_refused_as_they_may_be_of_any_part_of_it(predictor):
    points, _ = floor_with_a_block(0.2, 0.1)
    embedding = predictor.embed(Cloud(points, viewpoint=(0, 0, 0)))
    click = np.array([[0.4, 1.1, 3.0]])
    (answer,) = predictor.segment(embedding, [Prompt(click)])
    predictor.segment(embedding, [Prompt(click, mask=answer.best())])
    logits = np.full(len(embedding.kept), -1.0, np.float32)
    logits[0] = 1
    with pytest.raises(PromptError, match="give the prediction itself"):
        predictor.segment(embedding, [Prompt(click, mask=logits)])


def test_a_mask_of_the_image_must_have_the_clouds_rows_and_columns(predictor):
    width = 40
    points = POINTS[: len(POINTS) // width * width]
    embedding = predictor.embed(Cloud(points, viewpoint=SENSOR, width=width))
    mask = BOX[: len(points)].reshape(-1, width)
    (answer,) = predictor.segment(embedding, [Prompt(mask=mask)])
    assert iou(answer.masks[0], mask.ravel()) > 0.9
    with pytest.raises(PromptError, match=rf"rows of {width}"):
        predictor.segment(embedding, [Prompt(mask=mask.T)])


def test_the_flat_box_of_an_instance_in_a_plane_is_a_box(predictor, table):
    sheet = POINTS[BOX & (POINTS[:, 2] > 0.19)].copy()
    sheet[:, 2] = np.float32(0.2)
    (answer,) = predictor.segment(table, [Prompt(box=oriented_box(sheet))])
    assert iou(answer.masks[0], BOX) > 0.3
