"""Rollouts: an object's clicks one after the other, each where the last mask is wrong (paper 3)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from pointsam_model.nn import CloudEncoding, PointSAM
from pointsam_model.training.batches import Batch
from pointsam_model.training.clicks import Clicks
from pointsam_model.training.device_clicks import DeviceClicks


def rollout(
    network: PointSAM,
    encoding: CloudEncoding,
    batch: Batch,
    iterations: int,
    rng: np.random.Generator,
    *,
    centered: float,
    repeats: bool = False,
    refine_masks: int = 0,
    bfloat16: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Masks of the batch's objects after each iteration.

    The first click gives several masks; the one of highest predicted IoU is the mask prompt of
    the next iteration, where another may be better too. What is yielded may be used for gradients
    and let go before the next iteration: none flows from one to another.

    Args:
        iterations: how many, the first click's among them.
        centered: share of clicks in the middle of their region.
        repeats: one iteration at random and the last show the mask again without a new click.
        refine_masks: how many objects of each cloud go on after the first click, the first ones; 0:
            all.
        bfloat16: matrix products in bfloat16.

    Yields:
        logits (b, m, c, n) float32 and predicted IoUs (b, m, c); c is 3 for the first
        click, then 1.
    """
    without_click = _without_click(iterations, rng) if repeats else ()
    device = network.device
    coords = torch.from_numpy(batch.coords).to(device)
    clicker = _clicker(batch, coords, rng, centered)
    rows = clicker.first()[..., None]
    labels = torch.ones_like(rows)
    mask_logits: Tensor | None = None
    for iteration in range(iterations):
        if mask_logits is not None and iteration not in without_click:
            new, kinds = clicker.next(mask_logits > 0)
            rows = torch.cat([rows, new[..., None]], -1)
            labels = torch.cat([labels, kinds[..., None]], -1)
        clicks = coords[torch.arange(len(rows), device=device)[:, None, None], rows]
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            logits, predicted = network.decode(
                encoding,
                clicks,
                labels,
                mask_logits=mask_logits,
                multimask=mask_logits is None,
            )
        yield logits, predicted
        few = slice(refine_masks or None)
        rows, labels = rows[:, few], labels[:, few]
        mask_logits = chosen_mask(logits.detach(), predicted)[:, few]


def chosen_mask(logits: Tensor, predicted: Tensor) -> Tensor:
    """Of logits (b, m, c, n) those of highest predicted IoU (b, m, c): (b, m, n)."""
    best = predicted.argmax(-1)[..., None, None]
    return logits.take_along_dim(best, 2)[:, :, 0]


def _clicker(
    batch: Batch, coords: Tensor, rng: np.random.Generator, centered: float
) -> Clicks | DeviceClicks:
    if coords.device.type == "cpu":
        return Clicks(batch.coords, batch.truth, batch.counted, rng, centered)
    truth, counted = (
        torch.from_numpy(values).to(coords.device) for values in (batch.truth, batch.counted)
    )
    return DeviceClicks(coords, truth, counted, rng, centered)


def _without_click(iterations: int, rng: np.random.Generator) -> tuple[int, ...]:
    """The last iteration and one between it and the first."""
    last = iterations - 1
    return (int(rng.integers(1, last)), last) if last > 1 else (last,)
