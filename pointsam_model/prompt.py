"""What is asked of an embedded cloud, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pointsam_model.errors import PromptError

if TYPE_CHECKING:
    from pointsam_model.embedding import Embedding

STABILITY_OFFSET = 1.0  # logits above and below the threshold that a stable mask does not notice


@dataclass(frozen=True)
class Prompt:
    """One object, told by clicks and perhaps by an earlier mask.

    Attributes:
        points: (q, 3), clicks in the cloud's coordinate frame [m], at least one.
        labels: (q,), 1 on the object, 0 off it; None: all on it.
        mask: an earlier `Prediction` of one mask on the same cloud (`prediction.best()`), or its
            logits (m,) over the kept points; None: no mask prompt.
        multimask: True: up to three masks, for an ambiguous click; False: one; None: three for a
            single click without a mask, else one.
    """

    points: npt.ArrayLike
    labels: npt.ArrayLike | None = None
    mask: Prediction | npt.ArrayLike | None = None
    multimask: bool | None = None

    def clicks(self) -> tuple[np.ndarray, np.ndarray]:
        """Points (q, 3) float64 and labels (q,) int64, checked.

        Raises:
            PromptError: wrong shapes, no click, a coordinate that is no number, other labels.
        """
        try:
            points = np.asarray(self.points, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise PromptError(f"points of a prompt must be numbers (q, 3): {error}") from error
        if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
            raise PromptError(f"points of a prompt have shape {points.shape}; it must be (q, 3)")
        if not np.isfinite(points).all():
            row = int(np.flatnonzero(~np.isfinite(points).all(1))[0])
            raise PromptError(f"click {row} is {points[row].tolist()}; it must be finite")
        labels = np.ones(len(points), np.int64) if self.labels is None else np.asarray(self.labels)
        if labels.shape != (len(points),):
            raise PromptError(
                f"labels of a prompt have shape {labels.shape}; {len(points)} clicks take "
                f"({len(points)},)"
            )
        wrong = labels[~np.isin(labels, (0, 1))]
        if len(wrong):
            raise PromptError(f"a label is {wrong[0]}; it must be 1 (on the object) or 0 (off it)")
        return points, labels.astype(np.int64)


@dataclass(frozen=True)
class Prediction:
    """The masks of one object, best first.

    Attributes:
        embedding: the cloud they belong to.
        logits: (c, m) float32 over the kept points; a point is in the mask above 0.
        scores: (c,) float32, predicted IoU as the head gives it (it may leave 0..1).
    """

    embedding: Embedding = field(repr=False)
    logits: np.ndarray = field(repr=False)
    scores: np.ndarray

    @cached_property
    def masks(self) -> np.ndarray:
        """(c, n) bool over the source points; a dropped point has its nearest kept point's."""
        nearest = self.embedding.kept.nearest
        inside = nearest >= 0  # -1 reads the last kept point, and is put right here
        return np.stack([(row > 0)[nearest] & inside for row in self.logits])

    @cached_property
    def stability(self) -> np.ndarray:
        """(c,) float32: IoU of the mask at logit +1 and the mask at logit -1, over source points.

        An empty mask has stability 0.
        """
        counts = self.embedding.source_counts
        inner = (self.logits > STABILITY_OFFSET) @ counts
        outer = (self.logits > -STABILITY_OFFSET) @ counts
        return (inner / np.maximum(outer, 1)).astype(np.float32)

    def best(self) -> Prediction:
        """The mask of the highest predicted IoU alone."""
        return self.choose(0)

    def choose(self, which: int) -> Prediction:
        """One of the masks alone."""
        rows = slice(which, which + 1)
        return Prediction(self.embedding, self.logits[rows], self.scores[rows])
