"""Rollouts: an object's clicks one after the other, each where the last mask is wrong (paper 3)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from pointsam_model.nn import CloudEncoding, PointSAM
from pointsam_model.nn.mask_decoder import DecodedMasks
from pointsam_model.training.batches import Batch
from pointsam_model.training.clicks import Clicks, DeviceClicks
from pointsam_model.training.config import TrainingConfig
from pointsam_model.training.mask_prompts import MaskPrompts
from pointsam_model.training.masks import Masks
from pointsam_model.training.sampling import Judged, judged_points


def rollout(
    network: PointSAM,
    encoding: CloudEncoding,
    batch: Batch,
    iterations: int,
    rng: np.random.Generator,
    config: TrainingConfig,
    prompt: MaskPrompts | None = None,
) -> Iterator[Masks]:
    """Masks of the batch's objects after each iteration.

    The first click gives several masks; the one of highest predicted IoU is the mask prompt of
    the next iteration, where another may be better too. What is yielded may be used for gradients
    and let go before the next iteration: none flows from one to another.

    Args:
        iterations: how many, the first one among them.
        config: says where clicks go (`center_clicks`, `click_candidates`), whether iterations
            repeat (`repeats`), how many objects go on (`refine_masks`), and where gradients are
            wanted at how many points masks are judged (`loss_points`) and whether each click gives
            one of its own (`click_masks`).
        prompt: masks and clicks to begin with; None: a click on each object.
    """
    without_click = _without_click(iterations, rng) if config.repeats else ()
    device = network.device
    coords = torch.from_numpy(batch.coords).to(device)
    clicker = _clicker(batch, coords, rng, config)
    if prompt is None:
        rows = clicker.first()[..., None]
        labels, mask_logits = torch.ones_like(rows), None
    else:
        rows, labels, mask_logits = (
            torch.from_numpy(values).to(device)
            for values in (prompt.rows, prompt.labels, prompt.logits)
        )
    for iteration in range(iterations):
        if iteration and mask_logits is not None and iteration not in without_click:
            new, kinds = clicker.next(mask_logits > 0)
            rows = torch.cat([rows, new[..., None]], -1)
            labels = torch.cat([labels, kinds[..., None]], -1)
        clicks = coords[torch.arange(len(rows), device=device)[:, None, None], rows]
        with torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):
            answer = network.answer(
                encoding,
                clicks,
                labels,
                mask_logits=mask_logits,
                multimask=mask_logits is None,
                click_masks=config.click_masks > 0 and torch.is_grad_enabled(),
            )
            judged = _judged(batch, rows.shape[1], rng, config)
            at = None if judged is None else torch.from_numpy(judged.rows).to(device)
            logits, of_clicks = _logits(network, encoding, answer, at)
        on_object = None if of_clicks is None else labels == 1
        yield _masks(logits, answer.ious, batch, judged, of_clicks, on_object)
        if iteration + 1 == iterations:
            return
        few = slice(config.refine_masks or None)
        rows, labels = rows[:, few], labels[:, few]
        mask_logits = _next_prompt(network, encoding, answer, logits, few, config)


def _judged(
    batch: Batch, objects: int, rng: np.random.Generator, config: TrainingConfig
) -> Judged | None:
    points = batch.truth.shape[-1]
    if not torch.is_grad_enabled() or not 0 < config.loss_points < points:
        return None
    return judged_points(batch.truth[:, :objects], batch.counted, config.loss_points, rng)


def _logits(
    network: PointSAM, encoding: CloudEncoding, answer: DecodedMasks, rows: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Of the masks and, if there are any, of the clicks' own: by one product with the points."""
    if answer.click_heads is None:
        return network.masks_of(answer, encoding.patches, rows), None
    heads = torch.cat([answer.heads, answer.click_heads], 2)
    together = network.masks_of(answer._replace(heads=heads), encoding.patches, rows)
    count = answer.heads.shape[2]
    return together[:, :, :count], together[:, :, count:]


def _masks(
    logits: Tensor,
    predicted: Tensor,
    batch: Batch,
    judged: Judged | None,
    of_clicks: Tensor | None,
    on_object: Tensor | None,
) -> Masks:
    truth, counted = batch.truth[:, : logits.shape[1]], batch.counted[:, None]
    if judged is not None:
        truth, counted = np.take_along_axis(truth, judged.rows, -1), judged.weight
    of_truth, weight = (
        torch.from_numpy(values).to(logits.device)[:, :, None] for values in (truth, counted)
    )
    return Masks(logits, predicted, of_truth, weight, of_clicks, on_object)


@torch.no_grad()
def _next_prompt(
    network: PointSAM,
    encoding: CloudEncoding,
    answer: DecodedMasks,
    logits: Tensor,
    few: slice,
    config: TrainingConfig,
) -> Tensor:
    """Logits (b, f, n) of the first objects' masks of highest predicted IoU."""
    if logits.shape[-1] == encoding.patches.index.shape[1]:
        return chosen_mask(logits, answer.ious)[:, few]
    best = answer.ious[:, few].argmax(-1)[..., None, None]
    heads = answer.heads[:, few].take_along_dim(best, 2)
    with torch.autocast(heads.device.type, torch.bfloat16, enabled=config.bfloat16):
        chosen = network.masks_of(
            DecodedMasks(answer.points[:, few], heads, best), encoding.patches
        )
    return chosen[:, :, 0]


def chosen_mask(logits: Tensor, predicted: Tensor) -> Tensor:
    """Of logits (b, m, c, n) those of highest predicted IoU (b, m, c): (b, m, n)."""
    best = predicted.argmax(-1)[..., None, None]
    return logits.take_along_dim(best, 2)[:, :, 0]


def _clicker(
    batch: Batch, coords: Tensor, rng: np.random.Generator, config: TrainingConfig
) -> Clicks | DeviceClicks:
    if coords.device.type == "cpu":
        return Clicks(
            batch.coords,
            batch.truth,
            batch.counted,
            rng,
            config.center_clicks,
            config.click_candidates,
        )
    truth, counted = (
        torch.from_numpy(values).to(coords.device) for values in (batch.truth, batch.counted)
    )
    return DeviceClicks(coords, truth, counted, rng, config.center_clicks)


def _without_click(iterations: int, rng: np.random.Generator) -> tuple[int, ...]:
    """The last iteration and one between it and the first."""
    last = iterations - 1
    return (int(rng.integers(1, last)), last) if last > 1 else (last,)
