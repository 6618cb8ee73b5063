"""How proposals that nobody clicked cover the objects of a cloud, and how many are objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pointsam_model import Cloud
from pointsam_model.data.clouds import MIN_OBJECT_POINTS, LabelledCloud
from pointsam_model.evaluation.timing import timed

MOST_PROPOSALS = 250
CONFIDENT = 0.5  # score from which a proposal is expected to be an object
SAME = 0.5  # IoU from which it is one


class ProposalLike(Protocol):
    """What is read of a proposal."""

    @property
    def indices(self) -> NDArray[np.integer]:
        """(k,) rows of the source cloud, each once."""

    @property
    def score(self) -> float:
        """Predicted IoU, or whatever else says how good it is from 0 to 1."""


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
        confident: how many of them have a score of at least 0.5. Left out are those that mostly lie
            on ignored points, and those that are an object too small to count.
        right: how many of the confident ones are objects, at an IoU of at least 0.5.
        bare: the cloud is annotated and has no object at all.
        seconds: how long they took.
    """

    cloud: str
    proposals: int
    best_iou: dict[int, float]
    confident: int = 0
    right: int = 0
    bare: bool = False
    seconds: float = 0.0


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
    seconds: list[float] = []
    seen = cloud.as_seen(color)
    with timed(seconds):
        proposals = list(generator.generate(seen))[:most]
    every = cloud.objects(min_points=1)
    large = np.isin(every, cloud.objects(min_points))
    ious = overlaps(cloud, every, proposals)
    labels = np.array(every, int)[large].tolist()
    best = ious[:, large].max(axis=0, initial=0.0).tolist()
    right = (ious[:, large] >= SAME).any(axis=1)
    unknown = (ious[:, ~large] >= SAME).any(axis=1) | _mostly_ignored(cloud, proposals)
    sure = np.array([proposal.score >= CONFIDENT for proposal in proposals], bool) & (
        right | ~unknown
    )
    return ProposalResult(
        cloud.name,
        len(proposals),
        dict(zip(labels, best, strict=True)),
        confident=int(np.count_nonzero(sure)),
        right=int(np.count_nonzero(sure & right)),
        bare=cloud.is_bare,
        seconds=seconds[0],
    )


def overlaps(
    cloud: LabelledCloud, labels: Sequence[int], proposals: Sequence[ProposalLike]
) -> NDArray[np.float64]:
    """The IoU of each proposal with each object.

    Args:
        cloud: the truth; only its counted points count.
        labels: the objects, ascending.
        proposals: rows of the cloud.

    Returns:
        (len(proposals), len(labels)) from 0 to 1.
    """
    # Each point's object, or one number for everything else that counts: a proposal's overlaps
    # with all objects are then the counts of its numbers.
    objects = len(labels)
    counted = cloud.counted
    number = np.full(len(cloud.instance), objects)
    for index, label in enumerate(labels):
        number[cloud.instance == label] = index
    sizes = np.bincount(number[counted], minlength=objects + 1)[:objects]
    ious = np.zeros((len(proposals), objects))
    for row, proposal in enumerate(proposals):
        rows = proposal.indices[counted[proposal.indices]]
        overlap = np.bincount(number[rows], minlength=objects + 1)[:objects]
        ious[row] = overlap / (sizes + len(rows) - overlap)
    return ious


def average_recall(best_iou: NDArray[np.floating], thresholds: NDArray[np.floating]) -> float:
    """The mean over IoU thresholds of the share of objects that a proposal covers so well.

    Args:
        best_iou: (objects,) highest IoU of any proposal with each object.
        thresholds: (t,) IoU that is enough.
    """
    return float((best_iou[:, None] >= thresholds).mean())


def _mostly_ignored(cloud: LabelledCloud, proposals: Sequence[ProposalLike]) -> NDArray[np.bool_]:
    """(p,) whether less than half of each proposal's points count."""
    counted = [2 * np.count_nonzero(cloud.counted[proposal.indices]) for proposal in proposals]
    return np.array(counted, int) < np.array([len(proposal.indices) for proposal in proposals], int)
