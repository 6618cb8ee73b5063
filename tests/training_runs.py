"""A small pool of generated scenes, and runs that start from the shipped weights on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pointsam_model.scenes import SceneConfig
from pointsam_model.training import TrainingConfig
from pointsam_model.training.config import Stage
from pointsam_model.training.pool import make_pool

STAGE = Stage(3, 256, 32, 8, 2, 3, 2, 1e-3)


def small_pool(folder: Path) -> Path:
    """One shard of four small scenes in a folder."""
    list(make_pool(folder, range(1), scenes=4, config=SceneConfig(width=120, height=90)))
    return folder


def run_from_shipped(pool: Path, output: Path, **more: Any) -> TrainingConfig:
    """A short run of the shipped network."""
    return TrainingConfig(
        model="tiny",
        start="tiny",
        pool=str(pool),
        output=str(output),
        stages=(STAGE,),
        bfloat16=False,
        warmup_steps=1,
        **more,
    )
