"""Many small camera clouds on one sheet, each beside its labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pointsam_model.pictures.image import image_colors, image_with_masks
from pointsam_model.pictures.masks import INK, PAPER
from pointsam_model.readers.sensor_cloud import SensorCloud

COLUMNS = 3
PANEL = 3.2  # width of one picture [inch]


def draw_sheet(path: str | Path, clouds: Sequence[SensorCloud]) -> Path:
    """Writes a PNG of organised clouds, colours to the left and objects to the right of each.

    Args:
        path: where to.
        clouds: organised and labelled, all of one size.

    Returns:
        `path`.
    """
    path = Path(path)
    lines = math.ceil(len(clouds) / COLUMNS)
    columns = min(len(clouds), COLUMNS)
    high = PANEL * clouds[0].height / clouds[0].width
    width, height = columns * (2 * PANEL + 0.15), lines * (high + 0.3)
    with matplotlib.rc_context({"font.size": 9, "text.color": INK}):
        figure = Figure(figsize=(width, height), dpi=100, facecolor=PAPER)
        for index, cloud in enumerate(clouds):
            line, column = divmod(index, COLUMNS)
            left = column * (2 * PANEL + 0.15) + 0.05
            bottom = height - line * (high + 0.3) - high - 0.25
            labels = np.zeros(cloud.size) if cloud.labels is None else cloud.labels
            number = np.maximum(labels.astype(np.int64) - 1, -1)
            number = number.reshape(cloud.height, cloud.width)
            for side, picture in enumerate((image_colors(cloud), image_with_masks(cloud, number))):
                frame = (left + side * PANEL, bottom, PANEL - 0.03, high)
                axes = figure.add_axes(
                    (frame[0] / width, frame[1] / height, frame[2] / width, frame[3] / height)
                )
                axes.imshow(picture, interpolation="nearest", aspect="auto")
                axes.axis("off")
            objects = len(np.unique(number[number >= 0]))
            title = f"{cloud.name}, {objects} objects"
            figure.text(left / width, (bottom + high + 0.06) / height, title)
        path.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasAgg(figure).print_png(path)
    return path
