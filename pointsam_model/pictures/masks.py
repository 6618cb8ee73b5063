"""Draws a cloud and its masks as a PNG: as the camera's image, else in perspective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pointsam_model.data.clouds import SensorCloud
from pointsam_model.pictures.image import image_colors, image_with_masks, is_image
from pointsam_model.pictures.palette import color_of
from pointsam_model.pictures.splat import BACKGROUND, View, splat
from pointsam_model.pictures.views import close_up, overview, point_size, up_axis

INK, PAPER = "#e8e8ea", "#16181d"
POSITIVE, NEGATIVE = "#ffffff", "#ff2040"
CLOSE_UPS = 6
LEGEND_COLUMNS = 3


@dataclass(frozen=True)
class DrawnMask:
    """One object in a picture.

    Attributes:
        rows: (k,) rows of the cloud that are in the mask.
        caption: its line in the legend.
        clicks: (q,3) [m], in the cloud's coordinate frame.
        labels: (q,) 1 on the object, 0 off it; empty: all 1.
        score: where masks overlap, the one with the highest score is on top.
    """

    rows: NDArray[np.integer]
    caption: str
    clicks: NDArray[np.floating] = field(default_factory=lambda: np.zeros((0, 3)))
    labels: NDArray[np.integer] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    score: float = 0.0


def draw_masks(
    path: str | Path, cloud: SensorCloud, masks: Sequence[DrawnMask], title: str = ""
) -> Path:
    """Writes a PNG of a cloud with its masks in colour and the clicks that made them.

    A cloud of a camera (organised, not much wider than high) is drawn as the camera's image, plain
    and with masks side by side; any other in perspective from where its sensor stood, with a
    close-up of each of the first objects.

    Args:
        path: the output file.
        cloud: from a reader, or made from arrays.
        masks: the masks to draw; their order determines numbers and colours.
        title: drawn above.

    Returns:
        `path`.
    """
    path = Path(path)
    draw = _draw_image if is_image(cloud) else _draw_perspective
    with matplotlib.rc_context({"font.size": 11, "text.color": INK, "font.family": "DejaVu Sans"}):
        figure = draw(cloud, masks)
        if title:
            figure.suptitle(title, fontsize=14, x=0.012, y=0.985, ha="left", va="top")
        path.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasAgg(figure).print_png(path)
    return path


# --- camera images


def _draw_image(cloud: SensorCloud, masks: Sequence[DrawnMask]) -> Figure:
    number = _numbers(cloud.size, masks).reshape(cloud.height, cloud.width)
    panel = 7.0
    height = panel * cloud.height / cloud.width
    legend = _legend_height(masks)
    total = height + 0.5 + legend
    figure = Figure(figsize=(2 * panel, total), dpi=100, facecolor=PAPER)
    for column, picture in enumerate((image_colors(cloud), image_with_masks(cloud, number))):
        axes = figure.add_axes(
            (0.003 + column * 0.5, legend / total, 0.494, height / total), facecolor=PAPER
        )
        axes.imshow(picture, interpolation="nearest", aspect="auto")
        axes.axis("off")
        if column == 1:
            for index, mask in enumerate(masks):
                places = _image_positions(cloud, mask)
                labels = np.asarray(mask.labels) if len(mask.labels) else np.ones(len(places))
                _mark_clicks(axes, places, labels, index)
    _write_legend(figure, masks, legend / total)
    return figure


def _image_positions(cloud: SensorCloud, mask: DrawnMask) -> NDArray[np.float64]:
    """(q,2) column and row of each click: the pixel whose point is nearest."""
    points = np.where(cloud.valid[:, None], cloud.xyz, np.inf)
    found = []
    for click in mask.clicks:
        row, column = divmod(int(((points - click) ** 2).sum(axis=1).argmin()), cloud.width)
        found.append((column, row))
    return np.array(found, dtype=np.float64).reshape(-1, 2)


# --- perspective


def _draw_perspective(cloud: SensorCloud, masks: Sequence[DrawnMask]) -> Figure:
    valid = cloud.valid
    xyz = cloud.xyz[valid]
    number = _numbers(cloud.size, masks)[valid]
    plain = _point_colors(cloud)[valid]
    colors = plain.copy()
    for index in range(len(masks)):
        inside = number == index
        colors[inside] = 0.25 * plain[inside] + 0.75 * color_of(index)
    colors[number < 0] *= 0.75
    up = up_axis(cloud)
    clicks = np.concatenate(
        [np.zeros((0, 3)), *(np.reshape(mask.clicks, (-1, 3)) for mask in masks)]
    )
    views = [overview(xyz, number, clicks, up)]
    for index in range(min(len(masks), CLOSE_UPS)):
        if (number == index).any():
            views.append(close_up(xyz, xyz[number == index], up))
    across = 3 if len(views) > 5 else 2
    down = math.ceil((len(views) - 1) / across)
    side, wide, high = 3.1, 10.0, 6.2
    legend = _legend_height(masks)
    width = wide + (side * across if down else 0) + 0.2
    total = high + 0.5 + legend
    figure = Figure(figsize=(width, total), dpi=100, facecolor=PAPER)
    for position, view in enumerate(views):
        if position == 0:
            frame = (0.05, legend, wide, high)
        else:
            line, column = divmod(position - 1, across)
            left = wide + 0.1 + column * side
            frame = (left, legend + high - (line + 1) * side, side - 0.06, side - 0.06)
        _add_view(figure, frame, (width, total), xyz, colors, view, masks, position)
    _write_legend(figure, masks, legend / total)
    return figure


def _add_view(
    figure: Figure,
    frame: tuple[float, float, float, float],
    size: tuple[float, float],
    xyz: NDArray[np.floating],
    colors: NDArray[np.float64],
    view: View,
    masks: Sequence[DrawnMask],
    position: int,
) -> None:
    """One picture of the cloud at `frame` (left, bottom, width, height [inch])."""
    left, bottom, width, height = frame
    axes = figure.add_axes((left / size[0], bottom / size[1], width / size[0], height / size[1]))
    near = np.linalg.norm(xyz - view.center, axis=1) < view.radius * 6
    picture, _ = splat(xyz[near], colors[near], view, point_size(xyz, view))
    axes.imshow(np.clip(picture, 0, 1), interpolation="bilinear", aspect="auto")
    axes.axis("off")
    for index, mask in enumerate(masks):
        if position not in (0, index + 1):
            continue
        column, row, depth = view.project(np.asarray(mask.clicks, dtype=np.float64).reshape(-1, 3))
        places = np.stack([column, row], axis=1)
        inside = (depth > 0) & (places >= 0).all(axis=1)
        inside &= (column < view.size[1]) & (row < view.size[0])
        labels = np.asarray(mask.labels) if len(mask.labels) else np.ones(len(places))
        _mark_clicks(axes, places[inside], labels[inside], index)


def _point_colors(cloud: SensorCloud) -> NDArray[np.float64]:
    """(n,3) from 0 to 1: colour, else a grey-blue that rises with height."""
    if cloud.rgb is not None:
        return cloud.rgb / 255.0
    height = cloud.xyz.astype(np.float64) @ up_axis(cloud)
    low, high = np.quantile(height[cloud.valid], [0.02, 0.98])
    share = np.clip((height - low) / max(high - low, 1e-9), 0, 1)
    share = np.where(np.isfinite(share), share, 0)[:, None]
    return np.asarray((1 - share) * [0.36, 0.44, 0.56] + share * [0.86, 0.87, 0.84])


# --- both


def _numbers(size: int, masks: Sequence[DrawnMask]) -> NDArray[np.int64]:
    """(n,) index of the mask on top, -1 for none."""
    number = np.full(size, -1, dtype=np.int64)
    for index in sorted(range(len(masks)), key=lambda index: masks[index].score):
        number[masks[index].rows] = index
    return number


def _mark_clicks(axes: Axes, places: NDArray[np.float64], labels: NDArray[Any], index: int) -> None:
    """Dots on the object, crosses off it, and the object's number at its first dot."""
    for (column, row), label in zip(places, labels, strict=True):
        style: dict[str, Any] = (
            {"marker": "o", "color": color_of(index), "markersize": 10}
            if label
            else {"marker": "X", "color": NEGATIVE, "markersize": 11}
        )
        axes.plot(column, row, linestyle="", markeredgecolor=POSITIVE, markeredgewidth=1.6, **style)
    for place in places[labels > 0][:1]:
        axes.annotate(
            str(index + 1),
            place,
            xytext=(9, 5),
            textcoords="offset points",
            fontsize=12,
            fontweight="bold",
            color="white",
            bbox={"boxstyle": "round,pad=0.15", "facecolor": (*BACKGROUND, 0.65), "linewidth": 0},
        )


def _legend_height(masks: Sequence[DrawnMask]) -> float:
    """[inch]"""
    return 0.12 + 0.3 * math.ceil(len(masks) / LEGEND_COLUMNS)


def _write_legend(figure: Figure, masks: Sequence[DrawnMask], share: float) -> None:
    """A line for each mask in the lowest `share` of the picture."""
    lines = max(math.ceil(len(masks) / LEGEND_COLUMNS), 1)
    inch = 1 / figure.get_size_inches()[0]
    for index, mask in enumerate(masks):
        line, column = divmod(index, LEGEND_COLUMNS)
        x = 0.17 * inch + column / LEGEND_COLUMNS
        y = share * (1 - (line + 0.6) / (lines + 0.2))
        figure.text(x, y, "\u25a0", color=color_of(index), fontsize=15, va="center")
        figure.text(x + 0.25 * inch, y, f"{index + 1}  {mask.caption}", fontsize=11, va="center")
