"""`make bench`: measures, prints tables and writes the numbers to benchmarks/results/."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.speed.machine import machine
from benchmarks.speed.network import SIZES, Effort, Result, Size, measure
from benchmarks.speed.tables import goals_table, network_table, ros_table

RESULTS = Path(__file__).parents[1] / "results"
PARTS = ("network", "ros")
WIDTH = 110
QUICK_SIZES = (Size(2_048, 128, 32), Size(10_000, 512, 64))


def main(
    quick: Annotated[bool, typer.Option("--quick", help="smaller clouds, fewer rounds")] = False,
    only: Annotated[str, typer.Option(help="network or ros; empty: both")] = "",
    model: Annotated[
        list[str] | None, typer.Option(help="preset or JSON config; none: tiny and large")
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="points,patches,patch size; none: the two defaults")
    ] = None,
    output: Annotated[Path, typer.Option(help="folder of the numbers")] = RESULTS,
) -> None:
    """Measures speed: the network beside the published way, and the node through DDS."""
    if only not in ("", *PARTS):
        raise typer.BadParameter(f"{only!r}; it takes {' or '.join(PARTS)}", param_hint="--only")
    console = Console()
    if console.width < WIDTH:
        console.width = WIDTH  # a table that breaks its lines is none
    sizes = [_size(text) for text in size] if size else list(QUICK_SIZES if quick else SIZES)
    effort = Effort(least=1, most=2, seconds=5) if quick else Effort()
    started = datetime.now(timezone.utc)
    report: dict[str, Any] = {"date": started.isoformat(timespec="seconds"), **machine()}
    console.print(f"{report['machine']}, {report['threads']} threads, torch {report['torch']}")
    with console.status("") as status:
        say: Callable[[str], None] = status.update
        if only != "ros":
            results: list[Result] = []
            for name in model or ["large", "tiny"]:
                results += measure(name, sizes, effort, say)
                for cloud in sizes:
                    console.print(network_table(name, cloud, results))
            goals = goals_table(results)
            if goals.row_count:
                console.print(goals)
            report["network"] = [dataclasses.asdict(result) for result in results]
        if only != "network":
            from benchmarks.speed.ros_prompt import measure_ros  # needs ROS

            answers = [
                measure_ros(*((2, 5) if quick else (5, 20)), each, say) for each in ("float32",)
            ]
            console.print(ros_table(answers))
            report["ros"] = [
                {**dataclasses.asdict(answer), "embedding": answer.embedding} for answer in answers
            ]
    output.mkdir(parents=True, exist_ok=True)
    file = output / f"{started:%Y-%m-%dT%H%M%S}{'-quick' if quick else ''}.json"
    file.write_text(json.dumps(report, indent=1) + "\n")
    console.print(f"numbers: {file}", soft_wrap=True)


def _size(text: str) -> Size:
    try:
        points, num_patches, patch_size = (int(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}; it takes 10000,512,64", param_hint="--size") from error
    if not (1 <= num_patches <= points and 1 <= patch_size <= points):
        raise typer.BadParameter(
            f"{text!r}: patches and patch size are from 1 to the points", param_hint="--size"
        )
    return Size(points, num_patches, patch_size)


if __name__ == "__main__":
    typer.run(main)
