"""What a training run is made of; its YAML form is what `pointsam train` reads."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pointsam_model.errors import ConfigError


@dataclass(frozen=True)
class Stage:
    """A stretch of training with clouds of one size.

    Attributes:
        steps: optimiser steps.
        points, patches, patch_size: N, L, K of the clouds.
        clouds, masks: clouds in a step, and objects in each of them.
        refinements: most clicks after the first; each step draws how many, at least one.
        learning_rate: at its start; it falls linearly to `final_learning_rate`.
        only_iou: only the head that predicts IoUs learns, the masks stay as they are.
    """

    steps: int
    points: int
    patches: int
    patch_size: int
    clouds: int
    masks: int
    refinements: int
    learning_rate: float
    final_learning_rate: float
    only_iou: bool = False


@dataclass(frozen=True)
class TrainingConfig:
    """A whole run.

    Attributes:
        model: path of the model's JSON config.
        pool: folder of generated scenes (`pointsam pool`).
        output: folder for the run's state and checkpoints.
        stages: one after the other.
        start: checkpoint to start from; empty: the initialisation of `initialise`.
        focal, dice, iou: weights of the losses.
        chosen_mask: weight of the first click's mask that the predicted IoU chooses, beside the
            weight 1 of the best one.
        other_masks: weight of all three of them.
        center_clicks: share of clicks put in the middle of their region, the rest anywhere in it.
        no_colour: share of clouds that are shown without colour.
        upright: share of clouds turned to stand on the z or y axis; the rest stay as the camera
            saw them, turned a little.
    """

    model: str
    pool: str
    output: str
    stages: tuple[Stage, ...]
    start: str = ""
    seed: int = 0
    warmup_steps: int = 200
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    bfloat16: bool = True
    focal: float = 1.0
    dice: float = 2.0
    iou: float = 4.0
    chosen_mask: float = 1.0
    other_masks: float = 0.05
    center_clicks: float = 0.7
    no_colour: float = 0.15
    upright: float = 0.35
    save_every_s: float = 120.0

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> tuple[Stage, float]:
        """The stage of a step and the learning rate there."""
        first = 0
        for stage in self.stages:
            if step < first + stage.steps:
                part = (step - first) / stage.steps
                rate = (1 - part) * stage.learning_rate + part * stage.final_learning_rate
                return stage, rate * min(1.0, (step + 1) / self.warmup_steps)
            first += stage.steps
        return self.stages[-1], self.stages[-1].final_learning_rate

    @classmethod
    def read(cls, path: str | Path) -> TrainingConfig:
        """Reads a YAML file.

        Raises:
            ConfigError: not readable, an unknown key, or a missing one.
        """
        try:
            values: Any = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
            stages = tuple(Stage(**stage) for stage in values.pop("stages"))
            config = cls(stages=stages, **values)
        except (OSError, yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(f"cannot read the training config {path}: {error}") from error
        for field in dataclasses.fields(cls):
            value, default = getattr(config, field.name), field.default
            if isinstance(default, float) and not isinstance(value, (int, float)):
                raise ConfigError(f"{path}: {field.name} is {value!r}; it takes a number")
        return config

    def check(self) -> None:
        """Refuses a run that cannot start.

        Raises:
            ConfigError: says which value is wrong.
        """
        for number, stage in enumerate(self.stages):
            if stage.patches > stage.points or stage.patch_size > stage.points:
                raise ConfigError(f"stage {number}: patches and patch_size must be at most points")
            if min(stage.steps, stage.clouds, stage.masks, stage.refinements) < 1:
                raise ConfigError(f"stage {number}: steps, clouds, masks, refinements: at least 1")
