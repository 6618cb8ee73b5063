"""Answers to prompts: the masks of one object, and their conversion to instances."""

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

STABILITY_OFFSET = 1.0  # shift of the logit threshold, up and down, that stability compares
SURE = 8.0  # magnitude at which logits are clamped


@dataclass(frozen=True, eq=False)
class MaskPrompt:
    """A mask for a later `Prompt` on the same cloud, on the model's device.

    It does not keep an embedding alive, and fits every embedding of its cloud made with the same
    settings.

    Attributes:
        logits: (m,) float32 over the kept points, on the model's device.
        region: the part of the cloud whose kept points these are; None: all of it.
    """

    logits: Tensor
    region: Ball | None = None


class Prediction:
    """The masks of one object, best first.

    Everything stays on the model's device; each property is copied to the host on first access.

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
        """Sorts the masks of logits (c, m) by their scores (c,), best first."""
        self.embedding = embedding
        self.device_logits = torch.as_tensor(logits, device=embedding.device)
        self.device_scores = torch.as_tensor(scores, device=embedding.device)

    def __len__(self) -> int:
        """Number c of masks."""
        return len(self.device_scores)

    @cached_property
    def logits(self) -> NDArray[np.float32]:
        """(c, m) float32 over the kept points; a point is in the mask if its logit is above 0."""
        return fetched(self.device_logits)[0]

    @cached_property
    def scores(self) -> NDArray[np.float32]:
        """(c,) float32, predicted IoUs, descending.

        With `PredictorConfig.geometry` they are calibrated and in 0..1, except that each is capped
        at the one before it. Without, they are the raw output of the network's IoU head, which may
        leave 0..1.
        """
        return fetched(self.device_scores)[0]

    @property
    def stability(self) -> NDArray[np.float32]:
        """(c,) float32: IoU between the masks at thresholds +1 and -1, over source points.

        An empty mask has stability 0.
        """
        return self._found.stability

    @property
    def rows(self) -> list[NDArray[np.int32]]:
        """For each mask the rows of its source points, (k,) int32, ascending."""
        return self._found.rows

    @property
    def points(self) -> list[NDArray[np.floating]]:
        """For each mask the coordinates of its source points, (k, 3) float32 or float64 [m]."""
        return self._found.points

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """(c, n) bool over the source points; each takes the value of its nearest kept point."""
        nearest = self.embedding.kept.nearest
        kept = to_host(self.device_logits > 0)
        # The added column is False: index -1, of points with no kept point, selects it.
        return np.stack([np.append(mask, False)[nearest] for mask in kept])

    def best(self) -> Prediction:
        """A prediction of only the mask with the highest predicted IoU."""
        return self.choose(0)

    def choose(self, which: int) -> Prediction:
        """A prediction of only the mask with index `which`."""
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
        rows: for each mask the rows of its source points, (k,) int32, ascending.
        points: for each mask their coordinates, (k, 3) float32 or float64 [m].
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
        """Expands masks (c, m) bool over the kept points, with one copy from the device."""
        rows, starts = ops.mask_rows(masks, embedding.kept.kept.nearest)
        points = embedding.cloud.points_at(rows)
        rows_here, points_here, ends, *numbers = fetched(rows, points, starts, scores, stability)
        parts = [slice(start, end) for start, end in pairwise(ends.tolist())]
        return cls(
            [rows_here[part] for part in parts], [points_here[part] for part in parts], *numbers
        )


def instances_of(masks: Prediction | SourceMasks, up: ArrayLike | None = None) -> list[Instance]:
    """Converts masks to instances, in the same order; empty masks are skipped.

    Args:
        masks: from `Predictor.segment`; pass `prediction.best()` for its best mask alone.
        up: (3,) direction that boxes stand along, so that they only yaw; None: boxes turn freely.
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
    """Stability (...) of masks: IoU at thresholds +1 and -1; 0 for one that is empty at -1.

    Args:
        logits: (..., l).
        counts: (l,), source points that each of the l points stands for.
    """
    weight = counts.float()
    inner = (logits > STABILITY_OFFSET).float() @ weight
    outer = (logits > -STABILITY_OFFSET).float() @ weight
    return inner / outer.clamp_min(1)
