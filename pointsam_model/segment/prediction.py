"""What is answered: the masks of one object, and what they are as instances."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pointsam_model import ops
from pointsam_model.cloud.reduction import Ball
from pointsam_model.device.batches import in_one
from pointsam_model.device.transfer import fetched
from pointsam_model.instances.instance import Instance
from pointsam_model.instances.overlaps import to_host
from pointsam_model.segment.embedding import Embedding

STABILITY_OFFSET = 1.0  # logits above and below the threshold that a stable mask does not notice
SURE = 8.0  # logit, of either sign, that is as sure as any: larger ones count as this


@dataclass(frozen=True, eq=False)
class MaskPrompt:
    """A mask for a later `Prompt` on the same cloud, kept where the network left it.

    It holds no embedding, so it may be kept while those come and go: it fits every embedding of its
    cloud that was made in the same way.

    Attributes:
        logits: (m,) float32 over the kept points, on the model's device.
        region: the part of the cloud whose kept points they are; None: all of it.
    """

    logits: Tensor
    region: Ball | None = None


class Prediction:
    """The masks of one object, best first.

    Everything stays on the model's device; the host gets what it reads, when it first reads it.

    Attributes:
        embedding: the cloud they belong to.
        device_logits, device_scores: `logits` and `scores` on the model's device.
    """

    def __init__(
        self,
        embedding: Embedding,
        logits: Tensor | NDArray[np.float32],
        scores: Tensor | NDArray[np.float32],
    ) -> None:
        """Masks of logits (c, m) and scores (c,), best first."""
        self.embedding = embedding
        self.device_logits = torch.as_tensor(logits, device=embedding.device)
        self.device_scores = torch.as_tensor(scores, device=embedding.device)

    def __len__(self) -> int:
        """Number c of masks."""
        return len(self.device_scores)

    @cached_property
    def logits(self) -> NDArray[np.float32]:
        """(c, m) float32 over the kept points; a point is in the mask above 0."""
        return fetched(self.device_logits)[0]

    @cached_property
    def scores(self) -> NDArray[np.float32]:
        """(c,) float32, predicted IoU: with geometry 0..1 and to be read as such, but that none is
        above that of the mask before it; from the network alone as its head gives it (it may leave
        0..1)."""
        return fetched(self.device_scores)[0]

    @property
    def stability(self) -> NDArray[np.float32]:
        """(c,) float32: IoU of the mask at logit +1 and the mask at logit -1, over source points.

        An empty mask has stability 0.
        """
        return self._found.stability

    @property
    def rows(self) -> list[NDArray[np.int32]]:
        """Of each mask its source points, (k,) int32 rows, ascending."""
        return self._found.rows

    @property
    def points(self) -> list[NDArray[np.floating]]:
        """Of each mask its source points' coordinates, (k, 3) float32 or float64 [m]."""
        return self._found.points

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """(c, n) bool over the source points; a dropped point has its nearest kept point's."""
        nearest = self.embedding.kept.nearest
        kept = to_host(self.device_logits > 0)
        # One more place, which is in no mask, is where the -1 of a point out of reach leads.
        return np.stack([np.append(mask, False)[nearest] for mask in kept])

    def best(self) -> Prediction:
        """The mask of the highest predicted IoU alone."""
        return self.choose(0)

    def choose(self, which: int) -> Prediction:
        """One of the masks alone."""
        chosen = slice(which, which + 1)
        return Prediction(self.embedding, self.device_logits[chosen], self.device_scores[chosen])

    def prompt(self) -> MaskPrompt:
        """The best mask, for a later prompt on this cloud."""
        return MaskPrompt(self.device_logits[0], self.embedding.region)

    @cached_property
    def _found(self) -> SourceMasks:
        return in_one(self._find)

    def _find(self) -> SourceMasks:
        stability = stability_of(self.device_logits, self.embedding.source_counts)
        return SourceMasks.of(self.embedding, self.device_logits > 0, self.device_scores, stability)


@dataclass(frozen=True, eq=False)
class SourceMasks:
    """Masks over a cloud's source points, on the host.

    Attributes:
        rows: of each mask its source points, (k,) int32 rows, ascending.
        points: of each mask their coordinates, (k, 3) float32 or float64 [m].
        scores, stability: (c,) float32.
    """

    rows: list[NDArray[np.int32]]
    points: list[NDArray[np.floating]]
    scores: NDArray[np.float32]
    stability: NDArray[np.float32]

    @classmethod
    def of(
        cls, embedding: Embedding, masks: Tensor, scores: Tensor, stability: Tensor
    ) -> SourceMasks:
        """From masks (c, m) bool over the kept points, in one copy from the device."""
        rows, starts = ops.mask_rows(masks, embedding.kept.kept.nearest)
        points = embedding.cloud.points_at(rows)
        rows_here, points_here, ends, *numbers = fetched(rows, points, starts, scores, stability)
        parts = [slice(start, end) for start, end in pairwise(ends.tolist())]
        return cls(
            [rows_here[part] for part in parts], [points_here[part] for part in parts], *numbers
        )


def instances_of(masks: Prediction | SourceMasks, up: ArrayLike | None = None) -> list[Instance]:
    """Masks as instances, in their order; empty masks give none.

    Args:
        masks: of `Predictor.segment`; `prediction.best()` for its best mask alone.
        up: (3,) direction for boxes that only yaw, or None.
    """
    axis = None
    if up is not None:
        x, y, z = (float(value) for value in np.asarray(up).reshape(3))
        axis = (x, y, z)
    each = zip(masks.rows, masks.points, masks.scores, masks.stability, strict=True)
    return [
        Instance(rows.astype(np.uint32), float(score), float(stability), points, axis)
        for rows, points, score, stability in each
        if len(rows)
    ]


def stability_of(logits: Tensor, counts: Tensor) -> Tensor:
    """(...) IoU of masks (..., l) at logits +1 and -1; 0 for one that is empty at -1.

    Args:
        counts: (l,), source points that each place speaks for.
    """
    weight = counts.float()
    inner = (logits > STABILITY_OFFSET).float() @ weight
    outer = (logits > -STABILITY_OFFSET).float() @ weight
    return inner / outer.clamp_min(1)
