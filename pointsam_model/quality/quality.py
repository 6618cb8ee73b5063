"""The score that knows: the IoU that a candidate mask probably has, and whether it is an object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pointsam_model.estimator import Estimator
from pointsam_model.geometry import Partition
from pointsam_model.quality.candidates import Pool
from pointsam_model.quality.features import FEATURES, Surroundings, features_of

QUALITY = Path(__file__).parents[1] / "weights" / "quality.safetensors"
DIFFERENT = 0.8  # IoU of two masks below which both are worth showing


@dataclass(frozen=True)
class Judged:
    """What is thought of the candidates of a pool.

    Attributes:
        iou: (c,) float32, the IoU with what was meant.
        object: (c,) float32, probability that it is an object, and not a part of one or of what
            objects stand on.
    """

    iou: NDArray[np.float32]
    object: NDArray[np.float32]


class Quality:
    """Judges candidates.

    Args:
        estimator: of the features of candidates.
    """

    def __init__(self, estimator: Estimator) -> None:
        self.estimator = estimator

    def judge(self, pool: Pool, partition: Partition, around: Surroundings) -> Judged:
        """What is thought of each candidate."""
        features = torch.from_numpy(features_of(pool, partition, around))
        with torch.inference_mode():
            iou, thing = self.estimator(features).numpy().T
        return Judged(iou, thing)


def best_different(
    masks: NDArray[np.bool_], iou: NDArray[np.float32], weight: NDArray[np.float32], most: int
) -> list[int]:
    """The best masks (c,m) that differ from each other, at most so many, best first."""
    chosen: list[int] = []
    for row in np.argsort(-iou, kind="stable").tolist():
        own = masks[row]
        if all(_iou(own, masks[other], weight) < DIFFERENT for other in chosen):
            chosen.append(row)
        if len(chosen) == most:
            break
    return chosen


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_], weight: NDArray[np.float32]) -> float:
    return float(weight[a & b].sum() / max(weight[a | b].sum(), 1e-9))


@cache
def shipped_quality() -> Quality:
    """The one that comes with this package."""
    return Quality(Estimator.read(QUALITY, FEATURES))
