"""What each option of training is worth: each learns from the shipped weights for an equal time.

    pointsam pool runs/pool_looks --kind mixture --looks 1 --shards 120
    python -m benchmarks.quality.training_options --pool runs/pool_looks --minutes 6

Time is the CPU time of this process, on one thread, so other load on the machine does not count.
All options see the same scenes, in the same order, at the same learning rates. Those of the decoder
alone share the embeddings of their clouds, whose making counts in no option's time. A command that
was stopped goes on with the options that its output folder has no figures of.
"""

from __future__ import annotations

import dataclasses
import json
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from benchmarks.quality.option_figures import Figures
from benchmarks.quality.option_trials import NOT_TRAINED, OPTIONS, Option, Trials
from benchmarks.speed.machine import machine
from pointsam_model.training.config import TrainingConfig
from pointsam_model.training.memory import keep_freed_memory

HERE = Path(__file__).resolve().parents[2]
RECIPE = HERE / "config" / "training" / "tiny_campaign.yaml"
RESULTS = HERE / "runs" / "training_options"


def main(
    pool: Annotated[Path, typer.Option(help="generated scenes to learn from")],
    minutes: Annotated[float, typer.Option(min=0.0, help="CPU time of each option")] = 6.0,
    only: Annotated[list[str] | None, typer.Option(help="an option by name; repeatable")] = None,
    kept: Annotated[int, typer.Option(min=4, help="kept clouds for decoder-only runs")] = 512,
    clouds: Annotated[int, typer.Option(min=1, help="held-out clouds of each kind")] = 12,
    scenes: Annotated[int, typer.Option(min=2, help="scenes of each kind to draw from")] = 32,
    rate: Annotated[float, typer.Option(help="learning rate at the start")] = 4.0e-4,
    seed: Annotated[int, typer.Option(min=0, help="seed of batches and new weights")] = 5,
    output: Annotated[Path, typer.Option(help="folder of the numbers")] = RESULTS,
) -> None:
    """Tries the options of training `tiny`, each for as long, and says what they gave."""
    torch.set_num_threads(1)
    keep_freed_memory()
    console = Console()
    chosen = [option for option in OPTIONS if not only or option.name in only]
    if only and len(chosen) < len(set(only)):
        names = ", ".join(option.name for option in OPTIONS)
        raise typer.BadParameter(f"{', '.join(only)}: options are {names}", param_hint="--only")
    output.mkdir(parents=True, exist_ok=True)
    config = dataclasses.replace(_config(pool, kept, seed, output), validation_scenes=scenes)
    figures = Figures(output)
    about = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **machine(),
        "minutes": minutes,
        "learning_rate": rate,
        "training": dataclasses.asdict(config),
    }
    (output / "run.json").write_text(json.dumps(about, indent=1) + "\n")
    trials = Trials(config, rate, clouds)
    if not figures.has(NOT_TRAINED):
        figures.add(NOT_TRAINED, 0, 0.0, trials.measured(trials.network(Option(NOT_TRAINED))))
    for option in chosen:
        if figures.has(option.name):
            continue
        started = time.process_time()
        network, steps, seconds = trials.trained(option, minutes * 60)
        figures.add(option.name, steps, seconds, trials.measured(network))
        took = (time.process_time() - started) / 60
        console.print(f"{option.name}: {steps} steps; {took:.1f} CPU minutes with its figures")
    baselines = {option.name: option.baseline for option in OPTIONS}
    console.print(figures.table(baselines))
    console.print(f"numbers: {figures.write_summary(baselines)}")


def _config(pool: Path, kept: int, seed: int, output: Path) -> TrainingConfig:
    """The campaign's recipe without any of the options."""
    recipe = TrainingConfig.read(RECIPE)
    return dataclasses.replace(
        recipe,
        model="tiny",
        start="tiny",
        pool=str(pool),
        output=str(output),
        seed=seed,
        kept_clouds=kept,
        prompt_share=0.0,
        loss_points=512,
        refine_share=0.4,
        ema_decay=0.99,
    )


if __name__ == "__main__":
    typer.run(main)
