"""`pointsam fit`: refits the models of cuts between objects and of the quality of masks."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from pointsam_model.cli.options import Checkpoint, Model, console, progress, refusals, tell_written


class What(str, Enum):
    """What is fitted."""

    cuts = "cuts"
    quality = "quality"


def fit(
    what: Annotated[
        What,
        typer.Argument(
            help="cuts: predicts where on a surface two objects meet; quality: predicts which "
            "candidate mask is best, for a given checkpoint"
        ),
    ],
    out: Annotated[Path, typer.Option(help="output file (.safetensors)")],
    scenes: Annotated[int, typer.Option(min=1, help="generated scenes to fit on")] = 400,
    jobs: Annotated[int, typer.Option(min=1, help="processes that generate scenes")] = 1,
    model: Model = "tiny",
    checkpoint: Checkpoint = None,
    any_network: Annotated[
        bool,
        typer.Option(help="quality: ignore the network's own scores, for use with any checkpoint"),
    ] = False,
    choose: Annotated[
        bool,
        typer.Option(
            help="quality: later clicks correct the mask chosen by the current quality model;"
            " otherwise a nearly best one"
        ),
    ] = True,
) -> None:
    """Fits one of the two small models used with geometry, on generated scenes.

    Fitted models are shipped in pointsam_model/weights. Refit the quality model after the network's
    weights or the cuts change. The quality model of a checkpoint a.safetensors is loaded from
    a.quality.safetensors next to it.
    """
    import multiprocessing

    from pointsam_model.errors import ConfigError

    with refusals():
        if not out.absolute().parent.is_dir():
            raise ConfigError(f"--out {out}: there is no folder {out.absolute().parent}")
        if what is What.cuts and (checkpoint is not None or any_network or not choose):
            raise ConfigError(
                "cuts do not depend on the network: --checkpoint, --any-network and --no-choose"
                " are for quality only"
            )
    work: Callable[[Any], tuple[range, Any]]
    extra: tuple[Any, ...]
    with refusals(), progress() as bar:
        task = bar.add_task("scenes", total=scenes)
        parts = [range(first, min(first + SHARE, scenes)) for first in range(0, scenes, SHARE)]
        if what is What.cuts:
            work, extra = _cut_examples, ()
        else:
            work, extra = _quality_examples, (model, checkpoint, choose)
        made = []
        with multiprocessing.get_context("spawn").Pool(jobs) as workers:
            for part, examples in workers.imap(work, [(numbers, *extra) for numbers in parts]):
                made.append(examples)
                bar.advance(task, len(part))
        bar.update(task, description="scenes; fitting, a few minutes")
        estimator = _fit_cuts(made) if what is What.cuts else _fit_quality(made, any_network)
        estimator.write(out)
    tell_written("fitted", out)


SHARE = 20  # scenes per task of a process


def _cut_examples(work: tuple[range]) -> tuple[range, Any]:
    import torch

    from pointsam_model.fitting.cuts import cut_examples

    torch.set_num_threads(1)
    return work[0], cut_examples(work[0])


def _quality_examples(work: tuple[range, str, Path | None, bool]) -> tuple[range, Any]:
    import torch

    from pointsam_model import Predictor
    from pointsam_model.fitting.examples import quality_examples
    from pointsam_model.weights import load_network

    torch.set_num_threads(1)
    numbers, model, checkpoint, choose = work
    predictor = Predictor(load_network(model, checkpoint, device="cpu"))
    return numbers, quality_examples(predictor, numbers, _present(predictor) if choose else None)


def _present(predictor: Any) -> Any:
    """The current quality model; None if it cannot be read, since it is to be replaced."""
    from pointsam_model.errors import CheckpointError

    try:
        return predictor.quality
    except CheckpointError as error:
        console.print(f"{error}. Continuing as with --no-choose.")
        return None


def _fit_cuts(made: list[Any]) -> Any:
    from pointsam_model.fitting.cuts import fit_cuts

    return fit_cuts(made)


def _fit_quality(made: list[Any], any_network: bool) -> Any:
    from pointsam_model.fitting.quality import fit_quality

    return fit_quality(made, any_network=any_network)
