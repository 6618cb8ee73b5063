"""Draws a reliability diagram: whether scores match the IoU that they predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pointsam_model.pictures.masks import INK, PAPER
from pointsam_model.pictures.palette import color_of

WIDE, HIGH = 4.6, 5.2  # of a panel [inch]
GRID = "#3a4149"

Points = Sequence[tuple[float, float, int]]  # mean score, mean IoU and how many masks, of each bin


def draw_reliability(path: str | Path, panels: Mapping[str, Mapping[str, Points]]) -> Path:
    """Writes a PNG with a panel for each method: mean IoU over score, and how many masks.

    Args:
        path: where to; folders on the way are made.
        panels: by the method's name, and in it by what a line is of ("1 click: ..."), the bins.

    Returns:
        `path`.
    """
    path = Path(path)
    width = WIDE * len(panels)
    with matplotlib.rc_context({"font.size": 10, "text.color": INK}):
        figure = Figure(figsize=(width, HIGH), dpi=110, facecolor=PAPER)
        for column, (name, lines) in enumerate(panels.items()):
            left = (column * WIDE + 0.7) / width
            wide = (WIDE - 0.85) / width
            curve = figure.add_axes((left, 1.75 / HIGH, wide, 3.05 / HIGH))
            counts = figure.add_axes((left, 0.5 / HIGH, wide, 1.0 / HIGH), sharex=curve)
            curve.set_title(name, loc="left")
            _draw_curves(curve, lines)
            _draw_counts(counts, lines)
        path.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasAgg(figure).print_png(path)
    return path


def _draw_curves(axes: Axes, lines: Mapping[str, Points]) -> None:
    axes.plot((0, 1), (0, 1), color=GRID, linestyle="--")
    for number, (label, points) in enumerate(lines.items()):
        score, iou, count = zip(*points, strict=True)
        color = color_of(number)
        axes.plot(score, iou, color=color, linewidth=1.6, label=label)
        sizes = [12 + 90 * (masks / sum(count)) for masks in count]  # few masks: a small dot
        axes.scatter(score, iou, s=sizes, color=color, zorder=3)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="mean true IoU")
    _style(axes)
    axes.legend(loc="upper left", facecolor=PAPER, edgecolor=GRID, labelcolor=INK, fontsize=8.5)
    axes.tick_params(labelbottom=False)


def _draw_counts(axes: Axes, lines: Mapping[str, Points]) -> None:
    wide = 0.08 / len(lines)
    for number, points in enumerate(lines.values()):
        score, _, count = zip(*points, strict=True)
        # In the middle of its bin, beside those of the other lines.
        middle = [min(int(value * 10), 9) / 10 + 0.05 for value in score]
        moved = [place + wide * (number - (len(lines) - 1) / 2) for place in middle]
        axes.bar(moved, count, wide, color=color_of(number))
    axes.set(xlabel="predicted IoU (score)", ylabel="masks")
    _style(axes)


def _style(axes: Axes) -> None:
    axes.set_facecolor(PAPER)
    axes.grid(color=GRID, linewidth=0.5)
    axes.tick_params(colors=INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)
    for spine in axes.spines.values():
        spine.set_color(GRID)
