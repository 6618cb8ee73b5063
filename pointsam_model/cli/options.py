"""Shared by the commands: options, the progress bar, and how errors are printed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pointsam_model.data.readers import READ, SensorCloud
from pointsam_model.data.readers.numpy_files import NPY_FORM, NPZ_FORM
from pointsam_model.data.writers import WRITTEN
from pointsam_model.errors import CloudWarning, PointSamError

if TYPE_CHECKING:
    from pointsam_model import Predictor

console = Console()
SHOWN_AFTER_S = 0.5  # a bar for less would only flicker
SHOWN_EVERY_S = 0.1

CloudFile = Annotated[Path, typer.Argument(help=escape(f"one of {READ}. {NPZ_FORM}; {NPY_FORM}"))]
Topic = Annotated[
    str, typer.Option(help="topic of clouds in a recording; empty: the first that has messages")
]
Index = Annotated[
    int | None,
    typer.Option(help="index of the cloud on its topic in a recording, from 0; -1: the last"),
]
Time = Annotated[
    float | None,
    typer.Option(help="use the first cloud at least this many seconds into a recording"),
]
Columns = Annotated[
    int, typer.Option(help="floats per point in a .bin; 0: detected if unambiguous")
]
Color = Annotated[bool, typer.Option(help="show the cloud's colours to the network")]
Output = Annotated[
    Path | None,
    typer.Option(
        help=f"write the cloud with an instance_id and a score for each point: {WRITTEN}; an .npz"
        " also contains the masks"
    ),
]
Model = Annotated[
    str, typer.Option(help="tiny (shipped), large, giant, or a path to a model's JSON config")
]
Checkpoint = Annotated[
    Path | None, typer.Option(help="weights (.safetensors); default: the shipped ones")
]
DeviceName = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16 or float16")]

# What a labelled file needs, for --help.
LABELLED = escape(
    "an .npz file, or a folder of them, with the arrays 'xyz' float (n,3) [m] and 'label'"
    " integer (n,): 1 and up one object each, 0 background, -1 unknown; optionally 'rgb' uint8"
    " (n,3) and 'hw' [rows, columns]"
)


def read_source(
    cloud: Path, topic: str, columns: int, index: int | None, time: float | None
) -> SensorCloud:
    """Reads the cloud given on the command line; shows a bar while a recording is indexed."""
    from pointsam_model.data.readers import read_cloud

    if not console.is_terminal:
        return read_cloud(cloud, topic, columns, index, time)
    columns_shown = TextColumn("{task.description}"), BarColumn()
    with Progress(*columns_shown, console=console, transient=True) as bar:
        task = bar.add_task("reading the recording", total=None, visible=False)
        due = monotonic() + SHOWN_AFTER_S

        def tell(done: int, total: int) -> None:
            nonlocal due
            if monotonic() >= due:  # a recording has millions of messages
                due = monotonic() + SHOWN_EVERY_S
                bar.update(task, completed=done, total=total or None, visible=True)

        return read_cloud(cloud, topic, columns, index, time, tell)


def load_predictor(model: str, checkpoint: Path | None, device: str, dtype: str) -> Predictor:
    """Makes a predictor from the command line's options."""
    from pointsam_model import Predictor, load_model

    return Predictor(load_model(model, checkpoint=checkpoint, device=device, dtype=dtype))


def tell_written(what: str, path: Path) -> None:
    """Prints where something was written, with the path unbroken so that it can be copied."""
    console.print(f"{what}: {escape(str(path))}", highlight=False, soft_wrap=True)


@contextmanager
def refusals() -> Iterator[None]:
    """Prints an error as one line and exits with status 1; prints a cloud's warning as one line."""
    with warnings.catch_warnings():
        warnings.showwarning = _telling_doubts(warnings.showwarning)
        try:
            yield
        except PointSamError as error:
            _say(f"[bold red]pointsam:[/] {escape(str(error))}")
            raise typer.Exit(1) from error


def _telling_doubts(show: Callable[..., None]) -> Callable[..., None]:
    """Prints warnings about clouds as one line; passes others on to `show`."""

    def told(message: Warning | str, category: type[Warning], *where: Any, **how: Any) -> None:
        if issubclass(category, CloudWarning):
            _say(f"[bold yellow]pointsam:[/] {escape(str(message))}")
        else:
            show(message, category, *where, **how)

    return told


def _say(text: str) -> None:
    Console(stderr=True).print(text, highlight=False, soft_wrap=True)


def progress() -> Progress:
    """A bar with a description, the count, the total, and the remaining time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
