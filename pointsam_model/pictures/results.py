"""One PNG, a line an object: where it is, and what its masks got right and wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pointsam_model.data.clouds import IGNORED, LabelledCloud, SensorCloud
from pointsam_model.pictures.image import image_with_masks, is_image
from pointsam_model.pictures.masks import INK, NEGATIVE, PAPER, POSITIVE
from pointsam_model.pictures.palette import color_of
from pointsam_model.pictures.splat import View, splat
from pointsam_model.pictures.views import close_up, overview, point_size, up_axis

WRONG, MISSED, RIGHT, ELSEWHERE = 0, 2, 3, -1  # numbers of the palette: red, yellow, green
MEANING = ((RIGHT, "in the mask and in the truth"), (MISSED, "missed"), (WRONG, "wrong"))
WIDE, HIGH, CAPTION, GAP = 6.4, 4.8, 0.32, 0.06  # of a panel [inch]
PIXELS = (480, 640)  # rows, columns of a panel in perspective
MARGIN = 0.35  # about the object in a close-up, as a share of its size
LEAST_SHARE = 0.2  # of the image that a close-up shows, by width
UNCOLORED = (0.62, 0.66, 0.70)


@dataclass(frozen=True)
class DrawnAnswer:
    """A mask and what led to it.

    Attributes:
        mask: (n,) bool.
        rows: (q,) rows of the cloud that were clicked.
        labels: (q,) 1 on the object, 0 off it.
        caption: above the panel.
    """

    mask: NDArray[np.bool_]
    rows: NDArray[np.integer]
    labels: NDArray[np.integer]
    caption: str


@dataclass(frozen=True)
class DrawnResult:
    """An object and the masks that it got.

    Attributes:
        cloud: organised or not, with labels; points labelled -1 are never coloured.
        truth: (n,) bool, the object.
        caption: above the panel that shows where it is.
        answers: masks in the order of their clicks, as many for each object of a picture.
    """

    cloud: LabelledCloud
    truth: NDArray[np.bool_]
    caption: str
    answers: Sequence[DrawnAnswer]


def draw_results(path: str | Path, results: Sequence[DrawnResult], title: str = "") -> Path:
    """Writes a PNG with a line for each object: its true extent in its cloud, then each mask.

    A camera's cloud is drawn as its image, and the masks closer; any other in perspective from
    where its sensor stood.

    Args:
        path: where to; folders on the way are made.
        results: at least one.
        title: above all.

    Returns:
        `path`.
    """
    path = Path(path)
    columns = 1 + max(len(result.answers) for result in results)
    width = columns * (WIDE + GAP) + GAP
    height = len(results) * (HIGH + CAPTION) + 0.75
    with matplotlib.rc_context({"font.size": 11, "text.color": INK, "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(width, height), dpi=75, facecolor=PAPER)
        figure.text(GAP / width, 1 - 0.2 / height, title, fontsize=14, va="center")
        for line, result in enumerate(results):
            bottom = height - 0.4 - (line + 1) * (HIGH + CAPTION)
            captions = [result.caption, *(answer.caption for answer in result.answers)]
            panels = [
                figure.add_axes(
                    (
                        (GAP + column * (WIDE + GAP)) / width,
                        bottom / height,
                        WIDE / width,
                        HIGH / height,
                    )
                )
                for column in range(len(captions))
            ]
            for axes, caption in zip(panels, captions, strict=True):
                axes.set_title(caption, fontsize=11, color=INK, loc="left", pad=4)
                axes.axis("off")
            draw = _draw_image if is_image(result.cloud) else _draw_perspective
            draw(result, panels)
        _write_meaning(figure)
        path.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasAgg(figure).print_png(path)
    return path


def _draw_image(result: DrawnResult, panels: Sequence[Axes]) -> None:
    cloud = result.cloud
    shape = cloud.height, cloud.width
    left, right, top, bottom = _frame(result)
    for axes, answer in zip(panels, (None, *result.answers), strict=False):
        picture = image_with_masks(cloud, _numbers(result, answer).reshape(shape))
        axes.imshow(picture, interpolation="nearest", aspect="equal")
        if answer is None:
            box = [left, right, right, left, left], [top, top, bottom, bottom, top]
            axes.plot(*box, color=INK, linewidth=1)
            axes.set(xlim=(-0.5, cloud.width - 0.5), ylim=(cloud.height - 0.5, -0.5))
        else:
            rows, columns = np.divmod(answer.rows, cloud.width)
            _mark_clicks(axes, columns, rows, answer.labels)
            axes.set(xlim=(left, right), ylim=(bottom, top))


def _frame(result: DrawnResult) -> tuple[float, float, float, float]:
    """Left, right, top and bottom [pixels] of the close-up: object and clicks, as wide as panels
    are, within the image."""
    cloud = result.cloud
    clicked = np.concatenate([answer.rows for answer in result.answers]).astype(np.int64)
    rows, columns = np.divmod(np.concatenate([np.flatnonzero(result.truth), clicked]), cloud.width)
    wide = (1 + MARGIN) * max(np.ptp(columns) + 1, (np.ptp(rows) + 1) * WIDE / HIGH)
    wide = min(max(wide, LEAST_SHARE * cloud.width), cloud.width, cloud.height * WIDE / HIGH)
    high = wide * HIGH / WIDE
    left = _within((columns.min() + columns.max() - wide) / 2, wide, cloud.width)
    top = _within((rows.min() + rows.max() - high) / 2, high, cloud.height)
    return left, left + wide, top, top + high


def _within(start: float, length: float, whole: int) -> float:
    """Where a stretch starts when it is moved into the whole image [pixels]."""
    return float(np.clip(start, -0.5, whole - 0.5 - length))


def _draw_perspective(result: DrawnResult, panels: Sequence[Axes]) -> None:
    cloud, up = result.cloud, up_axis(result.cloud)
    valid = cloud.valid
    xyz = cloud.xyz[valid]
    clicked = np.concatenate([cloud.xyz[answer.rows] for answer in result.answers])
    truth_only = _numbers(result, None)[valid]
    near = close_up(xyz, np.concatenate([cloud.xyz[result.truth & valid], clicked]), up)
    far = overview(xyz, truth_only, clicked, up)
    for axes, answer in zip(panels, (None, *result.answers), strict=False):
        view = dataclasses.replace(far if answer is None else near, size=PIXELS)
        number = truth_only if answer is None else _numbers(result, answer)[valid]
        axes.imshow(_splat(cloud, number, view), interpolation="bilinear", aspect="equal")
        if answer is not None:
            column, row, _ = view.project(cloud.xyz[answer.rows])
            _mark_clicks(axes, column, row, answer.labels)
        axes.set(xlim=(-0.5, PIXELS[1] - 0.5), ylim=(PIXELS[0] - 0.5, -0.5))


def _splat(cloud: SensorCloud, number: NDArray[np.int64], view: View) -> NDArray[np.float64]:
    """The valid points from a view, numbered ones in their colours."""
    xyz = cloud.xyz[cloud.valid]
    colors = np.tile(UNCOLORED, (len(xyz), 1))
    if cloud.rgb is not None:
        colors = cloud.rgb[cloud.valid] / 255.0
    for value in np.unique(number[number >= 0]):
        inside = number == value
        colors[inside] = 0.25 * colors[inside] + 0.75 * color_of(value)
    colors[number < 0] *= 0.6
    around = np.linalg.norm(xyz - view.center, axis=1) < view.radius * 6
    picture, _ = splat(xyz[around], colors[around], view, point_size(xyz, view))
    return np.clip(picture, 0, 1)


def _numbers(result: DrawnResult, answer: DrawnAnswer | None) -> NDArray[np.int64]:
    """(n,) what each point is: RIGHT, MISSED, WRONG or ELSEWHERE; without a mask the truth."""
    mask = result.truth if answer is None else answer.mask
    number = np.full(result.cloud.size, ELSEWHERE, dtype=np.int64)
    number[mask & ~result.truth] = WRONG
    number[~mask & result.truth] = MISSED
    number[mask & result.truth] = RIGHT
    number[result.cloud.instance == IGNORED] = ELSEWHERE
    return number


def _mark_clicks(
    axes: Axes, column: NDArray[np.number], row: NDArray[np.number], labels: NDArray[np.integer]
) -> None:
    """White dots on the object, red crosses off it, numbered in the order of the clicks."""
    for number, (x, y, label) in enumerate(zip(column, row, labels, strict=True), start=1):
        marker, color = ("o", POSITIVE) if label else ("X", NEGATIVE)
        axes.plot(x, y, marker, color=color, markersize=10, markeredgecolor=PAPER, clip_on=True)
        if len(labels) > 1:
            axes.annotate(
                str(number),
                (x, y),
                xytext=(7, 4),
                textcoords="offset points",
                fontweight="bold",
                color=POSITIVE,
                annotation_clip=True,
            )


def _write_meaning(figure: Figure) -> None:
    """What the colours and marks say, in the lowest line."""
    width, height = figure.get_size_inches()
    x, y = 0.12, 0.17 / height
    for number, text in MEANING:
        figure.text(x / width, y, "\u25a0", color=color_of(number), fontsize=15, va="center")
        figure.text((x + 0.22) / width, y, text, va="center")
        x += 0.7 + 0.085 * len(text)
    figure.text(x / width, y, "\u25cf click on the object", va="center")
    figure.text((x + 2.2) / width, y, "\u2716", color=NEGATIVE, va="center")
    figure.text((x + 2.42) / width, y, "click off it", va="center")
