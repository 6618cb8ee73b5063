"""What was measured as tables, a line for each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from pointsam_model.evaluation.methods import Method
from pointsam_model.evaluation.score import SCORED_CLICKS
from pointsam_model.evaluation.summary import Summary

REPORTED_CLICKS = (1, 3, 5, 7, 10)
NONE = "–"

Figures = dict[str, list[float | None]]  # of each column, each method's


def table(summaries: Mapping[str, Summary], title: str) -> Table:
    """Masks and proposals, in per cent; the best figure of a column is bold."""
    methods = list(summaries.values())
    shown = Table(title=title, caption="%; bold: the best of the column", caption_justify="left")
    shown.add_column()
    columns = []
    for heading, figures in _figures(methods).items():
        shown.add_column(heading, justify="right")
        columns.append(_in_per_cent(figures))
    if any(method.recall for method in methods):
        shown.add_column("proposals", justify="right")
        columns.append(
            [f"{method.recall.proposals:.0f}" if method.recall else NONE for method in methods]
        )
    for row in zip(summaries, *columns, strict=True):
        shown.add_row(*row)
    return shown


def details(methods: Sequence[Method]) -> Table:
    """Whether scores can be read as IoU, which proposals are objects, and what was waited for."""
    shown = Table(
        title="scores, proposals, seconds",
        caption=(
            "off: mean of |score - IoU| after so many clicks; corr.: correlation of the two;\n"
            "right: % of the proposals of score 0.5 and more that are objects; on bare: proposals\n"
            "on a cloud without objects; embed, first, next (click), propose: median seconds, of\n"
            "clicks where all objects of a cloud are clicked together"
        ),
        caption_justify="left",
    )
    shown.add_column(no_wrap=True)
    columns = {
        heading: texts
        for heading, texts in _details(methods).items()
        if any(text != NONE for text in texts)
    }
    for heading in columns:
        shown.add_column(heading, justify="right")
    for row in zip([method.name for method in methods], *columns.values(), strict=True):
        shown.add_row(*row)
    return shown


def spread_lines(summaries: Mapping[str, Summary]) -> list[str]:
    """A sentence for each method with several first clicks an object."""
    lines = []
    for name, summary in summaries.items():
        if summary.spread is not None:
            means = [100 * draw[1] for draw in summary.spread.iou_at]
            lines.append(
                f"{name}: IoU@1 {min(means):.1f} to {max(means):.1f} over {len(means)} draws of "
                f"first clicks; one object's varies by {100 * summary.spread.within[1]:.1f} "
                "(standard deviation, mean over objects)"
            )
    return lines


def losses(ours: Summary, other: Summary) -> list[str]:
    """The columns of the table in which the other method is better."""
    return [
        heading
        for heading, (own, others) in _figures([ours, other]).items()
        if own is not None and others is not None and own < others
    ]


def _figures(methods: Sequence[Summary]) -> Figures:
    """The columns of the table: each method's figure, 0 to 1, or None where it has none."""
    columns: Figures = {
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


def _details(methods: Sequence[Method]) -> dict[str, list[str]]:
    summaries = [method.summary() for method in methods]
    columns: dict[str, list[str]] = {}
    for click in SCORED_CLICKS:
        scores = [summary.score.get(click) for summary in summaries]
        columns[f"off @{click}"] = [_text(getattr(score, "error", None), 3) for score in scores]
        if click == 1:
            columns["corr. @1"] = [_text(getattr(score, "correlation", None)) for score in scores]
    precision = [getattr(summary.recall, "precision", None) for summary in summaries]
    columns["right"] = [_text(None if share is None else 100 * share, 0) for share in precision]
    columns["on bare"] = [
        _text(getattr(summary.bare, "proposals", None), 1) for summary in summaries
    ]
    medians = [method.seconds.medians() for method in methods]
    for heading, what in (("embed", "embedding"), ("first", "first"), ("next", "refining")):
        columns[heading] = [_text(median[what], 3) for median in medians]
    columns["propose"] = [_text(getattr(summary.recall, "seconds", None)) for summary in summaries]
    return columns


def _text(value: float | None, digits: int = 2) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def _in_per_cent(figures: Sequence[float | None]) -> list[str]:
    texts = [NONE if figure is None else f"{100 * figure:.1f}" for figure in figures]
    best = f"{100 * max(figure for figure in figures if figure is not None):.1f}"
    return [f"[bold]{text}[/]" if text == best else text for text in texts]
