"""How many masks a second of one CPU core learns from, by the present recipe and by another.

    python -m benchmarks.speed.training                            # both with this checkout's code
    python -m benchmarks.speed.training --before CHECKOUT          # the other with that checkout's
    python -m benchmarks.speed.training --recipe my_recipe.yaml    # with a recipe of one's own

The two take turns step by step, each in a process of its own, so that whatever else the machine
does meets both. A mask learned from is one decoding of one object that gradients go through.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.speed.machine import machine
from benchmarks.speed.worker import HERE, ask, worker

RESULTS = HERE / "benchmarks" / "results"
OLD, NEW = "tiny_cpu_mixture.yaml", "tiny_campaign.yaml"


def main(
    before: Annotated[Path, typer.Option(help="checkout whose code runs the old recipe")] = HERE,
    recipe: Annotated[
        str, typer.Option(help="the new recipe: a name in config/training, or a file")
    ] = NEW,
    steps: Annotated[int, typer.Option(min=2, help="steps of each recipe")] = 24,
    scenes: Annotated[int, typer.Option(min=2, help="generated scenes to draw from")] = 32,
    output: Annotated[Path, typer.Option(help="folder of the numbers")] = RESULTS,
) -> None:
    """Measures the training of `tiny` on one core."""
    from pointsam_model.training.pool import make_pool

    started = datetime.now(timezone.utc)
    with TemporaryDirectory() as folder, ExitStack() as stack:
        pool = Path(folder) / "pool"
        list(make_pool(pool, range(1), kind="mixture", scenes=scenes))
        recipes = {
            OLD: stack.enter_context(_worker(before.resolve(), OLD, pool, before == HERE)),
            recipe: stack.enter_context(_worker(HERE, recipe, pool, True)),
        }
        seconds, masks = dict.fromkeys(recipes, 0.0), dict.fromkeys(recipes, 0)
        for step in range(-2, steps):  # the first ones of each are not counted
            for name, process in recipes.items():
                took, learned = _step(process, step + 2)
                if step >= 0:
                    seconds[name] += took
                    masks[name] += learned
    rate = {name: masks[name] / seconds[name] for name in recipes}
    table = Table("recipe", "code", "CPU s a step", "masks a step", "masks a CPU s", "ratio")
    for name in recipes:
        table.add_row(
            name,
            "that checkout's" if name == OLD and before != HERE else "this checkout's",
            f"{seconds[name] / steps:.2f}",
            f"{masks[name] / steps:.0f}",
            f"{rate[name]:.1f}",
            f"{rate[name] / rate[OLD]:.2f}",
        )
    Console().print(table)
    report = {
        "date": started.isoformat(timespec="seconds"),
        **machine(),
        "threads": 1,
        "recipes": {
            name: {"cpu_s": seconds[name], "masks": masks[name], "steps": steps} for name in recipes
        },
        "ratio": rate[recipe] / rate[OLD],
    }
    output.mkdir(parents=True, exist_ok=True)
    file = output / f"{started:%Y-%m-%dT%H%M%S}-training.json"
    file.write_text(json.dumps(report, indent=1) + "\n")
    print(f"numbers: {file}")


def _worker(
    checkout: Path, recipe: str, pool: Path, keep_freed_memory: bool
) -> AbstractContextManager[subprocess.Popen[str]]:
    """A process that takes steps with a checkout's package."""
    own = Path(recipe).resolve()
    config = str(own if own.exists() else HERE / "config" / "training" / recipe)
    arguments = [config, str(pool), str(keep_freed_memory).lower()]
    return worker(checkout, "training_worker.py", arguments)


def _step(process: subprocess.Popen[str], number: int) -> tuple[float, int]:
    """CPU seconds and masks of a step."""
    took, learned = ask(process, str(number)).split()
    return float(took), int(learned)


if __name__ == "__main__":
    typer.run(main)
