"""Many small clouds on one sheet, each beside its labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pointsam_model.data.clouds import LabelledCloud, SensorCloud
from pointsam_model.pictures.image import image_colors, image_with_masks, is_image
from pointsam_model.pictures.masks import INK, PAPER
from pointsam_model.pictures.palette import color_of
from pointsam_model.pictures.splat import View, splat
from pointsam_model.pictures.views import up_axis

COLUMNS = 3
PANEL, HIGH = 3.2, 2.4  # width and height of one picture [inch]
PIXELS = (360, 480)  # rows and columns of a perspective


def draw_sheet(
    path: str | Path,
    clouds: Sequence[LabelledCloud],
) -> Path:
    """Writes a PNG of labelled clouds, colours to the left and objects to the right of each.

    A camera's cloud is drawn as its image; any other in perspective from above.

    Args:
        path: where to.
        clouds: of any sizes.

    Returns:
        `path`.
    """
    path = Path(path)
    lines = math.ceil(len(clouds) / COLUMNS)
    columns = min(len(clouds), COLUMNS)
    width, height = columns * (2 * PANEL + 0.15), lines * (HIGH + 0.3)
    with matplotlib.rc_context({"font.size": 9, "text.color": INK}):
        figure = Figure(figsize=(width, height), dpi=100, facecolor=PAPER)
        for index, cloud in enumerate(clouds):
            line, column = divmod(index, COLUMNS)
            left = column * (2 * PANEL + 0.15) + 0.05
            bottom = height - line * (HIGH + 0.3) - HIGH - 0.25
            up = up_axis(cloud) if cloud.up is None else cloud.up.astype(np.float64)
            number = np.maximum(cloud.instance.astype(np.int64) - 1, -1)
            for side, picture in enumerate(_pictures(cloud, number, up)):
                frame = (left + side * PANEL, bottom, PANEL - 0.03, HIGH)
                axes = figure.add_axes(
                    (frame[0] / width, frame[1] / height, frame[2] / width, frame[3] / height)
                )
                axes.imshow(picture, interpolation="nearest", aspect="auto")
                axes.axis("off")
            objects = len(np.unique(number[number >= 0]))
            title = f"{cloud.name}, {objects} objects"
            figure.text(left / width, (bottom + HIGH + 0.06) / height, title)
        path.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasAgg(figure).print_png(path)
    return path


def _pictures(
    cloud: SensorCloud, number: NDArray[np.int64], up: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The plain cloud and the one with objects in colour; number (n,) is -1 off all objects."""
    if is_image(cloud):
        return image_colors(cloud), image_with_masks(cloud, number.reshape(cloud.height, -1))
    valid = cloud.valid
    xyz, number = cloud.xyz[valid], number[valid]
    colors = np.full((len(xyz), 3), 0.62) if cloud.rgb is None else cloud.rgb[valid] / 255.0
    marked = 0.75 * colors.mean(axis=1, keepdims=True) * np.ones(3)
    for index in np.unique(number[number >= 0]):
        marked[number == index] = color_of(int(index))
    view = _from_above(xyz, up)
    return splat(xyz, colors, view)[0], splat(xyz, marked, view)[0]


def _from_above(xyz: NDArray[np.floating], up: NDArray[np.float64]) -> View:
    """Steeply down on the inner part of a cloud: walls hide little, far points nothing."""
    centre = np.median(xyz, axis=0).astype(np.float64)
    radius = float(np.quantile(np.linalg.norm(xyz - centre, axis=1), 0.75))
    level = np.roll(up, 1)
    level -= up * (level @ up)
    return View(centre, radius, level - 1.1 * up, up, PIXELS)
