"""The training loop."""

from __future__ import annotations

import dataclasses
import json
import platform
import shlex
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pointsam_model.config.model import WEIGHTS, preset
from pointsam_model.errors import ConfigError
from pointsam_model.nn import PointSAM
from pointsam_model.training.batches import Scenes, drawn_ahead
from pointsam_model.training.config import TrainingConfig
from pointsam_model.training.growing import grown
from pointsam_model.training.initialise import initialise
from pointsam_model.training.kept import Lesson, Lessons
from pointsam_model.training.labelled import LabelledClouds
from pointsam_model.training.log import CsvLog
from pointsam_model.training.pool import Pool
from pointsam_model.training.state import TrainingState
from pointsam_model.training.step import StepReport, learn
from pointsam_model.training.validation import Validation
from pointsam_model.weights.loading import find_device
from pointsam_model.weights.saving import save_checkpoint

REFRESH_EVERY = 100  # steps between looks for new scenes in the pool
MEASURES = [field.name for field in dataclasses.fields(StepReport)]


def train(
    config: TrainingConfig,
    *,
    device: str = "cpu",
    report: Callable[[int, StepReport], None] | None = None,
) -> PointSAM:
    """Trains until the last stage ends; a run that was stopped at any moment goes on.

    Every step draws from its own generator, so a resumed run sees what it would have seen.

    Args:
        report: called after every step, to show progress.

    Raises:
        ConfigError, CloudError, CheckpointError: a run that cannot start.

    Returns:
        The network with averaged weights; also written to `output/model.safetensors`.
    """
    config.check()
    where = find_device(device)
    scenes = _scenes(config)
    network = _network(config, where)
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    state = TrainingState.resume(network, config, output / "state.safetensors")
    validation = Validation(config, where) if config.validate_every else None
    log = CsvLog(output / "log.csv", ["step", "seconds", "learning_rate", *MEASURES], state.step)
    validation_log = CsvLog(output / "validation.csv", ["steps", *MEASURES, "kind"], state.step + 1)
    saved = time.monotonic()

    lessons = Lessons(scenes, config, network)

    def draw(step: int) -> tuple[list[Lesson], np.random.Generator]:
        if step % REFRESH_EVERY == 0:
            scenes.refresh()
        rng = np.random.default_rng([config.seed, step])
        stage, _ = config.stage_at(step)
        return [lessons.draw(stage, rng) for _ in range(stage.accumulate)], rng

    steps = range(state.step, config.steps)
    for step, (drawn, rng) in zip(steps, drawn_ahead(draw, steps), strict=True):
        started = time.monotonic()
        stage, rate = config.stage_at(step)
        between = partial(state.descend, rate)
        seen = StepReport.mean(
            [learn(network, batch, stage, config, rng, kept, between) for batch, kept in drawn]
        )
        state.update(rate)
        state.seconds += time.monotonic() - started
        log.write(step, [f"{state.seconds:.1f}", f"{rate:.2e}", *_row(seen)])
        if validation and (state.step % config.validate_every == 0 or state.step == config.steps):
            held_out = validation.measure(state.averaged(), stage)
            mean = StepReport.mean(list(held_out.values()))
            state.validation = {"steps": state.step, **vars(mean)}
            for kind, one in held_out.items():
                validation_log.write(state.step, [*_row(one), kind])
        if report:
            report(step, seen)
        if time.monotonic() - saved > config.save_every_s:
            state.save()
            _save_checkpoint(state, config, output)
            saved = time.monotonic()
    state.save()
    log.close()
    validation_log.close()
    return _save_checkpoint(state, config, output)


def _scenes(config: TrainingConfig) -> Scenes:
    most_points = max(stage.points for stage in config.stages)
    if config.data:
        return LabelledClouds(config.data, most_points, config.up)
    pool = Pool(config.pool)
    if most_points > pool.points:
        raise ConfigError(
            f"a stage uses {most_points} points of a cloud, the scenes in {config.pool} have "
            f"{pool.points}"
        )
    return pool


def _network(config: TrainingConfig, device: torch.device) -> PointSAM:
    model = preset(config.model)
    if not config.start:
        network = PointSAM(model)
        initialise(network, config.seed)
        return network.to(device).train()
    path = WEIGHTS / "tiny.safetensors" if config.start == "tiny" else Path(config.start)
    return grown(model, path, config.seed).to(device).train()


def _row(report: StepReport) -> list[str]:
    return [f"{value:.4f}" for value in vars(report).values()]


def _save_checkpoint(state: TrainingState, config: TrainingConfig, output: Path) -> PointSAM:
    network = state.averaged()
    device = state.network.device
    cuda = device.type == "cuda"
    about = {
        "command": shlex.join(sys.argv),
        "seed": str(config.seed),
        "steps": str(state.step),
        "seconds": f"{state.seconds:.0f}",
        "device": torch.cuda.get_device_name(device) if cuda else platform.machine(),
        "training": json.dumps(dataclasses.asdict(config)),
        "validation": json.dumps(state.validation),
    }
    save_checkpoint(network, output / "model.safetensors", dtype=torch.float16, about=about)
    return network
