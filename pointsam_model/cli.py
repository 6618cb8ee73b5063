"""The command `pointsam`: Point-SAM on files, without ROS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.markup import escape
from rich.table import Table

from pointsam_model.cli_evaluate import evaluate
from pointsam_model.cli_options import (
    Checkpoint,
    DeviceName,
    Dtype,
    Model,
    console,
    load_predictor,
    refusals,
)
from pointsam_model.cli_scenes import pool, scenes
from pointsam_model.cli_train import train
from pointsam_model.errors import PromptError
from pointsam_model.readers import READ
from pointsam_model.readers.numpy_files import NPY_FORM, NPZ_FORM

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def commands() -> None:
    """Segments any object of a 3-D point cloud from clicks."""


app.command()(evaluate)


@app.command()
def segment(
    cloud: Annotated[Path, typer.Argument(help=escape(f"one of {READ}. {NPZ_FORM}; {NPY_FORM}"))],
    click: Annotated[
        list[str], typer.Option(help="x,y,z in metres, on the object; again for more")
    ],
    off: Annotated[list[str] | None, typer.Option(help="x,y,z in metres, off the object")] = None,
    topic: Annotated[str, typer.Option(help="PointCloud2 topic of a bag; empty: the first")] = "",
    png: Annotated[Path | None, typer.Option(help="draw the best mask here")] = None,
    npz: Annotated[
        Path | None,
        typer.Option(help="write here the arrays masks (c,n) bool and scores (c,), best first"),
    ] = None,
    model: Model = "tiny",
    checkpoint: Checkpoint = None,
    device: DeviceName = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Segments one object of a cloud from clicks; one click alone gives up to three masks."""
    from pointsam_model import Cloud, Prompt
    from pointsam_model.pictures import DrawnMask, draw_masks
    from pointsam_model.readers import read_cloud

    with refusals():
        points = np.array([_point(text) for text in [*click, *(off or [])]])
        labels = np.array([1] * len(click) + [0] * len(off or []))
        source = read_cloud(cloud, topic)
        predictor = load_predictor(model, checkpoint, device, dtype)
        embedding = predictor.embed(Cloud(source.xyz, source.rgb, viewpoint=source.viewpoint))
        points = embedding.snap(points)
        (prediction,) = predictor.segment(embedding, [Prompt(points, labels)])
        table = Table()
        for name in ("mask", "score", "stability", "points"):
            table.add_column(name, justify="right")
        for number, mask in enumerate(prediction.masks):
            score, stability = prediction.scores[number], prediction.stability[number]
            held = np.count_nonzero(mask)
            table.add_row(str(number + 1), f"{score:.2f}", f"{stability:.2f}", f"{held:,}")
        console.print(table)
        if npz is not None:
            np.savez_compressed(npz, masks=prediction.masks, scores=prediction.scores)
            console.print(f"masks: {npz}")
        if png is not None:
            best = np.flatnonzero(prediction.masks[0])
            caption = f"{len(best):,} points   score {prediction.scores[0]:.2f}"
            draw_masks(png, source, [DrawnMask(best, caption, points, labels)], source.name)
            console.print(f"picture: {png}")


app.command()(scenes)
app.command()(pool)
app.command()(train)


def _point(text: str) -> tuple[float, float, float]:
    """Three numbers from x,y,z."""
    try:
        x, y, z = (float(word) for word in text.split(","))
    except ValueError:
        raise PromptError(f"{text!r} is no point; give x,y,z in metres, as 0.1,-0.2,0.8") from None
    return x, y, z


if __name__ == "__main__":
    app()
