"""`pointsam propose`: all objects of a cloud from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pointsam_model.cli.options import (
    Checkpoint,
    CloudFile,
    Color,
    Columns,
    DeviceName,
    Dtype,
    Index,
    Model,
    Output,
    Time,
    Topic,
    console,
    load_predictor,
    progress,
    read_source,
    refusals,
    tell_written,
)
from pointsam_model.config.settings import ProposalConfig

SHOWN = 30  # rows of the table


def propose(
    cloud: CloudFile,
    most: Annotated[
        int, typer.Option("--max-instances", min=1, help="most instances")
    ] = ProposalConfig.max_instances,
    min_score: Annotated[
        float, typer.Option(min=0, max=1, help="least probability of being an object")
    ] = ProposalConfig.min_score,
    topic: Topic = "",
    index: Index = None,
    time: Time = None,
    columns: Columns = 0,
    color: Color = True,
    output: Output = None,
    png: Annotated[Path | None, typer.Option(help="draw the instances here")] = None,
    model: Model = "tiny",
    checkpoint: Checkpoint = None,
    device: DeviceName = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Segments all objects of a cloud, best first, without prompts."""
    from pointsam_model import ProposalGenerator
    from pointsam_model.data.writers import write_instances, writer_of
    from pointsam_model.pictures import DrawnMask, draw_masks

    with refusals():
        if output is not None:
            writer_of(output)  # fails early if the suffix is unknown
        source = read_source(cloud, topic, columns, index, time)
        predictor = load_predictor(model, checkpoint, device, dtype)
        config = ProposalConfig(min_score=min_score, max_instances=most)
        generator = ProposalGenerator(predictor.model, config, predictor)
        with progress() as bar:
            task = bar.add_task("clicks", total=None)
            instances = generator.generate(
                source.as_seen(color),
                lambda done, total: bar.update(task, completed=done, total=total),
            )
        table = Table()
        for name in ("instance", "score", "points", "centre [m]", "size [m]"):
            table.add_column(escape(name), justify="right")
        for number, instance in enumerate(instances[:SHOWN], start=1):
            center = " ".join(f"{value:.3f}" for value in instance.box.center)
            size = " ".join(f"{value:.3f}" for value in instance.box.size)
            points = f"{len(instance.indices):,}"
            table.add_row(str(number), f"{instance.score:.2f}", points, center, size)
        console.print(table)
        if len(instances) > SHOWN:
            console.print(f"and {len(instances) - SHOWN} more")
        if output is not None:
            write_instances(output, source, instances)
            tell_written("instances", output)
        if png is not None:
            drawn = [
                DrawnMask(instance.indices.astype(int), f"{number}   score {instance.score:.2f}")
                for number, instance in enumerate(instances, start=1)
            ]
            draw_masks(png, source, drawn, f"{source.name}: {len(instances)} instances")
            tell_written("picture", png)
