"""Results of many objects as means, as a table and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from pointsam_model.errors import CloudError
from pointsam_model.evaluation.protocol import ObjectResult

REPORTED_CLICKS = (1, 3, 5, 7, 10)


@dataclass(frozen=True)
class Summary:
    """Means over objects, as the paper reports them.

    Attributes:
        clouds, objects: how many.
        iou_at: mean IoU after k clicks, for each k, 0 to 1.
        best_of_first: mean over objects of the best mask of the first click, 0 to 1.
    """

    clouds: int
    objects: int
    iou_at: dict[int, float]
    best_of_first: float

    def table(self, title: str) -> Table:
        """One line for a person, in per cent."""
        table = Table(title=title)
        table.add_column("clouds", justify="right")
        table.add_column("objects", justify="right")
        row = [str(self.clouds), str(self.objects)]
        for click in REPORTED_CLICKS:
            if click in self.iou_at:
                table.add_column(f"IoU@{click}", justify="right", style="bold")
                row.append(f"{100 * self.iou_at[click]:.1f}")
        table.add_column("best mask of click 1", justify="right")
        table.add_row(*row, f"{100 * self.best_of_first:.1f}")
        return table


def summarise(results: Sequence[ObjectResult]) -> Summary:
    """Means over objects.

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
    )


def write_json(
    path: str | Path, results: Sequence[ObjectResult], about: dict[str, Any] | None = None
) -> None:
    """Writes the summary and every object's result.

    Args:
        about: what was measured (model, checkpoint, settings).
    """
    values = {
        "about": about or {},
        "summary": dataclasses.asdict(summarise(results)),
        "objects": [dataclasses.asdict(result) for result in results],
    }
    Path(path).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
