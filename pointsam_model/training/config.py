"""What a training run is made of; its YAML form is what `pointsam train` reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from pointsam_model.config.building import built
from pointsam_model.errors import ConfigError

DECAYS = ((0.9, 0.01), (0.6, 0.1))  # from this part of a stage on, the rate times this (paper, A)
COUNTS = (
    "steps",
    "clouds",
    "masks",
    "refinements",
    "accumulate",
    "decoder_steps",
    "patches",
)
SHARES = (
    "refine_share",
    "prompt_share",
    "center_clicks",
    "no_colour",
    "upright",
    "y_up",
    "mirror",
    "crops",
    "ema_decay",
)


@dataclass(frozen=True)
class Stage:
    """A stretch of training with clouds of one size.

    Attributes:
        steps: optimiser steps.
        points, patches, patch_size: N, L, K of the clouds.
        clouds, masks: clouds in a batch, and objects in each of them.
        refinements: most iterations after the first click.
        learning_rate: at its start.
        final_learning_rate: the rate falls linearly to it; None: it stays and falls to a tenth
            after 60 % of the steps and to a hundredth after 90 %, as published.
        draw_refinements: each batch draws how many iterations, at least one; False: always all.
        accumulate: batches whose gradients make one step.
        decoder_steps: optimiser steps that all but the encoder takes on each batch of clouds, each
            with objects of its own, while the clouds stay embedded as they are; the encoder then
            takes one, with the mean of their gradients.
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
    final_learning_rate: float | None = None
    draw_refinements: bool = True
    accumulate: int = 1
    decoder_steps: int = 1
    only_iou: bool = False

    def rate_at(self, part: float) -> float:
        """The learning rate after a part (0 to 1) of the stage, without warm-up."""
        if self.final_learning_rate is not None:
            return (1 - part) * self.learning_rate + part * self.final_learning_rate
        fallen = next((factor for start, factor in DECAYS if part >= start), 1.0)
        return self.learning_rate * fallen


