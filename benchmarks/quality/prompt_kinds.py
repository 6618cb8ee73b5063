"""What a box or a mask of the image says beyond a click.

    python -m benchmarks.quality.prompt_kinds FOLDER

Each object is told by one click at its deepest point; by the box about its points along the axes,
and the tight turned one, both grown by a tenth, alone and with the click; by its mask in the image,
some pixels too large, too small, or beside it (organised clouds only). Printed is the mean IoU of
what was told and of the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import ndimage  # type: ignore[import-untyped]

from pointsam_model import Box, Predictor, Prompt, load_model, oriented_box
from pointsam_model.cli.options import LABELLED
from pointsam_model.data.clicks import first_click
from pointsam_model.data.clouds import LabelledCloud
from pointsam_model.evaluation import find_labelled, read_labelled
from pointsam_model.evaluation.protocol import iou

Mask = NDArray[np.bool_]

GROWN = 0.1
THINNEST_M = 0.005  # of a box


def main(
    data: Annotated[Path, typer.Argument(help=LABELLED)],
    pixels: Annotated[int, typer.Option(min=1, help="error of an image mask, in pixels")] = 5,
    every: Annotated[int, typer.Option(min=1, help="use every n-th cloud only")] = 1,
    checkpoint: Annotated[Path | None, typer.Option(help="weights; default: the shipped")] = None,
) -> None:
    """Prints the mean IoU of each way to tell an object."""
    predictor = Predictor(load_model("tiny", checkpoint))
    told: dict[str, list[float]] = {}
    answered: dict[str, list[float]] = {}
    for path in track(find_labelled(data)[::every], "clouds"):
        cloud = read_labelled(path)
        embedding = predictor.embed(cloud.as_seen())
        for label in cloud.objects():
            truth = (cloud.instance == label) & cloud.counted
            for name, prompt in _prompts(cloud, truth, pixels):
                claimed = prompt.claimed(embedding.cloud)
                if claimed is not None:
                    told.setdefault(name, []).append(iou(claimed, truth, cloud.counted))
                (answer,) = predictor.segment(embedding, [prompt])
                score = iou(answer.masks[0], truth, cloud.counted)
                answered.setdefault(name, []).append(score)
    table = Table("told by", "objects", "IoU of what is told [%]", "IoU of the answer [%]")
    for name, values in answered.items():
        said = f"{100 * np.mean(told[name]):.1f}" if name in told else ""
        table.add_row(name, str(len(values)), said, f"{100 * np.mean(values):.1f}")
    Console().print(table)


def _prompts(cloud: LabelledCloud, truth: Mask, pixels: int) -> Iterator[tuple[str, Prompt]]:
    points = cloud.xyz[truth].astype(np.float64)
    row = first_click(cloud.xyz, truth, cloud.counted)
    assert row is not None  # an object has points
    click = cloud.xyz[[row]]
    yield "a click", Prompt(click)
    low, high = points.min(0), points.max(0)
    along = Box((low + high) / 2, np.maximum((high - low) * (1 + GROWN), THINNEST_M))
    tight = oriented_box(points)
    turned = Box(tight.center, np.maximum(tight.size * (1 + GROWN), THINNEST_M), tight.rotation)
    for name, box in (("a box along the axes", along), ("a turned box", turned)):
        yield name, Prompt(box=box)
        yield f"{name} and a click", Prompt(click, box=box)
    if cloud.height > 1:
        for name, mask in _masks(truth.reshape(cloud.height, cloud.width), pixels):
            if mask.any() and (mask.reshape(-1) & cloud.counted).any():
                yield name, Prompt(mask=mask)


def _masks(image: Mask, pixels: int) -> Iterator[tuple[str, Any]]:
    yield "its mask in the image", image
    yield f"... {pixels} pixels too large", ndimage.binary_dilation(image, iterations=pixels)
    yield f"... {pixels} pixels too small", ndimage.binary_erosion(image, iterations=pixels)
    yield f"... {pixels} pixels beside it", ndimage.shift(image, (pixels, pixels), order=0)


if __name__ == "__main__":
    typer.run(main)
