"""`pointsam evaluate`: masks and proposals on labelled clouds, beside the classical pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from pointsam_model.cli_options import (
    LABELLED,
    Checkpoint,
    DeviceName,
    Dtype,
    Model,
    console,
    load_predictor,
    progress,
    refusals,
)

if TYPE_CHECKING:
    from pointsam_model import Predictor
    from pointsam_model.evaluation import LabelledCloud, Method

TABLE_WIDTH = 110


def evaluate(
    data: Annotated[Path, typer.Argument(help=LABELLED)],
    model: Model = "tiny",
    checkpoint: Checkpoint = None,
    device: DeviceName = "auto",
    dtype: Dtype = "float32",
    clicks: Annotated[int, typer.Option(min=1, max=100, help="clicks on each object")] = 10,
    limit: Annotated[int, typer.Option(min=0, help="only the first clouds; 0: all")] = 0,
    color: Annotated[bool, typer.Option(help="let the model see the colours")] = True,
    proposals: Annotated[bool, typer.Option(help="also average recall of proposals")] = True,
    classical: Annotated[
        bool, typer.Option(help="also voxels, RANSAC plane and DBSCAN (needs Open3D)")
    ] = True,
    json: Annotated[Path | None, typer.Option(help="write every object's result here")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="draw the best, median and worst objects in this folder")
    ] = None,
) -> None:
    """Measures masks after k clicks (IoU@k) and proposals (AR) on labelled clouds."""
    from pointsam_model.evaluation import find_labelled, losses, read_labelled, table, write_json
    from pointsam_model.evaluation.examples import Examples

    with refusals():
        paths = {_name(path, data): path for path in find_labelled(data)}
        paths = dict(list(paths.items())[: limit or None])
        predictor = load_predictor(model, checkpoint, device, dtype)
        ours = _ours(predictor, Path(model).stem, clicks, color, proposals)
        baseline = _classical(proposals) if classical else None
        examples = Examples()

        def read(name: str) -> LabelledCloud:
            return read_labelled(paths[name], name)

        with progress() as bar:
            task = bar.add_task("clouds", total=len(paths))
            for name in paths:
                cloud = read(name)
                ours.measure(cloud, examples.keep(name) if pictures else None)
                if baseline is not None:
                    baseline.measure(cloud)
                bar.advance(task)
                if ours.objects:
                    first = ours.summary().iou_at[1]
                    bar.update(task, description=f"clouds (IoU@1 so far {100 * first:.1f})")
        console.width = max(console.width, TABLE_WIDTH)  # a table that breaks its lines is none
        summaries = {it.name: it.summary() for it in (ours, baseline) if it is not None}
        size = summaries[ours.name]
        title = f"{data.resolve().name}: {size.clouds} clouds, {size.objects} objects"
        console.print(table(summaries, title if color else f"{title}, without colour"))
        if baseline is not None:
            behind = losses(size, summaries[baseline.name])
            console.print(f"{baseline.name} is better in: {', '.join(behind) or 'nothing'}")
        if json is not None:
            about = {"data": data.resolve().name, "clicks": clicks, "color": color}
            about |= _about(predictor, model, checkpoint, dtype)
            write_json(json, ours, baseline, about)
            console.print(f"every object's result: {json}")
        if pictures is not None:
            for picture in examples.draw(pictures, ours.objects, read):
                console.print(f"picture: {picture}")


def _ours(predictor: Predictor, name: str, clicks: int, color: bool, proposals: bool) -> Method:
    from pointsam_model.evaluation import Method

    method = Method(name, predictor, clicks=clicks, color=color)
    if proposals:
        from pointsam_model.proposals import ProposalGenerator

        method.generator = ProposalGenerator(predictor.model)
    return method


def _classical(proposals: bool) -> Method | None:
    """The baseline, or None with a word to the user where Open3D is missing."""
    from pointsam_model.evaluation import Method
    from pointsam_model.evaluation.classical import ClassicalPipeline

    try:
        pipeline = ClassicalPipeline()
    except ImportError as error:
        console.print(f"[yellow]{escape(str(error))}[/]", highlight=False, soft_wrap=True)
        return None
    # It has no second click, and looks at no colour.
    return Method("classical", pipeline, pipeline if proposals else None, clicks=1, color=False)


def _name(path: Path, data: Path) -> str:
    """What results call a cloud: its path in the folder, so that equal file names stay apart."""
    return path.stem if path == data else path.relative_to(data).with_suffix("").as_posix()


def _about(predictor: Predictor, model: str, checkpoint: Path | None, dtype: str) -> dict[str, Any]:
    """Which weights ran how, on what."""
    from pointsam_model.config import WEIGHTS
    from pointsam_model.evaluation.report import fingerprint, machine

    weights = checkpoint or WEIGHTS / "tiny.safetensors"
    return {
        "model": model,
        "checkpoint": weights.name,
        "checkpoint_sha256": fingerprint(weights),
        "dtype": dtype,
        "device": str(predictor.model.device),
        **machine(predictor.model.device),
    }
