"""Pictures of the objects that came out best, in the middle and worst."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointsam_model.data.clouds import LabelledCloud
from pointsam_model.evaluation.protocol import ObjectResult
from pointsam_model.pictures.results import DrawnAnswer, DrawnResult, draw_results

SHOWN_CLICKS = (1, 5)
OBJECTS = 4  # in one picture


class Examples:
    """Keeps the masks of all objects, packed, until it is known which of them are to be drawn."""

    def __init__(self) -> None:
        self._packed: dict[tuple[str, int, int], NDArray[np.uint8]] = {}

    def keep(self, cloud: str) -> Callable[[int, int, NDArray[np.bool_]], None]:
        """What `evaluate_cloud` tells the masks of this cloud to, as its `on_mask`."""

        def on_mask(label: int, click: int, mask: NDArray[np.bool_]) -> None:
            if click in SHOWN_CLICKS:
                self._packed[cloud, label, click] = np.packbits(mask)

        return on_mask

    def draw(
        self, folder: Path, results: Sequence[ObjectResult], read: Callable[[str], LabelledCloud]
    ) -> list[Path]:
        """Writes best.png, median.png and worst.png: objects by their IoU after one click.

        Args:
            folder: where to.
            results: of the objects whose masks were kept, at least one; of several first clicks on
                an object the first is drawn.
            read: gives the cloud of a name.

        Returns:
            The pictures' paths.
        """
        first = [result for result in results if result.draw == 0]
        ranked = sorted(first, key=lambda result: result.ious[0], reverse=True)
        count = min(OBJECTS, len(ranked))
        middle = (len(ranked) - count) // 2
        shown = {
            "best": ranked[:count],
            "median": ranked[middle : middle + count],
            "worst": ranked[-count:][::-1],
        }
        return [
            draw_results(
                folder / f"{name}.png",
                [self._drawn(result, read(result.cloud)) for result in chosen],
                f"{name} of {len(ranked)} objects by IoU after one click",
            )
            for name, chosen in shown.items()
        ]

    def _drawn(self, result: ObjectResult, cloud: LabelledCloud) -> DrawnResult:
        caption = f"{cloud.name}, object {result.label}: {result.points:,} points"
        truth = (cloud.instance == result.label) & cloud.counted
        clicks = [click for click in SHOWN_CLICKS if click <= len(result.ious)]
        return DrawnResult(
            cloud, truth, caption, [self._answer(result, cloud, click) for click in clicks]
        )

    def _answer(self, result: ObjectResult, cloud: LabelledCloud, click: int) -> DrawnAnswer:
        packed = self._packed[result.cloud, result.label, click]
        mask = np.unpackbits(packed, count=len(cloud.instance)).astype(bool)
        made = result.clicks[:click]  # fewer where the mask was right before
        caption = (
            f"click {click}: IoU {100 * result.ious[click - 1]:.1f} % "
            f"(predicted {100 * result.predicted[click - 1]:.0f} %)"
        )
        rows, labels = (np.array(column) for column in zip(*made, strict=True))
        return DrawnAnswer(mask, rows, labels, caption)
