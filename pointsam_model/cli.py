"""The command `pointsam`: Point-SAM on files, without ROS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from pointsam_model.cli_evaluate import evaluate
from pointsam_model.cli_options import (
    Checkpoint,
    DeviceName,
    Dtype,
    Model,
    console,
    load_predictor,
    progress,
    refusals,
)
from pointsam_model.cli_train import train
from pointsam_model.errors import PromptError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def commands() -> None:
    """Segments any object of a 3-D point cloud from clicks."""


app.command()(evaluate)


@app.command()
def segment(
    cloud: Annotated[Path, typer.Argument(help="a file that `pointsam` reads, or a ROS 2 bag")],
    click: Annotated[list[str], typer.Option(help="x,y,z [m] on the object; again for more")],
    off: Annotated[list[str] | None, typer.Option(help="x,y,z [m] off the object")] = None,
    topic: Annotated[str, typer.Option(help="PointCloud2 topic of a bag; empty: the first")] = "",
    png: Annotated[Path | None, typer.Option(help="draw the best mask here")] = None,
    npz: Annotated[Path | None, typer.Option(help="write masks, scores and rows here")] = None,
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
        embedding = predictor.embed(Cloud(source.xyz, source.rgb))
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


@app.command()
def scenes(
    png: Annotated[Path, typer.Option(help="where to draw them")],
    count: Annotated[int, typer.Option(min=1, max=100, help="how many")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="of the first; the others follow")] = 0,
) -> None:
    """Draws a sheet of generated scenes with their instance labels."""
    from pointsam_model.pictures import draw_sheet
    from pointsam_model.readers import SensorCloud
    from pointsam_model.scenes import SceneConfig, generate_scene

    with refusals(), progress() as bar:
        clouds = []
        for number in bar.track(range(seed, seed + count), description="scenes"):
            scene = generate_scene(number, SceneConfig(width=320, height=240))
            size = scene.height, scene.width
            name = f"seed {number}"
            clouds.append(SensorCloud(scene.xyz, scene.rgb, *size, name, labels=scene.instance))
        draw_sheet(png, clouds)
    console.print(f"picture: {png}")


@app.command()
def pool(
    folder: Annotated[Path, typer.Argument(help="where the scenes are kept")],
    shards: Annotated[int, typer.Option(min=1, help="how many shards of 128 scenes")] = 160,
    jobs: Annotated[int, typer.Option(min=1, help="processes that make scenes")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda, where scenes are made")] = "cpu",
) -> None:
    """Generates the scenes that training draws from; shards that are there are kept."""
    import multiprocessing

    from pointsam_model.training.pool import make_pool

    with refusals(), progress() as bar:
        task = bar.add_task("shards of scenes", total=shards)
        if jobs == 1:
            for _ in make_pool(folder, range(shards), device=device):
                bar.advance(task)
            return
        with multiprocessing.get_context("spawn").Pool(jobs) as workers:
            for _ in workers.imap_unordered(
                _make_shard, [(folder, shard, device) for shard in range(shards)]
            ):
                bar.advance(task)


app.command()(train)


def _make_shard(work: tuple[Path, int, str]) -> None:
    """One shard, in a process of its own that leaves the other cores to the others."""
    import torch

    from pointsam_model.training.pool import make_pool

    torch.set_num_threads(1)
    folder, shard, device = work
    for _ in make_pool(folder, range(shard, shard + 1), device=device):
        pass


def _point(text: str) -> tuple[float, float, float]:
    """Three numbers from x,y,z."""
    try:
        x, y, z = (float(word) for word in text.split(","))
    except ValueError:
        raise PromptError(f"{text!r} is no point; give x,y,z in metres, as 0.1,-0.2,0.8") from None
    return x, y, z


if __name__ == "__main__":
    app()
