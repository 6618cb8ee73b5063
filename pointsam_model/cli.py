"""The command `pointsam`: Point-SAM on files, without ROS."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from pointsam_model.errors import PointSamError, PromptError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
console = Console()


@app.callback()
def commands() -> None:
    """Segments any object of a 3-D point cloud from clicks."""


Model = Annotated[
    str, typer.Option(help="tiny (shipped), large, giant, or a path to a model's JSON config")
]
Checkpoint = Annotated[
    Path | None, typer.Option(help="weights (.safetensors); none: those that are shipped")
]
DeviceName = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16 or float16")]


@app.command()
def evaluate(
    data: Annotated[Path, typer.Argument(help="a labelled .npz cloud, or a folder of them")],
    model: Model = "tiny",
    checkpoint: Checkpoint = None,
    device: DeviceName = "auto",
    dtype: Dtype = "float32",
    clicks: Annotated[int, typer.Option(min=1, max=100, help="clicks on each object")] = 10,
    limit: Annotated[int, typer.Option(min=0, help="only the first clouds; 0: all")] = 0,
    color: Annotated[bool, typer.Option(help="let the model see the colours")] = True,
    json: Annotated[Path | None, typer.Option(help="write every object's result here")] = None,
) -> None:
    """Measures IoU@k with the paper's clicks on labelled clouds."""
    from pointsam_model.evaluation import (
        ObjectResult,
        evaluate_cloud,
        find_labelled,
        read_labelled,
        summarise,
        write_json,
    )

    with refusals():
        paths = find_labelled(data)
        paths = paths[:limit] if limit else paths
        predictor = load_predictor(model, checkpoint, device, dtype)
        results: list[ObjectResult] = []
        with progress() as bar:
            task = bar.add_task("clouds", total=len(paths))
            for path in paths:
                results += evaluate_cloud(predictor, read_labelled(path), clicks, color=color)
                bar.advance(task)
                if results:
                    first = summarise(results).iou_at[1]
                    bar.update(task, description=f"clouds (IoU@1 so far {100 * first:.1f})")
        console.print(summarise(results).table(f"{data.name}: mean IoU after k clicks [%]"))
        if json is not None:
            about = {
                "data": data.name,
                "model": model,
                "checkpoint": None if checkpoint is None else checkpoint.name,
                "dtype": dtype,
                "color": color,
            }
            write_json(json, results, about)
            console.print(f"every object's result: {json}")


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


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="a training config, as in config/training/")],
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all cores")] = 0,
) -> None:
    """Trains a checkpoint on generated scenes; a run that was stopped goes on where it was."""
    import torch

    from pointsam_model.training import StepReport, TrainingConfig
    from pointsam_model.training import train as run

    if threads:
        torch.set_num_threads(threads)
    with refusals(), progress() as bar:
        settings = TrainingConfig.read(config)
        task = bar.add_task("steps", total=settings.steps)
        recent: deque[StepReport] = deque(maxlen=50)

        def show(step: int, report: StepReport) -> None:
            recent.append(report)
            chosen, best, last = (
                sum(getattr(seen, name) for seen in recent) / len(recent)
                for name in ("chosen", "best", "last")
            )
            text = f"steps (IoU chosen {chosen:.2f}, best of 3 {best:.2f}, last click {last:.2f})"
            bar.update(task, completed=step + 1, description=text)

        run(settings, device=device, report=show)
    console.print(f"checkpoint: {Path(settings.output) / 'model.safetensors'}")


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


def load_predictor(model: str, checkpoint: Path | None, device: str, dtype: str) -> Any:
    """A predictor from what the command line says of it."""
    from pointsam_model import Predictor, load_model

    return Predictor(load_model(model, checkpoint=checkpoint, device=device, dtype=dtype))


@contextmanager
def refusals() -> Iterator[None]:
    """Turns a refusal into one line for a person and exit status 1."""
    try:
        yield
    except PointSamError as error:
        message = f"[bold red]pointsam:[/] {escape(str(error))}"
        Console(stderr=True).print(message, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


def progress() -> Progress:
    """A bar with what is done, how many of how many, and the time that remains."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )


if __name__ == "__main__":
    app()
