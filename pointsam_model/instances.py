"""Instances: masks as a planner reads them, with their points, scores and a tight oriented box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointsam_model.boxes import OrientedBox, oriented_box

if TYPE_CHECKING:
    from pointsam_model.prompt import Prediction

__all__ = ["Instance", "OrientedBox", "instances_of", "oriented_box"]


@dataclass(frozen=True)
class Instance:
    """One segmented object of a cloud.

    Attributes:
        indices: (k,) uint32 rows of the source cloud, ascending, at least one.
        score: predicted IoU, as the head gives it.
        stability: IoU of the mask at logit +1 and at logit -1, 0 to 1.
        centroid: (3,) float64 [m], mean of the points.
        box: the tight oriented box around them.
    """

    indices: NDArray[np.uint32]
    score: float
    stability: float
    centroid: NDArray[np.float64]
    box: OrientedBox


def instances_of(prediction: Prediction, up: ArrayLike | None = None) -> list[Instance]:
    """The masks of a prediction as instances, best first; empty masks give none.

    Args:
        prediction: of `Predictor.segment`; `prediction.best()` for its best mask alone.
        up: (3,) direction for boxes that only yaw, or None.
    """
    xyz = prediction.embedding.cloud.xyz
    found = []
    for mask, score, stability in zip(
        prediction.masks, prediction.scores, prediction.stability, strict=True
    ):
        rows = np.flatnonzero(mask)
        if len(rows) == 0:
            continue
        points = np.take(xyz, rows, axis=0)
        found.append(
            Instance(
                rows.astype(np.uint32),
                float(score),
                float(stability),
                np.einsum("ij->j", points, dtype=np.float64) / len(points),
                oriented_box(points, up),
            )
        )
    return found
