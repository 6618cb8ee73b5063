"""Results of many objects as means, and the means of several methods as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from pointsam_model.errors import CloudError
from pointsam_model.evaluation.proposals import ProposalResult, average_recall
from pointsam_model.evaluation.protocol import ObjectResult

REPORTED_CLICKS = (1, 3, 5, 7, 10)
RECALL_THRESHOLDS = np.arange(50, 100, 5) / 100  # IoU 0.50, 0.55, ..., 0.95
NONE = "–"


@dataclass(frozen=True)
class Recall:
    """How proposals cover the objects.

    Attributes:
        ar: average recall over the IoU thresholds 0.50:0.05:0.95, 0 to 1.
        ar50, ar25: recall at IoU 0.5 and 0.25, 0 to 1.
        proposals: mean number of proposals a cloud.
    """

    ar: float
    ar50: float
    ar25: float
    proposals: float


@dataclass(frozen=True)
class Summary:
    """Means over objects, as the paper reports them.

    Attributes:
        clouds, objects: how many.
        iou_at: mean IoU after k clicks, for each k, 0 to 1.
        best_of_first: mean over objects of the best mask of the first click, 0 to 1.
        recall: of proposals; None where none were asked for.
    """

    clouds: int
    objects: int
    iou_at: dict[int, float]
    best_of_first: float
    recall: Recall | None = None


def summarise(results: Sequence[ObjectResult], proposals: Sequence[ProposalResult] = ()) -> Summary:
    """Means over objects.

    Args:
        results: of every object.
        proposals: of every cloud; none: they were not asked for.

    Raises:
        CloudError: there is no object.
    """
    if not results:
        raise CloudError("no labelled object of at least 50 points: nothing to measure")
    ious = np.array([result.ious for result in results])
    return Summary(
        clouds=len({result.cloud for result in results}),
        objects=len(results),
        iou_at={click + 1: float(mean) for click, mean in enumerate(ious.mean(axis=0))},
        best_of_first=float(np.mean([result.best_of_first for result in results])),
        recall=_recall(proposals) if proposals else None,
    )


def table(summaries: Mapping[str, Summary], title: str) -> Table:
    """A line for each method, in per cent; the best figure of a column is bold."""
    methods = list(summaries.values())
    shown = Table(title=title, caption="%; bold: the best of the column", caption_justify="left")
    shown.add_column()
    columns = []
    for heading, figures in _figures(methods).items():
        shown.add_column(heading, justify="right")
        columns.append(_in_per_cent(figures))
    if any(method.recall for method in methods):
        shown.add_column("proposals", justify="right")
        columns.append([f"{it.recall.proposals:.0f}" if it.recall else NONE for it in methods])
    for row in zip(summaries, *columns, strict=True):
        shown.add_row(*row)
    return shown


def losses(ours: Summary, other: Summary) -> list[str]:
    """The columns of the table in which the other method is better."""
    return [
        heading
        for heading, (own, others) in _figures([ours, other]).items()
        if own is not None and others is not None and own < others
    ]


def _figures(methods: Sequence[Summary]) -> dict[str, list[float | None]]:
    """The columns of the table: each method's figure, 0 to 1, or None where it has none."""
    columns = {
        f"IoU@{click}": [method.iou_at.get(click) for method in methods]
        for click in REPORTED_CLICKS
    }
    columns["best of click 1"] = [method.best_of_first for method in methods]
    for heading, name in (("AR", "ar"), ("AR50", "ar50"), ("AR25", "ar25")):
        columns[heading] = [getattr(method.recall, name, None) for method in methods]
    return {
        heading: figures
        for heading, figures in columns.items()
        if any(figure is not None for figure in figures)
    }


def _in_per_cent(figures: Sequence[float | None]) -> list[str]:
    texts = [NONE if figure is None else f"{100 * figure:.1f}" for figure in figures]
    best = f"{100 * max(figure for figure in figures if figure is not None):.1f}"
    return [f"[bold]{text}[/]" if text == best else text for text in texts]


def _recall(proposals: Sequence[ProposalResult]) -> Recall:
    best_iou = np.array([iou for result in proposals for iou in result.best_iou.values()])
    return Recall(
        ar=average_recall(best_iou, RECALL_THRESHOLDS),
        ar50=average_recall(best_iou, np.array([0.5])),
        ar25=average_recall(best_iou, np.array([0.25])),
        proposals=float(np.mean([result.proposals for result in proposals])),
    )
