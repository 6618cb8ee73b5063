"""Fits an `Estimator` to rows of numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pointsam_model.estimator import FARTHEST, Estimator

BATCH = 2048
DROPPED = 0.3  # of the hidden numbers of the first layer, in each step
MOST_RATE, DECAY = 4e-3, 0.1
LEAST_DEVIATION = 1e-6


def fit_estimator(
    numbers: NDArray[np.float32],
    targets: NDArray[np.float32],
    *,
    width: int,
    steps: int,
    about: Mapping[str, str],
    squared: bool = False,
    weights: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> Estimator:
    """An estimator whose outputs come near the targets.

    Args:
        numbers: (r,f).
        targets: (r,o), 0 to 1; NaN: not known, and not learned from.
        width: of the two hidden layers.
        steps: of the optimiser, with BATCH rows each.
        about: what is kept with the estimator, for people.
        squared: the squared error is minimised, and so outputs are means of what is uncertain;
            False: cross entropy.
        weights: (r,) how often each row is drawn, relative to others; None: all alike.
        seed: of everything that is drawn.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    chance = None if weights is None else weights / weights.sum()
    mean, deviation = numbers.mean(0), numbers.std(0) + LEAST_DEVIATION
    rows = torch.from_numpy(((numbers - mean) / deviation).astype(np.float32))
    rows = rows.clamp(-FARTHEST, FARTHEST)
    wanted = torch.from_numpy(targets)
    layers = [
        nn.Linear(rows.shape[1], width),
        nn.Linear(width, width),
        nn.Linear(width, wanted.shape[1]),
    ]
    network = nn.Sequential(
        layers[0], nn.ReLU(), nn.Dropout(DROPPED), layers[1], nn.ReLU(), layers[2]
    )
    optimiser = torch.optim.AdamW(network.parameters(), MOST_RATE, weight_decay=DECAY)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, MOST_RATE, total_steps=steps + 1)
    for _ in range(steps):
        drawn = torch.from_numpy(rng.choice(len(rows), BATCH, p=chance))
        loss = _loss(network(rows[drawn]), wanted[drawn], squared)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        rate.step()
    tensors = {"mean": torch.from_numpy(mean), "deviation": torch.from_numpy(deviation)}
    for number, layer in enumerate(layers):
        tensors[f"weight.{number}"] = layer.weight.detach()
        tensors[f"bias.{number}"] = layer.bias.detach()
    return Estimator(tensors, about)


def _loss(logits: Tensor, wanted: Tensor, squared: bool) -> Tensor:
    known = ~wanted.isnan()
    target = wanted.nan_to_num()
    if squared:
        error = (logits.sigmoid() - target).square()
    else:
        error = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (error * known).sum() / known.sum().clamp_min(1)
