"""More ways to say what is meant: boxes, masks of the source, clicks off an earlier mask.

On the shipped network, as users run it, and on clouds whose truth is known.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pointsam_model import (
    Box,
    Cloud,
    Embedding,
    Predictor,
    Prompt,
    PromptError,
    ReductionConfig,
    load_model,
    oriented_box,
)
from pointsam_model.scenes.mixture import generate
from pointsam_model.scenes.scene import Scene
from pointsam_model.segment.claims import innermost_click, prior_logits

Mask = NDArray[np.bool_]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(load_model("tiny", device="cpu"))


@cache
def tabletop(seed: int) -> Scene:
    (scene,) = generate("tabletop", [seed])
    return scene


def objects(scene: Scene, least: int = 150) -> list[Mask]:
    """(n,) of each object that shows enough points."""
    found = [scene.instance == each for each in range(1, scene.instance.max() + 1)]
    return [mask for mask in found if mask.sum() >= least]


def iou(mask: Mask, truth: Mask) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())


def around(points: NDArray[np.floating], grown: float = 0.1) -> tuple[Any, Any]:
    """Two corners of the box about points, each side longer by a share."""
    low, high = points.min(0).astype(np.float64), points.max(0).astype(np.float64)
    return low - grown / 2 * (high - low), high + grown / 2 * (high - low)


def box_on_a_table() -> tuple[NDArray[np.float32], Mask]:
    """A table 1 m wide at 1 m, with a box of 10 cm on it that stands 8 cm high."""
    rng = np.random.default_rng(0)
    table = np.c_[rng.uniform(-0.5, 0.5, (40_000, 2)), 1 + rng.normal(0, 0.001, 40_000)]
    top = np.c_[rng.uniform(-0.05, 0.05, (4000, 2)), 0.92 + rng.normal(0, 0.001, 4000)]
    xyz = np.concatenate([table, top]).astype(np.float32)
    return xyz, np.arange(len(xyz)) >= len(table)


@pytest.fixture(scope="module")
def standing(predictor: Predictor) -> tuple[Embedding, Mask]:
    xyz, truth = box_on_a_table()
    return predictor.embed(Cloud(xyz)), truth


# Boxes.


def test_a_box_alone_is_enough_and_says_more_than_a_click(predictor: Predictor) -> None:
    clicked: list[float] = []
    boxed: list[float] = []
    turned: list[float] = []
    for seed in range(4):
        scene = tabletop(seed)
        embedding = predictor.embed(Cloud(scene.xyz, scene.rgb))
        for truth in objects(scene):
            points = scene.xyz[truth]
            tight = oriented_box(points)
            prompts = [
                Prompt([innermost_click(truth, embedding)]),
                Prompt(box=around(points)),
                Prompt(box=Box(tight.center, tight.size * 1.1 + 0.002, tight.rotation)),
            ]
            answers = predictor.segment(embedding, prompts)
            for found, answer in zip((clicked, boxed, turned), answers, strict=True):
                found.append(iou(answer.masks[0], truth))
    assert np.mean(boxed) > np.mean(clicked) + 0.03, (clicked, boxed)
    assert np.mean(turned) > np.mean(clicked) + 0.03, (clicked, turned)


def test_a_box_gives_one_mask_and_up_to_three_where_they_are_asked_for(
    predictor: Predictor, standing: tuple[Embedding, Mask]
) -> None:
    embedding, truth = standing
    box = around(embedding.cloud.xyz[truth])
    one, more = predictor.segment(embedding, [Prompt(box=box), Prompt(box=box, multimask=True)])
    assert len(one) == 1 and 1 <= len(more) <= 3
    assert iou(one.masks[0], truth) > 0.9


def test_corners_a_box_and_an_instances_box_say_the_same(
    predictor: Predictor, standing: tuple[Embedding, Mask]
) -> None:
    embedding, truth = standing
    low, high = around(embedding.cloud.xyz[truth])
    box = Box((low + high) / 2, high - low, (0, 0, 0, 1))
    tight = oriented_box(embedding.cloud.xyz[truth], up=(0, 0, 1))
    prompts = [Prompt(box=(low, high)), Prompt(box=box), Prompt(box=tight)]
    masks = [answer.masks[0] for answer in predictor.segment(embedding, prompts)]
    assert np.array_equal(masks[0], masks[1])
    assert iou(masks[2], truth) > 0.9


def test_the_sugar_takes_a_box_as_sam_does(predictor: Predictor) -> None:
    xyz, truth = box_on_a_table()
    predictor.set_cloud(xyz)
    masks, scores, logits = predictor.predict(box=around(xyz[truth]), multimask_output=False)
    assert masks.shape == (1, len(xyz)) and scores.shape == (1,) and len(logits) == 1
    assert iou(masks[0], truth) > 0.9
    clicked, _, _ = predictor.predict([[0, 0, 0.92]], box=around(xyz[truth]))
    assert 1 <= len(clicked) <= 3 and clicked.shape[1] == len(xyz)


def test_boxes_and_clicks_of_one_request_are_answered_as_one_by_one(
    predictor: Predictor, standing: tuple[Embedding, Mask]
) -> None:
    embedding, truth = standing
    box = around(embedding.cloud.xyz[truth])
    prompts = [
        Prompt([[0.3, 0.3, 1]]),
        Prompt(box=box),
        Prompt([[0, 0, 0.92], [0.3, 0, 1]], [1, 0], box=box),
        Prompt([[0.2, 0, 1]], [0], box=box),
    ]
    together = predictor.segment(embedding, prompts)
    for prompt, answer in zip(prompts, together, strict=True):
        (alone,) = predictor.segment(embedding, [prompt])
        np.testing.assert_allclose(answer.scores, alone.scores, atol=1e-3)
        assert np.mean(answer.masks == alone.masks) > 0.999


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (((2, 2, 2), (3, 3, 3)), r"box holds no point of the cloud; the nearest is \d\.\d+ m away"),
        (((0, 0, 0), (1, 1, 0)), "each side must be above 0 m"),
        (((0, 0, np.nan), (1, 1, 1)), "finite"),
        ([1, 2, 3], "two opposite corners"),
    ],
)
def test_a_box_that_says_nothing_is_refused(
    predictor: Predictor, standing: tuple[Embedding, Mask], box: Any, message: str
) -> None:
    with pytest.raises(PromptError, match=message):
        predictor.segment(standing[0], [Prompt(box=box)])
    with pytest.raises(PromptError, match=f"prompt 2: .*{message}"):
        predictor.segment(standing[0], [Prompt([[0, 0, 0.92]]), Prompt(box=box)])


def test_a_prompt_that_says_nothing_is_refused(
    predictor: Predictor, standing: tuple[Embedding, Mask]
) -> None:
    for empty in (Prompt(), Prompt([]), Prompt([[0, 0, 0.92]], [0])):
        with pytest.raises(PromptError, match=r"no click is on the object: .* or a box"):
            predictor.segment(standing[0], [empty])


def test_a_box_about_cropped_points_is_refused(predictor: Predictor) -> None:
    xyz, truth = box_on_a_table()
    cropping = Predictor(predictor.model, reduction=ReductionConfig(crop_min_m=(-9, -9, 0.95)))
    embedding = cropping.embed(Cloud(xyz))
    low, high = around(xyz[truth])
    with pytest.raises(PromptError, match="outside the crop box"):
        cropping.segment(embedding, [Prompt(box=(low, high))])


# Masks of the source.


def test_a_mask_of_the_image_says_what_is_meant(predictor: Predictor) -> None:
    clicked, masked = [], []
    for seed in range(4):
        scene = tabletop(seed)
        embedding = predictor.embed(Cloud(scene.xyz, scene.rgb))
        for truth in objects(scene):
            image = truth.reshape(scene.height, scene.width)
            loose = image.copy()  # by a pixel on each side, as a detector's are
            for axis in (0, 1):
                loose |= np.roll(image, 1, axis) | np.roll(image, -1, axis)
            prompts = [Prompt([innermost_click(truth, embedding)]), Prompt(mask=loose)]
            one, two = predictor.segment(embedding, prompts)
            clicked.append(iou(one.masks[0], truth))
            masked.append(iou(two.masks[0], truth))
    assert np.mean(masked) > np.mean(clicked) + 0.05, (clicked, masked)


def test_every_form_of_one_mask_gives_the_same_answer(predictor: Predictor) -> None:
    scene = tabletop(0)
    embedding = predictor.embed(Cloud(scene.xyz, scene.rgb))
    truth = max(objects(scene), key=np.count_nonzero)
    forms = [
        truth,
        truth.reshape(scene.height, scene.width),
        np.where(truth, 0.8, 0.1).astype(np.float32),
        np.where(truth, 0.8, 0.1).reshape(scene.height, scene.width),
        np.where(truth, 2.5, -7.0).astype(np.float64),
    ]
    answers = predictor.segment(embedding, [Prompt(mask=form) for form in forms])
    for answer in answers:
        assert len(answer) == 1
        assert np.array_equal(answer.masks, answers[0].masks)
    predictor.set_cloud(scene.xyz, scene.rgb)
    masks, _, _ = predictor.predict(mask_input=forms[1], multimask_output=False)
    assert np.array_equal(masks, answers[0].masks)


def test_probabilities_over_a_cloud_that_is_kept_whole_are_no_logits(
    predictor: Predictor,
) -> None:
    xyz, truth = box_on_a_table()
    few = np.concatenate([np.flatnonzero(~truth)[::10], np.flatnonzero(truth)[::10]])
    embedding = predictor.embed(Cloud(xyz[few]))
    assert len(embedding.kept) == embedding.size
    likely = np.where(truth[few], 0.9, 0.1)
    one, two = predictor.segment(embedding, [Prompt(mask=likely), Prompt(mask=truth[few])])
    assert np.array_equal(one.masks, two.masks)
    (again,) = predictor.segment(embedding, [Prompt([[0, 0, 0.92]], mask=one.logits[0])])
    assert iou(again.masks[0], truth[few]) > 0.9


def test_box_and_mask_together_claim_what_both_hold() -> None:
    xyz, truth = box_on_a_table()
    cloud = Cloud(np.concatenate([xyz, np.full((3, 3), np.nan, np.float32)]))
    left = np.append(xyz[:, 0] < 0, [True] * 3)
    prompt = Prompt(box=around(xyz[truth], 0), mask=left)
    claimed = prompt.claimed(cloud)
    assert claimed is not None
    assert np.array_equal(claimed, np.append(truth, [False] * 3) & left)
    assert Prompt([[0, 0, 1]]).claimed(cloud) is None
    away = Prompt(box=((0.2, 0.2, 0.9), (0.4, 0.4, 1.1)), mask=left)
    with pytest.raises(PromptError, match=r"no point of the mask; the nearest is 0\.2\d* m away"):
        away.claimed(cloud)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones(7, bool), r"the mask is bool \(7,\); a mask of this cloud is \(44000,\)"),
        (np.ones((4, 7), bool), r"\(4, 7\); .* for an organised cloud of 44000 points"),
        (np.ones((1, 4, 11_000), bool), r"\(1, 4, 11000\)"),
        (np.ones(7), r"logits of an earlier prediction .* or a mask of the source"),
        (np.full(44_000, np.nan), "not finite"),
        (np.ones(44_000, np.uint8), r"the mask is uint8; it must be bool \(mask > 0\)"),
        (np.zeros(44_000, bool), "mask holds no valid point"),
        (np.full(44_000, 0.2), "mask holds no valid point"),
    ],
)
def test_a_mask_that_is_none_of_this_cloud_is_refused(
    predictor: Predictor, standing: tuple[Embedding, Mask], mask: Any, message: str
) -> None:
    with pytest.raises(PromptError, match=message):
        predictor.segment(standing[0], [Prompt(mask=mask)])


# What a claim says in the network's terms.


def test_the_innermost_click_is_deep_inside_and_on_a_claimed_point(
    standing: tuple[Embedding, Mask],
) -> None:
    embedding, truth = standing
    xyz = embedding.cloud.xyz
    disc = np.hypot(xyz[:, 0] - 0.2, xyz[:, 1]) < 0.1
    disc &= ~truth
    click = innermost_click(disc, embedding)
    assert np.hypot(click[0] - 0.2, click[1]) < 0.02
    assert (xyz[disc] == click.astype(np.float32)).all(1).any()
    everything = innermost_click(np.ones(len(xyz), bool), embedding)
    assert np.abs(everything - [0, 0, 1]).max() < 0.1
    one = np.zeros(len(xyz), bool)
    one[123] = True
    np.testing.assert_allclose(innermost_click(one, embedding), xyz[123], atol=1e-6)


def test_a_claim_is_as_sure_as_the_points_behind_a_kept_one_agree(
    standing: tuple[Embedding, Mask],
) -> None:
    embedding, truth = standing
    logits = prior_logits(truth, embedding).numpy()
    assert logits.shape == (len(embedding.kept),)
    assert np.array_equal(logits > 0, truth[embedding.kept.rows])
    left = embedding.cloud.xyz[:, 0] < 0
    mixed = prior_logits(left, embedding).numpy()
    assert (np.abs(mixed) < np.abs(mixed).max()).any()


# An earlier mask, and clicks off it.


def test_a_click_off_the_object_beside_its_mask_leaves_the_mask(
    predictor: Predictor, standing: tuple[Embedding, Mask]
) -> None:
    embedding, truth = standing
    (first,) = predictor.segment(embedding, [Prompt([[0, 0, 0.92]])])
    before = iou(first.masks[0], truth)
    assert before > 0.9
    (after,) = predictor.segment(embedding, [Prompt([[0.3, 0.3, 1]], [0], first.best())])
    assert iou(after.masks[0], truth) > before - 0.05


def test_clicks_off_real_looking_objects_never_invert_their_masks(predictor: Predictor) -> None:
    lost = []
    for seed in range(3):
        scene = tabletop(seed)
        embedding = predictor.embed(Cloud(scene.xyz, scene.rgb))
        for number, truth in enumerate(objects(scene)):
            outside = np.flatnonzero(~truth & (scene.instance >= 0))
            off = scene.xyz[outside[len(outside) // 3]]
            (first,) = predictor.segment(embedding, [Prompt(mask=truth)])
            before = iou(first.masks[0], truth)
            if before < 0.6:
                continue
            (after,) = predictor.segment(embedding, [Prompt([off], [0], first.best())])
            if iou(after.masks[0], truth) < before - 0.2:
                lost.append((seed, number, before, iou(after.masks[0], truth)))
    assert not lost


def test_a_click_off_the_object_takes_that_part_out_of_a_mask_that_is_too_large(
    predictor: Predictor, standing: tuple[Embedding, Mask]
) -> None:
    embedding, truth = standing
    xyz = embedding.cloud.xyz
    too_large = truth | (np.abs(xyz[:, :2] - [0.12, 0]).max(1) < 0.07)
    (answer,) = predictor.segment(embedding, [Prompt([[0.15, 0, 1]], [0], too_large)])
    assert iou(answer.masks[0], truth) > max(0.8, iou(too_large, truth))


def test_clicks_at_once_are_as_good_as_one_by_one(predictor: Predictor) -> None:
    at_once, in_turn = [], []
    for seed in range(8):
        scene = tabletop(seed)
        embedding = predictor.embed(Cloud(scene.xyz, scene.rgb))
        for truth in objects(scene):
            inside, outside = np.flatnonzero(truth), np.flatnonzero(~truth & (scene.instance >= 0))
            first = innermost_click(truth, embedding)
            near = np.linalg.norm(scene.xyz[outside] - scene.xyz[truth].mean(0), axis=1)
            others = scene.xyz[[inside[len(inside) // 4], outside[near.argsort()[200]]]]
            clicks, labels = np.concatenate([first[None], others]), [1, 1, 0]
            (answer,) = predictor.segment(embedding, [Prompt(clicks, labels)])
            at_once.append(iou(answer.masks[0], truth))
            mask = None
            for count in (1, 2, 3):
                prompt = Prompt(clicks[:count], labels[:count], mask)
                mask = predictor.segment(embedding, [prompt])[0].best()
            assert mask is not None
            in_turn.append(iou(mask.masks[0], truth))
    assert np.mean(at_once) > np.mean(in_turn) - 0.02, (at_once, in_turn)
