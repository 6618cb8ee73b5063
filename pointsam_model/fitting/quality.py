"""Fits the quality of candidate masks on examples of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pointsam_model.fitting.estimating import (
    Loss,
    averaged,
    blind,
    fit_chooser,
    fit_estimator,
    side_by_side,
)
from pointsam_model.fitting.examples import Examples
from pointsam_model.nn.estimator import Estimator
from pointsam_model.quality.features import NETWORKS_OWN

WIDTH, STEPS = 64, 2_500
CHOOSING_STEPS = 6_000  # of what chooses, which takes least time a step and gains longest
FAIR = 0.3  # share of all in a pool that each counts for, chosen or not
MEMBERS = 4  # fitted alike but for what is drawn, and averaged: one alone is off by chance


def fit_quality(examples: Sequence[Examples], *, any_network: bool = False) -> Estimator:
    """The estimator that judges candidates, see `Judged` for its outputs.

    They are learned by networks that share nothing: clicks that mean nothing are many and all
    alike, and which of a pool is the best is another question than how good it is.

    Args:
        examples: of many scenes.
        any_network: it knows neither scores nor stability, which differ between checkpoints.
    """
    all_of = Examples.together(examples)
    features, truth, first = all_of.features, all_of.truth, all_of.first
    hidden = list(NETWORKS_OWN) if any_network else []
    features[:, hidden] = 0
    meant, told = ~np.isnan(truth[:, 0]), ~np.isnan(truth[:, 1])

    about = {"fitted": "quality of masks on generated scenes", "masks": str(len(features))}
    # First clicks have small pools, and count as much as all later ones.
    kind = np.where(first, 1 / max(first.sum(), 1), 1 / max((~first).sum(), 1))

    def chooser(seed: int) -> Estimator:
        return fit_chooser(
            features[meant],
            truth[meant, 0],
            all_of.pool[meant],
            first[meant],
            width=WIDTH,
            steps=CHOOSING_STEPS,
            about=about,
            standard=features,
            seed=seed,
        )

    choice = averaged([chooser(seed) for seed in range(MEMBERS)], about)
    # What is said of those that are chosen is what people read.
    chosen = kind * pool_chances(choice, features, all_of.pool)

    def estimator(column: int, loss: Loss, weights: NDArray[np.float64], seed: int) -> Estimator:
        known = told if column else meant
        return fit_estimator(
            features[known],
            truth[known, column : column + 1],
            width=WIDTH,
            steps=STEPS,
            about=about,
            loss=loss,
            weights=weights[known],
            standard=features,
            seed=seed,
        )

    iou = averaged([estimator(0, Loss.ABSOLUTE, chosen, seed) for seed in range(MEMBERS)], about)
    thing = averaged([estimator(1, Loss.SQUARED, kind, seed) for seed in range(MEMBERS)], about)
    return blind(side_by_side(side_by_side(choice, iou, about), thing, about), hidden)


def pool_chances(
    choice: Estimator, features: NDArray[np.float32], pool: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(r,) how probably each of some rows is chosen from its pool, none less than by FAIR of the
    fair share."""
    with torch.inference_mode():
        logits = choice.logits(torch.from_numpy(features))[:, 0].double().numpy()
    starts = np.concatenate(([0], np.flatnonzero(np.diff(pool)) + 1))
    sizes = np.diff(np.append(starts, len(pool)))
    grown = np.exp(logits - np.repeat(np.maximum.reduceat(logits, starts), sizes))
    share = grown / np.repeat(np.add.reduceat(grown, starts), sizes)
    return np.asarray((1 - FAIR) * share + FAIR / np.repeat(sizes, sizes), np.float64)
