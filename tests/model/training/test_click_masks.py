"""Masks of each click's own, which training compares with the object beside that of them all."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from training_runs import TINY, run_from_nothing

from pointsam_model.config.model import ModelConfig
from pointsam_model.nn import PointSAM
from pointsam_model.training import TrainingConfig, train
from pointsam_model.training.batches import Batch
from pointsam_model.training.config import Stage
from pointsam_model.training.losses import iteration_loss
from pointsam_model.training.masks import Masks
from pointsam_model.training.rollout import rollout
from pointsam_model.training.step import encode, learn

STAGE = Stage(2, 256, 32, 8, 2, 3, 2, 1e-3)
ITERATIONS = 3


@pytest.fixture
def config(pool: Path, tmp_path: Path) -> TrainingConfig:
    return run_from_nothing(pool, tmp_path / "run", STAGE, click_masks=0.5)


def rolled(network: PointSAM, batch: Batch, config: TrainingConfig) -> list[Masks]:
    encoding = encode(network, batch, STAGE, config)
    rng = np.random.default_rng(1)
    return list(rollout(network, encoding, batch, ITERATIONS, rng, config))


def random_masks(clicks: int) -> Masks:
    generator = torch.Generator().manual_seed(0)
    return Masks(
        logits=torch.randn(1, 2, 1, 40, generator=generator),
        predicted=torch.rand(1, 2, 1, generator=generator),
        truth=torch.rand(1, 2, 1, 40, generator=generator) > 0.5,
        weight=torch.ones(1, 1, 1, 40),
        of_clicks=torch.randn(1, 2, clicks, 40, generator=generator),
        on_object=torch.ones(1, 2, clicks, dtype=torch.bool),
    )


@pytest.mark.parametrize("loss_points", [0, 100])
def test_each_click_gives_a_mask_beside_that_of_all(
    network: PointSAM, batch: Batch, config: TrainingConfig, loss_points: int
) -> None:
    seen = rolled(network, batch, dataclasses.replace(config, loss_points=loss_points))
    for number, masks in enumerate(seen, start=1):
        assert masks.of_clicks is not None and masks.on_object is not None
        assert masks.of_clicks.shape == (2, 3, number, loss_points or 256)
        assert masks.on_object.shape == (2, 3, number) and masks.on_object[..., 0].all()


def test_masks_of_all_clicks_are_what_they_are_without_those_of_each(
    network: PointSAM, batch: Batch, config: TrainingConfig
) -> None:
    without = rolled(network, batch, dataclasses.replace(config, click_masks=0.0))
    for plain, masks in zip(without, rolled(network, batch, config), strict=True):
        assert plain.of_clicks is None
        torch.testing.assert_close(masks.logits, plain.logits)
        torch.testing.assert_close(masks.predicted, plain.predicted)


def test_clicks_give_no_masks_where_nothing_is_learned(
    network: PointSAM, batch: Batch, config: TrainingConfig
) -> None:
    with torch.no_grad():
        assert all(masks.of_clicks is None for masks in rolled(network, batch, config))


def test_the_loss_of_a_clicks_mask_is_that_of_any_mask(config: TrainingConfig) -> None:
    masks = random_masks(clicks=1)
    alone, _ = iteration_loss(dataclasses.replace(masks, of_clicks=None), config)
    assert masks.of_clicks is not None
    same = dataclasses.replace(masks, of_clicks=masks.logits)
    without_iou = dataclasses.replace(config, iou=0.0)
    mask_loss, _ = iteration_loss(dataclasses.replace(masks, of_clicks=None), without_iou)
    torch.testing.assert_close(iteration_loss(same, config)[0], alone + 0.5 * mask_loss)


def test_clicks_off_the_object_are_not_asked_for_it(config: TrainingConfig) -> None:
    masks = random_masks(clicks=2)
    assert masks.of_clicks is not None
    on_object = torch.tensor([[[True, False], [False, False]]])
    masks = dataclasses.replace(masks, of_clicks=masks.of_clicks.requires_grad_())
    loss, _ = iteration_loss(dataclasses.replace(masks, on_object=on_object), config)
    (gradient,) = torch.autograd.grad(loss, masks.of_clicks)
    assert torch.equal(gradient.abs().sum(-1) > 0, on_object)


def test_the_head_of_the_single_mask_learns_from_first_clicks(
    network: PointSAM, batch: Batch, config: TrainingConfig
) -> None:
    head = network.mask_decoder.output_hypernetworks_mlps[0]
    for weight in (0.0, 0.5):
        choices = dataclasses.replace(config, click_masks=weight, refine_share=0.0)
        network.zero_grad()
        learn(network, batch, STAGE, choices, np.random.default_rng(0))
        gradients = [value.grad for value in head.parameters()]
        assert all((value is not None and value.any()) == (weight > 0) for value in gradients)


def test_a_run_with_masks_of_clicks_leaves_a_checkpoint_of_the_same_weights(
    config: TrainingConfig,
) -> None:
    names = set(PointSAM(ModelConfig.from_json(TINY)).state_dict())
    trained = train(dataclasses.replace(config, prompt_share=1.0, loss_points=64))
    assert set(trained.state_dict()) == names
