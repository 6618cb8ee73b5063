"""`pointsam train`: trains a checkpoint on generated scenes or on a user's labelled clouds."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointsam_model.cli.options import LABELLED, DeviceName, progress, refusals, tell_written

if TYPE_CHECKING:
    from pointsam_model.training import StepReport

RECENT = 50  # steps averaged for the progress bar's figures


def train(
    config: Annotated[Path, typer.Argument(help="a training config, as in config/training/")],
    data: Annotated[str, typer.Option(help=f"labelled clouds to learn from: {LABELLED}")] = "",
    model: Annotated[str, typer.Option(help="tiny, large, giant, or a model's JSON")] = "",
    start: Annotated[
        str, typer.Option(help="checkpoint to start from; tiny: the shipped one")
    ] = "",
    output: Annotated[str, typer.Option(help="folder for state, logs and checkpoint")] = "",
    device: DeviceName = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all cores")] = 0,
) -> None:
    """Trains a checkpoint; a stopped run resumes where it left off.

    Options override the config.
    """
    import torch

    from pointsam_model.training import TrainingConfig
    from pointsam_model.training import train as run
    from pointsam_model.training.memory import keep_freed_memory

    keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    given = {"data": data, "model": model, "start": start, "output": output}
    with refusals(), progress() as bar:
        changes = {name: value for name, value in given.items() if value}
        settings = TrainingConfig.read(config, **changes)
        task = bar.add_task("steps", total=settings.steps)
        recent: deque[StepReport] = deque(maxlen=RECENT)

        def show(step: int, report: StepReport) -> None:
            recent.append(report)
            seen = type(report).mean(recent)
            text = (
                f"steps (IoU chosen {seen.chosen:.2f}, best of 3 {seen.best:.2f}, "
                f"last click {seen.last:.2f})"
            )
            bar.update(task, completed=step + 1, description=text)

        run(settings, device=device, report=show)
    tell_written("checkpoint", Path(settings.output) / "model.safetensors")
