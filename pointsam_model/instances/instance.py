"""Instances: masks as a planner reads them, with their points, scores and a tight oriented box."""

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
        score: predicted IoU, as `Prediction.scores`; of a proposal, as `ProposalGenerator` says.
        stability: IoU of the mask at logit +1 and at logit -1, 0 to 1, as it was decoded: before
            holes and specks went; 1 where it has no logits.
        points: (k, 3) float32 or float64 [m], the source points of those rows.
        up: (3,) direction for a box that only yaws, or None.
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