@dataclass(frozen=True)
class TrainingConfig:
    """A whole run.

    Attributes:
        model: tiny, large, giant, or the path of a model's JSON config.
        output: folder for the run's state, logs and checkpoint.
        stages: one after the other.
        pool: folder of generated scenes (`pointsam pool`) to learn from, or
        data: folder of labelled clouds (.npz) to learn from.
        up: direction against gravity in the clouds of `data`; empty: not known.
        start: checkpoint to start from; `tiny`: the shipped one; empty: the initialisation of
            `initialise`.
        weight_decay, clip_norm: of AdamW, and the greatest norm of a step's gradient.
        ema_decay: of the average of the weights over the steps, which is what a run leaves.
        kept_clouds: the decoder learns alone, on so many clouds that are drawn and embedded once
            and kept in memory (`kept.KeptClouds` says how much); 0: the encoder learns too.
        bfloat16: matrix products in bfloat16; weights and their updates stay float32.
        focal, dice, iou: weights of the losses.
        chosen_mask: weight of the first click's mask that the predicted IoU chooses, beside the
            weight 1 of the best one.
        other_masks: weight of all three of them.
        all_ious: the IoUs of all the first click's masks are learned; False: of the best alone.
        repeats: one iteration drawn at random and the last show the mask again without a new click.
        refine_share: share of batches that go on after the first click, which is what costs most.
        refine_masks: objects of each cloud that do; 0: all.
        click_masks: weight of the masks that each click on the object gives on its own, decoded
            from the click's token beside the mask of all of them (SNAP); 0: none.
        prompt_share: share of batches whose refined objects are learned once more from a mask
            prompt that is not the network's: the truth, damaged (`mask_prompts`).
        loss_points: points of each mask that its loss is computed at, half of them on the object;
            0: all.
        center_clicks: share of clicks put in the middle of their region, the rest anywhere in it.
        click_candidates: points among which that middle is looked for, drawn anew for each click;
            0: all. Only on a CPU; a GPU always looks at all.
        no_colour: share of clouds that are shown without colour.
        upright: share of clouds turned to stand upright and about the up axis by any angle; the
            rest, and clouds whose `up` is not known, stay as the sensor saw them, turned a little.
        y_up: share of the upright clouds whose up axis is y, as in CAD models; else it is z.
        mirror: share of clouds that are mirrored.
        crops: share of clouds cut to the surroundings of one object.
        validate_every: steps between validations; 0: never.
        validation: folder of labelled clouds to validate on; empty: generated scenes that no pool
            holds, of the kind
        validation_kind: as of `pointsam pool`, or `each`: every kind on its own.
        validation_looks: as `looks` of `pointsam pool`.
        validation_scenes: clouds looked at in a validation, of each kind.
        save_every_s: seconds between states a run can go on from.
    """

    model: str
    output: str
    stages: tuple[Stage, ...]
    pool: str = ""
    data: str = ""
    up: tuple[float, ...] = ()
    start: str = ""
    seed: int = 0
    warmup_steps: int = 200
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    kept_clouds: int = 0
    bfloat16: bool = True
    focal: float = 1.0
    dice: float = 2.0
    iou: float = 4.0
    chosen_mask: float = 1.0
    other_masks: float = 0.05
    all_ious: bool = True
    repeats: bool = False
    refine_share: float = 1.0
    refine_masks: int = 0
    click_masks: float = 0.0
    prompt_share: float = 0.0
    loss_points: int = 0
    center_clicks: float = 0.7
    click_candidates: int = 0
    no_colour: float = 0.15
    upright: float = 0.35
    y_up: float = 0.4
    mirror: float = 0.5
    crops: float = 0.0
    validate_every: int = 0
    validation: str = ""
    validation_kind: str = "tabletop"
    validation_looks: int = 0
    validation_scenes: int = 64
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
                warm = min(1.0, (step + 1) / max(self.warmup_steps, 1))
                return stage, stage.rate_at((step - first) / stage.steps) * warm
            first += stage.steps
        raise IndexError(f"step {step} of a run of {self.steps}")

    @classmethod
    def read(cls, path: str | Path, **changes: str) -> TrainingConfig:
        """Reads a YAML file.

        Args:
            changes: keys whose values win over the file's.

        Raises:
            ConfigError: not readable, an unknown key, a missing one, or a value of another type.
        """
        try:
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"cannot read the training config {path}: {error}") from error
        if not isinstance(values, dict) or not isinstance(values.get("stages"), list):
            raise ConfigError(f"{path} is not a training config: it needs a list of stages")
        return built(cls, {**values, **changes}, str(path))

    def check(self) -> None:
        """Refuses a run that cannot start.

        Raises:
            ConfigError: says which value is wrong.
        """
        if bool(self.pool) == bool(self.data):
            raise ConfigError("a run learns from pool (generated scenes) or from data (your own)")
        if not self.stages:
            raise ConfigError("stages is empty: a run has at least one")
        if len(self.up) not in (0, 3) or (self.up and not any(self.up)):
            raise ConfigError(f"up is {list(self.up)}; it takes x, y, z of a direction, or nothing")
        if self.kept_clouds < 0 or (self.kept_clouds and not self.start):
            raise ConfigError(
                f"kept_clouds is {self.kept_clouds}; it takes 0 or more, and above 0 needs start, "
                "a checkpoint whose encoder is used unchanged"
            )
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it takes 0 to 1")
        for number, stage in enumerate(self.stages):
            if stage.patches > stage.points or stage.patch_size > stage.points:
                raise ConfigError(f"stage {number}: patches and patch_size must be at most points")
            for name in COUNTS:
                if getattr(stage, name) < 1:
                    raise ConfigError(f"stage {number}: {name} must be at least 1")
            if stage.decoder_steps > 1 and (stage.accumulate > 1 or self.kept_clouds):
                raise ConfigError(
                    f"stage {number}: decoder_steps above 1 takes clouds that the encoder learns "
                    "from, of one batch a step: kept_clouds 0 and accumulate 1"
                )
