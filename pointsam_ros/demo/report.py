"""What a person sees of an answer: a table and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from pointsam_model.data.readers import SensorCloud
from pointsam_model.evaluation import iou
from pointsam_model.pictures import DrawnMask, color_of, draw_masks
from pointsam_ros.demo.client import Answer, Click
from pointsam_ros.demo.targets import Target, counted


@dataclass(frozen=True)
class Line:
    """One object after one round of clicks; `overlap` is the IoU with the truth, None without."""

    target: Target
    clicks: list[Click]
    mask: np.ndarray
    score: float | None
    overlap: float | None
    milliseconds: float


def lines_of(
    cloud: SensorCloud, targets: Sequence[Target], clicks: Sequence[Click], answer: Answer
) -> list[Line]:
    """One line an object, in their order.

    Args:
        clicks: all so far.
    """
    known = counted(cloud)
    lines = []
    for target in targets:
        answered = answer.masks.get(target.object_id)
        mask = np.zeros(cloud.size, dtype=bool)
        if answered is not None:
            mask[answered.rows] = True
        lines.append(
            Line(
                target,
                [click for click in clicks if click.object_id == target.object_id],
                mask,
                None if answered is None else answered.score,
                None if target.truth is None else iou(mask, target.truth, known),
                answer.milliseconds,
            )
        )
    return lines


def mean_iou(lines: Sequence[Line]) -> float | None:
    """Mean IoU over the objects with a truth; None where there is none."""
    known = [line.overlap for line in lines if line.overlap is not None]
    return float(np.mean(known)) if known else None


def table_of(rounds: Sequence[Sequence[Line]]) -> Table:
    """A line for each object and round; the milliseconds are those of the round's one request."""
    with_truth = any(line.overlap is not None for lines in rounds for line in lines)
    table = Table()
    table.add_column("object", justify="right", style="bold")
    for name in ("clicks", "score", "points", *(["IoU"] if with_truth else []), "ms"):
        table.add_column(name, justify="right")
    for lines in rounds:
        for line in lines:
            red, green, blue = (int(255 * share) for share in color_of(line.target.object_id - 1))
            values = [
                f"[rgb({red},{green},{blue})]\u25a0[/] {line.target.object_id}",
                str(len(line.clicks)),
                "-" if line.score is None else f"{line.score:.2f}",
                f"{np.count_nonzero(line.mask):,}",
            ]
            if with_truth:
                values.append("-" if line.overlap is None else f"{line.overlap:.2f}")
            table.add_row(*values, f"{line.milliseconds:.0f}")
        table.add_section()
    return table


def picture_of(path: Path, cloud: SensorCloud, lines: Sequence[Line], title: str) -> Path:
    """The cloud with the masks of one round."""
    masks = []
    for line in lines:
        caption = [f"{np.count_nonzero(line.mask):,} points"]
        if line.score is not None:
            caption.append(f"score {line.score:.2f}")
        if line.overlap is not None:
            caption.append(f"IoU {line.overlap:.2f}")
        masks.append(
            DrawnMask(
                np.flatnonzero(line.mask),
                "   ".join(caption),
                np.stack([click.point for click in line.clicks]),
                np.array([click.label for click in line.clicks]),
                line.score or 0.0,
            )
        )
    return draw_masks(path, cloud, masks, title)
