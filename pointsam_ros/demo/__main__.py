"""`make demo`: segments objects of a cloud through the node and shows what came back.

A cloud, generated or from a file, goes over DDS to `segment_node` in its own process; one request
asks for several objects, a second refines each with a click on its largest error where the truth is
known. A table and pictures show the masks.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import numpy as np
import rclpy
import typer
from rclpy.signals import SignalHandlerOptions
from rich.console import Console
from rich.markup import escape

from pointsam_model.data.clicks import next_click
from pointsam_model.data.readers import READ, SensorCloud
from pointsam_model.data.readers.numpy_files import NPY_FORM, NPZ_FORM
from pointsam_model.errors import PointSamError
from pointsam_ros.client import RefusedError
from pointsam_ros.client.node_process import NodeProcess, private_environment
from pointsam_ros.demo.client import Click, Client, DemoError, message_of
from pointsam_ros.demo.report import Line, lines_of, mean_iou, picture_of, table_of
from pointsam_ros.demo.targets import Target, counted, generated, load, targets_of

LEAST_MEAN_IOU = 0.5  # of the generated scene
SESSION = "demo"
EXPECTED = (PointSamError, DemoError, RefusedError, OSError)  # NoAnswerError among the last
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

console = Console()
_told_to_leave: list[int] = []  # the signals that came


def main(
    cloud: Annotated[
        Path | None,
        typer.Option(
            help=escape(f"one of {READ}; default: a generated scene. {NPZ_FORM}; {NPY_FORM}")
        ),
    ] = None,
    topic: Annotated[
        str, typer.Option(help="topic of clouds in a recording; empty: the first that has messages")
    ] = "",
    index: Annotated[
        int | None,
        typer.Option(help="number of the cloud on its topic in a recording, from 0; -1: the last"),
    ] = None,
    at: Annotated[
        float | None,
        typer.Option(
            "--time", help="seconds after a recording's start: the first cloud that is not before"
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="folder of the pictures")] = Path("demo_output"),
    objects: Annotated[int, typer.Option(min=1, max=50, help="number of objects")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="of the generated scene")] = 12,
    preset: Annotated[str, typer.Option(help="tiny, large, giant, or a JSON config")] = "tiny",
    checkpoint: Annotated[
        Path | None, typer.Option(help="weights; default: the shipped ones")
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="total time limit [s]")] = 300.0,
) -> None:
    """Segments objects of a cloud through the node, and shows what came back."""
    private_environment()
    for number in SIGNALS:
        signal.signal(number, _leave)
    try:
        with console.status("reading the cloud" if cloud else "generating a tabletop scene"):
            source = load(cloud, topic, index, at) if cloud else generated(seed)
            targets = targets_of(source, objects)
        console.print(_described(source, targets), soft_wrap=True)
        output.mkdir(parents=True, exist_ok=True)
        for stale in output.glob("clicks_*.png"):
            stale.unlink()
        parameters = {"model.preset": preset}
        if checkpoint is not None:
            parameters["model.checkpoint"] = str(checkpoint.absolute())
        with NodeProcess(parameters, output / "node.log") as node:
            rounds = demonstrate(source, targets, node, timeout)
        final = show(source, rounds, output)
    except Exception as error:
        if _told_to_leave:  # what the signal's exit became on its way through foreign code
            raise typer.Exit(128 + _told_to_leave[0]) from error
        if not isinstance(error, EXPECTED):
            raise
        console.print(f"[bold red]demo:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    if cloud is None and final is not None and final < LEAST_MEAN_IOU:
        console.print(f"[bold red]demo:[/] the mean IoU is {final:.2f}, under {LEAST_MEAN_IOU}")
        raise typer.Exit(1)


def demonstrate(
    cloud: SensorCloud, targets: Sequence[Target], node: NodeProcess, timeout_s: float
) -> list[list[Line]]:
    """The lines of each round of clicks, from the running node.

    Raises:
        DemoError: the node ends, or all takes too long.
        RefusedError: the node refuses.
        NoAnswerError: it does not answer.
    """
    deadline = time.monotonic() + timeout_s

    def check() -> None:
        if node.exit_status is not None:
            raise DemoError(f"the node ended with {node.exit_status}:\n{node.last_lines()}")
        if time.monotonic() > deadline:
            raise DemoError(f"not done within {timeout_s:.0f} s (--timeout)")

    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    client = Client(check, timeout_s)
    try:
        started = time.monotonic()
        with console.status("starting the node"):
            client.wait_for_node()
        console.print(f"node runs as process {node.pid} after {time.monotonic() - started:.1f} s")
        msg = message_of(cloud)
        clicks = [
            Click(cloud.xyz[target.row].astype(float), 1, target.object_id) for target in targets
        ]
        with console.status("cloud sent; the node loads its model and embeds the cloud"):
            started = time.monotonic()
            client.publish(msg)
            client.wait_until_ready()
            client.segment(msg, clicks[:1], "")  # waits for the cloud's embedding
        console.print(f"first mask {time.monotonic() - started:.1f} s after the cloud was sent")
        first = client.segment(msg, clicks, SESSION)
        rounds = [lines_of(cloud, targets, clicks, first)]
        corrections = correcting_clicks(cloud, rounds[0])
        if corrections:
            second = client.segment(msg, corrections, SESSION).beside(first, corrections)
            rounds.append(lines_of(cloud, targets, [*clicks, *corrections], second))
        return rounds
    finally:
        client.destroy()
        rclpy.try_shutdown()


def correcting_clicks(cloud: SensorCloud, lines: Sequence[Line]) -> list[Click]:
    """A click on the largest error of each mask whose truth is known and that is not right."""
    known = counted(cloud)
    clicks = []
    for line in lines:
        if line.target.truth is None:
            continue
        found = next_click(cloud.xyz, line.target.truth, line.mask, known)
        if found is not None:
            row, label = found
            clicks.append(Click(cloud.xyz[row].astype(float), label, line.target.object_id))
    return clicks


def show(cloud: SensorCloud, rounds: Sequence[Sequence[Line]], output: Path) -> float | None:
    """Prints the table, writes the pictures; the mean IoU of the last round, None without truth."""
    console.print(
        "Each line is an object after its clicks: the score is what the model thinks of its mask "
        "(predicted IoU, 0 to 1)"
        + (", IoU is how well the mask fits the truth" if mean_iou(rounds[0]) is not None else "")
        + ". All objects are asked for in one request, so they share its milliseconds."
    )
    console.print(table_of(rounds))
    for number, lines in enumerate(rounds, start=1):
        mean = mean_iou(lines)
        clicks = f"{number} click{'s' if number > 1 else ''} an object"
        known = "" if mean is None else f", mean IoU {mean:.2f}"
        title = f"{cloud.name}: {clicks}{known}"
        path = picture_of(output / f"clicks_{number}.png", cloud, lines, title)
        console.print(f"{clicks}{known}: {path}", soft_wrap=True)
    console.print(
        "In the pictures each object has its number and its colour, those of the table. A dot is a "
        "click on the object, a red cross a click off it; the number stands at the first click.",
    )
    return mean_iou(rounds[-1])


def _described(cloud: SensorCloud, targets: Sequence[Target]) -> str:
    size = f"{cloud.width} x {cloud.height}" if cloud.organised else f"{cloud.size:,}"
    seen = np.count_nonzero(cloud.valid)
    objects = f"{len(targets)} objects to segment, one click each"
    return f"{cloud.name}: {size} points, {seen:,} of them seen; {objects}"


def _leave(number: int, frame: object) -> NoReturn:
    """So that the node ends too when this process is told to."""
    for other in SIGNALS:  # one is enough: the next would interrupt the ending of the node
        signal.signal(other, signal.SIG_IGN)
    _told_to_leave.append(number)
    sys.exit(128 + number)


if __name__ == "__main__":
    typer.run(main)
