"""Average recall: how well proposals that nobody clicked cover the objects of a cloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pointsam_model import Cloud
from pointsam_model.evaluation.data import MIN_OBJECT_POINTS, LabelledCloud

MOST_PROPOSALS = 250


class ProposalLike(Protocol):
    """What is read of a proposal."""

    @property
    def indices(self) -> NDArray[np.integer]:
        """(k,) rows of the source cloud, each once."""


class GeneratorLike(Protocol):
    """Anything whose proposals can be evaluated: `ProposalGenerator`, or what stands in for it."""

    def generate(self, cloud: Cloud) -> Sequence[Any]:
        """Proposals, the best first; each is a `ProposalLike`."""


@dataclass(frozen=True)
class ProposalResult:
    """How the proposals of one cloud cover its objects.

    Attributes:
        cloud: its name.
        proposals: how many were counted.
        best_iou: for each object's label the highest IoU that a proposal has with it, 0 to 1.
    """

    cloud: str
    proposals: int
    best_iou: dict[int, float]


def evaluate_proposals(
    generator: GeneratorLike,
    cloud: LabelledCloud,
    *,
    most: int = MOST_PROPOSALS,
    min_points: int = MIN_OBJECT_POINTS,
    color: bool = True,
) -> ProposalResult:
    """Lets a generator propose on a cloud and measures how each object is covered.

    Args:
        generator: what is measured.
        cloud: the points and their truth. Points labelled -1 stay in the cloud that the generator
            sees, and count nowhere else.
        most: so many of the best proposals count.
        min_points: objects with fewer counted points are left out.
        color: False hides the cloud's colours from the generator.
    """
    proposals = list(generator.generate(cloud.as_seen(color)))[:most]
    labels = cloud.objects(min_points)
    best = best_ious(cloud, labels, proposals)
    return ProposalResult(cloud.name, len(proposals), dict(zip(labels, best.tolist(), strict=True)))


def best_ious(
    cloud: LabelledCloud, labels: Sequence[int], proposals: Sequence[ProposalLike]
) -> NDArray[np.float64]:
    """The highest IoU of any proposal with each object.

    Args:
        cloud: the truth; only its counted points count.
        labels: the objects, ascending.
        proposals: rows of the cloud.

    Returns:
        (len(labels),) from 0 to 1; 0 without proposals.
    """
    # Each point's object, or one number for everything else that counts: a proposal's overlaps
    # with all objects are then the counts of its numbers.
    objects = len(labels)
    counted = cloud.counted
    number = np.full(len(cloud.label), objects)
    for index, label in enumerate(labels):
        number[cloud.label == label] = index
    sizes = np.bincount(number[counted], minlength=objects + 1)[:objects]
    best = np.zeros(objects)
    for proposal in proposals:
        rows = proposal.indices[counted[proposal.indices]]
        overlap = np.bincount(number[rows], minlength=objects + 1)[:objects]
        best = np.maximum(best, overlap / (sizes + len(rows) - overlap))
    return best


def average_recall(best_iou: NDArray[np.floating], thresholds: NDArray[np.floating]) -> float:
    """The mean over IoU thresholds of the share of objects that a proposal covers so well.

    Args:
        best_iou: (objects,) highest IoU of any proposal with each object.
        thresholds: (t,) IoU that is enough.
    """
    return float((best_iou[:, None] >= thresholds).mean())
