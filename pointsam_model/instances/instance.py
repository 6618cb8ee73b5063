"""Instances: segmented objects with their points, scores and a tight oriented box."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pointsam_model.instances.boxes import OrientedBox, oriented_box

__all__ = ["Instance", "OrientedBox", "oriented_box"]


@dataclass(frozen=True, eq=False)
class Instance:
    """One segmented object of a cloud.

    Attributes:
        indices: (k,) uint32 rows of the source cloud, ascending, at least one.
        score: predicted IoU, see `Prediction.scores`; for a proposal, see
            `ProposalGenerator.generate`.
        stability: IoU between the masks at thresholds +1 and -1 of the logits, 0 to 1, before
            specks were removed and holes filled; 1 for a mask without logits.
        points: (k, 3) float32 or float64 [m], the source points of those rows.
        up: (3,) direction that the box stands along, so that it only yaws; None: it turns freely.
    """

    indices: NDArray[np.uint32]
    score: float
    stability: float
    points: NDArray[np.floating] = field(repr=False)
    up: tuple[float, float, float] | None = None

    @cached_property
    def centroid(self) -> NDArray[np.float64]:
        """(3,) [m], the mean of the points."""
        return np.einsum("ij->j", self.points, dtype=np.float64) / len(self.points)

    @cached_property
    def box(self) -> OrientedBox:
        """The tight oriented box around the points."""
        return oriented_box(self.points, self.up)
