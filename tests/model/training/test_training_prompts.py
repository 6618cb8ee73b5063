"""Mask prompts that are not the network's own, and judging masks at some of a cloud's points."""

from __future__ import annotations

import dataclasses

import numpy as np
import places
import pytest
import torch

from pointsam_model.config.model import ModelConfig
from pointsam_model.nn import PointSAM
from pointsam_model.nn.two_way import TwoWayTransformer
from pointsam_model.training import TrainingConfig
from pointsam_model.training.batches import Batch
from pointsam_model.training.clicks import Choice, Clicks
from pointsam_model.training.config import Stage
from pointsam_model.training.initialise import initialise
from pointsam_model.training.losses import dice_loss, focal_loss, mask_iou
from pointsam_model.training.mask_prompts import damaged, mask_prompts
from pointsam_model.training.sampling import judged_points
from pointsam_model.training.step import learn

TINY = places.TINY / "config.json"
STAGE = Stage(3, 512, 64, 8, 2, 4, 2, 1e-3)


@pytest.fixture
def config() -> TrainingConfig:
    return TrainingConfig(
        model=str(TINY), output="unused", stages=(STAGE,), pool="unused", bfloat16=False
    )


@pytest.fixture
def batch() -> Batch:
    """Two clouds of four balls on a floor."""
    rng = np.random.default_rng(0)
    coords, truth = [], []
    for _ in range(2):
        floor = np.concatenate([rng.uniform(-0.6, 0.6, (312, 2)), np.zeros((312, 1))], 1)
        balls = rng.normal(size=(200, 3))
        balls *= 0.08 / np.linalg.norm(balls, axis=1, keepdims=True)
        number = np.repeat(np.arange(4), 50)
        balls += np.array([(-0.3, -0.3, 0.1), (0.3, -0.3, 0.1), (-0.3, 0.3, 0.1), (0.3, 0.3, 0.1)])[
            number
        ]
        coords.append(np.concatenate([floor, balls]).astype(np.float32))
        truth.append(np.concatenate([np.full(312, -1), number]) == np.arange(4)[:, None])
    return Batch(
        np.stack(coords),
        np.zeros((2, 512, 3), np.float32),
        np.stack(truth),
        np.ones((2, 512), bool),
    )


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first & second).sum(-1) / (first | second).sum(-1)


def test_damaged_masks_are_too_large_too_small_and_right(batch: Batch) -> None:
    rng = np.random.default_rng(0)
    xyz, truth = batch.coords[0], batch.truth[0]
    masks = np.stack([damaged(xyz, truth, 0, rng) for _ in range(200)])
    assert masks.any(-1).all()
    extra, missing = (masks & ~truth[0]).sum(-1), (truth[0] & ~masks).sum(-1)
    assert (extra > 20).mean() > 0.15 and (missing > 10).mean() > 0.15
    assert 0.02 < ((extra == 0) & (missing == 0)).mean() < 0.3
    others = (masks[:, None] & truth[None, 1:]).sum(-1) == truth[1:].sum(-1)
    assert others.any(), "a neighbour is taken with it"


def test_mask_prompts_come_with_a_first_click_a_correcting_one_or_both(batch: Batch) -> None:
    choice = Choice(np.random.default_rng(1), 1.0)
    counts, only_negative = set(), 0
    for seed in range(30):
        made = mask_prompts(batch, 3, np.random.default_rng(seed), choice)
        masks, truth = made.logits > 0, batch.truth[:, :3]
        assert made.logits.shape == (2, 3, 512) and made.logits.dtype == np.float32
        on_object = np.take_along_axis(truth, made.rows, -1)
        assert np.array_equal(on_object, made.labels == 1)
        counts.add(made.rows.shape[-1])
        only_negative += int((made.labels == 0).all(-1).sum())
        leaks = (made.labels == 0) & ~np.take_along_axis(masks, made.rows, -1)
        assert not leaks.any(), "a negative click is where the mask is wrong"
    assert counts == {1, 2} and only_negative > 5


def test_a_run_learns_from_mask_prompts_with_one_mask_a_click(
    batch: Batch, config: TrainingConfig
) -> None:
    network = PointSAM(ModelConfig.from_json(TINY))
    initialise(network, 0)
    seen: list[tuple[bool, int]] = []
    answer = network.answer

    def watched(*asked: object, **more: object) -> object:
        prompted = more["mask_logits"] is not None
        made = answer(*asked, **more)  # type: ignore[arg-type]
        seen.append((prompted, made.ious.shape[-1]))
        return made

    network.answer = watched  # type: ignore[method-assign, assignment]
    choices = dataclasses.replace(config, prompt_share=1.0, refine_share=0.0)
    learn(network, batch, STAGE, choices, np.random.default_rng(0))
    assert seen == [(False, 3), (True, 1)]


