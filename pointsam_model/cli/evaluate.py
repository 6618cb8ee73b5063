"""`pointsam evaluate`: masks and proposals on labelled clouds, compared with baselines."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from pointsam_model.cli.options import (
    LABELLED,
    Checkpoint,
    DeviceName,
    Dtype,
    Model,
    console,
    progress,
    refusals,
    tell_written,
)
from pointsam_model.cli.scenes import Kind
from pointsam_model.errors import ConfigError

if TYPE_CHECKING:
    from pointsam_model.evaluation import Method
    from pointsam_model.evaluation.examples import Examples
    from pointsam_model.evaluation.sources import Source
    from pointsam_model.evaluation.ways import Protocol
    from pointsam_model.nn import PointSAM

TABLE_WIDTH = 118


class Way(str, Enum):
    """Ways to use the network, named as in `pointsam_model.evaluation.ways`."""

    both = "both"
    network = "network"
    published = "published"
    geometry = "geometry"


class First(str, Enum):
    """Where the first click on an object goes."""

    deepest = "deepest"
    centroid = "centroid"
    random = "random"


def evaluate(
    data: Annotated[Path | None, typer.Argument(help=LABELLED)] = None,
    generated: Annotated[
        Kind | None, typer.Option(help="instead of files: generate scenes of this kind")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="how many generated scenes")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="seed of the first generated scene")] = 0,
    model: Model = "tiny",
    checkpoint: Checkpoint = None,
    device: DeviceName = "auto",
    dtype: Dtype = "float32",
    way: Annotated[
        list[Way] | None,
        typer.Option(
            help="both: as users run it (the default); network: without the partition;"
            " published: also without looks; geometry: the partition alone. Repeat for several"
        ),
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="all of these ways")] = False,
    clicks: Annotated[int, typer.Option(min=1, max=100, help="clicks on each object")] = 10,
    first_click: Annotated[
        First,
        typer.Option(
            help="deepest: farthest from everything but the object, as in the paper; centroid:"
            " nearest to the object's mean; random: three draws, each followed by all its clicks"
        ),
    ] = First.deepest,
    limit: Annotated[int, typer.Option(min=0, help="use only this many clouds; 0: all")] = 0,
    color: Annotated[bool, typer.Option(help="let the model see the colours")] = True,
    proposals: Annotated[
        bool, typer.Option(help="also measure average recall of proposals")
    ] = True,
    classical: Annotated[
        bool,
        typer.Option(
            help="also compare with parts along concave edges, and with voxels, RANSAC plane and"
            " DBSCAN (needs Open3D)"
        ),
    ] = True,
    json: Annotated[Path | None, typer.Option(help="write every object's result here")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="draw the best, median and worst objects in this folder")
    ] = None,
    reliability: Annotated[
        Path | None, typer.Option(help="draw scores against true IoU in this PNG")
    ] = None,
) -> None:
    """Measures masks after k clicks (IoU@k) and proposals (AR) on labelled clouds."""
    from pointsam_model import load_model
    from pointsam_model.evaluation.examples import Examples
    from pointsam_model.evaluation.ways import Protocol
    from pointsam_model.evaluation.ways import way as as_method

    with refusals():
        source = _source(data, generated, count, seed, limit)
        network = load_model(model, checkpoint=checkpoint, device=device, dtype=dtype)
        protocol = Protocol(clicks, first_click.value, color, proposals)
        asked = [each.value for each in (list(Way) if compare else way or [Way.both])]
        ways = [as_method(name, network, Path(model).stem, protocol) for name in _once(asked)]
        others = _baselines(protocol) if classical else []
        examples = Examples() if pictures else None
        _measure(source, [*ways, *others], examples)
        _print(source.title if color else f"{source.title}, without colour", ways, others)
        if json is not None:
            _write(json, [*ways, *others], network, checkpoint, protocol, source, model, dtype)
        if reliability is not None:
            _draw_scores(reliability, ways)
        if pictures is not None and examples is not None and ways[0].objects:
            for picture in examples.draw(pictures, ways[0].objects, source.read):
                tell_written("picture", picture)


def _source(data: Path | None, generated: Kind | None, count: int, seed: int, limit: int) -> Source:
    from pointsam_model.evaluation import sources

    if (data is None) == (generated is None):
        raise ConfigError("give either labelled clouds (a file or a folder) or --generated KIND")
    if generated is not None:
        return sources.generated(generated.value, min(count, limit or count), seed)
    assert data is not None
    return sources.from_files(data, limit)


def _baselines(protocol: Protocol) -> list[Method]:
    """The classical baselines; prints a note if Open3D is missing."""
    from pointsam_model.evaluation.ways import baselines

    found, missing = baselines(protocol)
    if missing:
        console.print(f"[yellow]{escape(missing)}[/]", highlight=False, soft_wrap=True)
    return found


def _measure(source: Source, methods: list[Method], examples: Examples | None) -> None:
    """Runs all methods on all clouds; the masks of the first method are kept for pictures."""
    first = methods[0]
    with progress() as bar:
        task = bar.add_task("clouds", total=len(source.names))
        for name in source.names:
            cloud = source.read(name)
            first.measure(cloud, examples.keep(name) if examples is not None else None)
            for method in methods[1:]:
                method.measure(cloud)
            bar.advance(task)
            if first.objects:
                so_far = 100 * first.summary().iou_at[1]
                bar.update(task, description=f"clouds (IoU@1 so far {so_far:.1f})")


def _print(title: str, ways: list[Method], others: list[Method]) -> None:
    from pointsam_model.evaluation import losses
    from pointsam_model.evaluation.tables import details, spread_lines, table

    console.width = max(console.width, TABLE_WIDTH)  # avoid wrapped rows in the tables
    summaries = {method.name: method.summary() for method in (*ways, *others)}
    ours = summaries[ways[0].name]
    if ours.objects:
        console.print(table(summaries, f"{title}: {ours.clouds} clouds, {ours.objects} objects"))
        for name in list(summaries)[1:]:
            behind = losses(ours, summaries[name])
            console.print(f"{name} is better in: {', '.join(behind) or 'nothing'}")
    console.print(details([*ways, *others]))
    for line in spread_lines(summaries):
        console.print(line, highlight=False)


def _write(
    path: Path,
    methods: list[Method],
    network: PointSAM,
    checkpoint: Path | None,
    protocol: Protocol,
    source: Source,
    model: str,
    dtype: str,
) -> None:
    """Writes the report: the weights, settings, clouds and results."""
    from pointsam_model.config.model import WEIGHTS
    from pointsam_model.evaluation.report import fingerprint, machine, write_json

    weights = checkpoint or WEIGHTS / "tiny.safetensors"
    about = {
        "data": source.title,
        "clicks": protocol.clicks,
        "first_click": protocol.first,
        "color": protocol.color,
        "model": model,
        "checkpoint": weights.name,
        "checkpoint_sha256": fingerprint(weights),
        "dtype": dtype,
        "device": str(network.device),
        **machine(network.device),
    }
    write_json(path, methods, about)
    tell_written("every object's result", path)


def _draw_scores(path: Path, methods: list[Method]) -> None:
    """Draws the reliability diagram of the methods whose scores are predicted IoUs."""
    from pointsam_model.pictures.reliability import draw_reliability

    panels = {}
    for method in methods:
        lines = {
            f"{clicks} click{'s' if clicks > 1 else ''}: off by {quality.error:.3f}": [
                (each.score, each.iou, each.count) for each in quality.bins
            ]
            for clicks, quality in method.summary().score.items()
        }
        if lines:
            panels[method.name] = lines
    if not panels:
        raise ConfigError(
            "no scores to draw: there is no object, or only --way geometry was requested"
        )
    tell_written("picture", draw_reliability(path, panels))


def _once(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))
