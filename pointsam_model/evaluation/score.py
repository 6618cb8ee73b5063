"""Whether a score can be read as the IoU that it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pointsam_model.evaluation.protocol import ObjectResult

SCORED_CLICKS = (1, 3, 5)
BINS = 10  # of scores, from 0 to 1


@dataclass(frozen=True)
class Bin:
    """Masks of similar score.

    Attributes:
        count: how many.
        score, iou: mean predicted and mean true IoU.
    """

    count: int
    score: float
    iou: float


@dataclass(frozen=True)
class ScoreQuality:
    """How predicted and true IoU go together, over objects.

    Attributes:
        error: mean of |score - IoU|.
        correlation: Pearson's, -1 to 1; None where one of them is the same for all.
        bins: masks by their score, the lowest first; bins without masks are left out.
    """

    error: float
    correlation: float | None
    bins: list[Bin]


def score_quality(results: Sequence[ObjectResult], click: int) -> ScoreQuality | None:
    """Of the masks after some number of clicks; None where so many were not made."""
    made = [result for result in results if len(result.ious) >= click]
    if not made:
        return None
    score = np.array([result.predicted[click - 1] for result in made])
    iou = np.array([result.ious[click - 1] for result in made])
    varied = bool(np.ptp(score) > 0 and np.ptp(iou) > 0)
    which = np.clip((score * BINS).astype(int), 0, BINS - 1)
    bins = [
        Bin(int(np.count_nonzero(own)), float(score[own].mean()), float(iou[own].mean()))
        for number in range(BINS)
        for own in [which == number]
        if own.any()
    ]
    return ScoreQuality(
        error=float(np.abs(score - iou).mean()),
        correlation=float(np.corrcoef(score, iou)[0, 1]) if varied else None,
        bins=bins,
    )
