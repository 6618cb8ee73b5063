"""A small pool of generated scenes, and runs on it: of the shipped weights, and of a tiny network
that knows nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import places

from pointsam_model.config.model import ModelConfig
from pointsam_model.nn import PointSAM
from pointsam_model.scenes import SceneConfig
from pointsam_model.training import TrainingConfig
from pointsam_model.training.batches import Batch, draw_batch
from pointsam_model.training.config import Stage
from pointsam_model.training.initialise import initialise
from pointsam_model.training.pool import Pool, make_pool

TINY = places.TINY / "config.json"

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


def run_from_nothing(pool: Path, output: Path, stage: Stage, **more: Any) -> TrainingConfig:
    """A run of the tiny network that knows nothing yet."""
    return TrainingConfig(
        model=str(TINY),
        pool=str(pool),
        output=str(output),
        stages=(stage,),
        bfloat16=False,
        **more,
    )


def new_network() -> PointSAM:
    """That network, the same each time."""
    made = PointSAM(ModelConfig.from_json(TINY))
    initialise(made, 0)
    return made


def first_batch(config: TrainingConfig) -> Batch:
    """The batch that seed 0 draws for a run's first stage."""
    return draw_batch(Pool(config.pool), config.stages[0], config, np.random.default_rng(0))
