"""The command `pointsam`: Point-SAM on files, without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pointsam_model.errors import PointSamError

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