def test_a_small_object_is_judged_at_all_of_its_points(batch: Batch) -> None:
    judged = judged_points(batch.truth, batch.counted, 200, np.random.default_rng(0))
    on_object = np.take_along_axis(batch.truth, judged.rows, -1)
    assert (on_object.sum(-1) == batch.truth.sum(-1)).all()
    for rows in judged.rows.reshape(-1, 200):
        assert len(set(rows.tolist())) == 200
    np.testing.assert_allclose(judged.weight.sum(-1), 512, rtol=1e-5)


def test_losses_at_judged_points_are_those_of_the_cloud_on_average(batch: Batch) -> None:
    rng = np.random.default_rng(0)
    truth = torch.from_numpy(batch.truth)
    logits = torch.from_numpy(rng.normal(size=truth.shape).astype(np.float32)) + 2.0 * truth - 1
    for measure, close in ((focal_loss, 0.01), (dice_loss, 0.02), (mask_iou, 0.02)):
        values = []
        for _ in range(100):
            judged = judged_points(batch.truth, batch.counted, 128, rng)
            rows = torch.from_numpy(judged.rows)
            values.append(
                measure(
                    logits.gather(-1, rows), truth.gather(-1, rows), torch.from_numpy(judged.weight)
                )
            )
        mean = torch.stack(values).mean(0)
        torch.testing.assert_close(mean, measure(logits, truth), atol=close, rtol=0)


def test_points_of_unknown_label_are_not_judged(batch: Batch) -> None:
    counted = np.random.default_rng(0).random((2, 512)) > 0.5
    judged = judged_points(batch.truth, counted, 400, np.random.default_rng(1))
    known = np.take_along_axis(
        np.broadcast_to(counted[:, None], batch.truth.shape), judged.rows, -1
    )
    assert (judged.weight[~known] == 0).all()


def test_clicks_of_few_candidates_lie_deep_in_their_region(batch: Batch) -> None:
    arrays = batch.coords, batch.truth, batch.counted
    exact = Clicks(*arrays, np.random.default_rng(0), 1.0)
    quick = Clicks(*arrays, np.random.default_rng(0), 1.0, candidates=40)
    assert batch.truth[0, np.arange(4), quick.first()[0]].all()
    wrong = torch.from_numpy(batch.truth).roll(1, 1)
    rows, labels = quick.next(wrong)
    known = torch.from_numpy(batch.truth).gather(-1, rows[..., None])[..., 0]
    assert torch.equal(known, labels == 1)
    assert exact.first().shape == quick.first().shape


@pytest.mark.parametrize("shared", [True, False], ids=["one cloud for all", "mask prompts"])
def test_learning_takes_the_gradients_of_the_plain_order_of_products(shared: bool) -> None:
    torch.manual_seed(0)
    config = ModelConfig.from_json(TINY).decoder
    transformer = TwoWayTransformer(config)
    clouds, objects, patches, tokens = 2, 3, 20, 6
    points = torch.randn(clouds, 1 if shared else objects, patches, config.dim)
    position = torch.randn(clouds, patches, config.dim)
    prompt = torch.randn(clouds * objects, tokens, config.dim)
    visible = torch.rand(clouds * objects, tokens) > 0.2
    visible[:, 0] = True
    each = points.expand(-1, objects, -1, -1).flatten(0, 1)
    placed = position[:, None].expand(-1, objects, -1, -1).flatten(0, 1)
    plain = transformer(each, placed, prompt, visible)
    ours = transformer.learn(points.flatten(0, 1), position, prompt, visible)
    gradients = []
    for made in (plain, ours):
        transformer.zero_grad()
        sum((value * value.detach().cos()).sum() for value in made).backward()  # type: ignore[union-attr]
        gradients.append({n: p.grad for n, p in transformer.named_parameters()})
    for mine, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)
    for name, gradient in gradients[0].items():
        own = gradients[1][name]
        if own is None:  # the bias of keys that all tokens see alike
            assert gradient is not None and gradient.abs().max() < 1e-3, name
        else:
            torch.testing.assert_close(own, gradient, atol=1e-3, rtol=1e-3, msg=name)
