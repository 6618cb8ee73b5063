"""Results of many objects as means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsam_model.errors import CloudError
from pointsam_model.evaluation.proposals import ProposalResult, average_recall
from pointsam_model.evaluation.protocol import ObjectResult
from pointsam_model.evaluation.score import SCORED_CLICKS, ScoreQuality, score_quality

RECALL_THRESHOLDS = np.arange(50, 100, 5) / 100  # IoU 0.50, 0.55, ..., 0.95


@dataclass(frozen=True)
class Recall:
    """How proposals cover the objects.

    Attributes:
        ar: average recall over the IoU thresholds 0.50:0.05:0.95, 0 to 1.
        ar50, ar25: recall at IoU 0.5 and 0.25, 0 to 1.
        proposals: mean number of proposals a cloud.
        precision: share of the proposals of score 0.5 and more that are objects, 0 to 1; None
            where there is no such proposal.
        seconds: median time a cloud.
    """

    ar: float
    ar50: float
    ar25: float
    proposals: float
    precision: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Bare:
    """Clouds without any object, where nothing should be proposed.

    Attributes:
        clouds: how many.
        proposals: mean number of proposals on one.
        confident: of these, with a score of 0.5 and more.
    """

    clouds: int
    proposals: float
    confident: float


@dataclass(frozen=True)
class Spread:
    """How much depends on where the first click happens to fall.

    Attributes:
        iou_at: for each draw of first clicks, the mean IoU after k clicks.
        within: for each k, the standard deviation of an object's IoU over the draws, as the mean
            over objects.
    """

    iou_at: list[dict[int, float]]
    within: dict[int, float]


@dataclass(frozen=True)
class Summary:
    """Means over objects, as the paper reports them.

    Attributes:
        clouds, objects: how many clouds have objects, and how many.
        iou_at: mean IoU after k clicks, for each k, 0 to 1; empty without objects.
        best_of_first: mean over objects of the best mask of the first click, 0 to 1.
        recall: of proposals; None where none were asked for.
        bare: of clouds without objects; None where there are none, or no proposals were asked for.
        score: for 1, 3 and 5 clicks, whether the score can be read as IoU; empty for scores that
            are none.
        spread: over first clicks; None where each object has but one.
    """

    clouds: int
    objects: int
    iou_at: dict[int, float]
    best_of_first: float | None
    recall: Recall | None = None
    bare: Bare | None = None
    score: dict[int, ScoreQuality] = field(default_factory=dict)
    spread: Spread | None = None


def summarise(
    results: Sequence[ObjectResult],
    proposals: Sequence[ProposalResult] = (),
    predicts_iou: bool = False,
) -> Summary:
    """Means over objects.

    Args:
        results: of every object and first click.
        proposals: of every cloud; none: they were not asked for.
        predicts_iou: whether scores are predicted IoUs.

    Raises:
        CloudError: there is no object, nor a bare cloud with proposals asked for.
    """
    bare = [result for result in proposals if result.bare]
    if not results and not bare:
        raise CloudError("no labelled object of at least 50 points: nothing to measure")
    covered = [result for result in proposals if result.best_iou]
    scores = {k: score_quality(results, k) for k in SCORED_CLICKS if predicts_iou}
    return Summary(
        clouds=len({result.cloud for result in results}),
        objects=len({(result.cloud, result.label) for result in results}),
        iou_at=_iou_at(results),
        best_of_first=float(np.mean([result.best_of_first for result in results]))
        if results
        else None,
        recall=_recall(covered) if covered else None,
        bare=_bare(bare) if bare else None,
        score={k: quality for k, quality in scores.items() if quality is not None},
        spread=_spread(results),
    )


def _iou_at(results: Sequence[ObjectResult]) -> dict[int, float]:
    return _by_click(np.array([result.ious for result in results]).mean(axis=0)) if results else {}


def _by_click(values: NDArray[Any]) -> dict[int, float]:
    return {click: float(value) for click, value in enumerate(values, start=1)}


def _spread(results: Sequence[ObjectResult]) -> Spread | None:
    draws = sorted({result.draw for result in results})
    if len(draws) < 2:
        return None
    drawn = [[result for result in results if result.draw == draw] for draw in draws]
    ious = np.array([[result.ious for result in own] for own in drawn])  # draws, objects, clicks
    return Spread([_iou_at(own) for own in drawn], _by_click(ious.std(axis=0).mean(axis=0)))


def _recall(proposals: Sequence[ProposalResult]) -> Recall:
    best_iou = np.array([iou for result in proposals for iou in result.best_iou.values()])
    confident = sum(result.confident for result in proposals)
    return Recall(
        ar=average_recall(best_iou, RECALL_THRESHOLDS),
        ar50=average_recall(best_iou, np.array([0.5])),
        ar25=average_recall(best_iou, np.array([0.25])),
        proposals=float(np.mean([result.proposals for result in proposals])),
        precision=sum(result.right for result in proposals) / confident if confident else None,
        seconds=float(np.median([result.seconds for result in proposals])),
    )


def _bare(proposals: Sequence[ProposalResult]) -> Bare:
    return Bare(
        clouds=len(proposals),
        proposals=float(np.mean([result.proposals for result in proposals])),
        confident=float(np.mean([result.confident for result in proposals])),
    )
