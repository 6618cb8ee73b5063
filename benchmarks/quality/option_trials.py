"""Trials of `training_options`: training for so long, and measuring what came of it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pointsam_model.config.model import WEIGHTS, preset
from pointsam_model.nn import PointSAM
from pointsam_model.training.batches import Batch, draw_batch
from pointsam_model.training.clicks import Choice
from pointsam_model.training.config import Stage, TrainingConfig
from pointsam_model.training.growing import grown
from pointsam_model.training.kept import KeptClouds, Lesson
from pointsam_model.training.losses import mask_iou
from pointsam_model.training.mask_prompts import mask_prompts
from pointsam_model.training.masks import Masks
from pointsam_model.training.pool import Pool
from pointsam_model.training.rollout import rollout
from pointsam_model.training.state import TrainingState
from pointsam_model.training.step import encode, learn
from pointsam_model.training.validation import Validation

NOT_TRAINED, NONE, ENCODER = "not trained", "none", "encoder"
WARM_UP = 20  # steps
CLICKS = 5
OBJECTS = 4  # of a held-out cloud, fewer where they are the same


@dataclass(frozen=True)
class Option:
    """A change of the recipe.

    Attributes:
        name: what it is called in the table.
        model, training, stage: fields of ModelConfig, TrainingConfig and Stage that it changes.
        encoder: whether the encoder learns too.
    """

    name: str
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    stage: dict[str, Any] = field(default_factory=dict)
    encoder: bool = False

    @property
    def baseline(self) -> str:
        """What it is compared with: nothing changed, and as much of the network learning."""
        return ENCODER if self.encoder else NONE


OPTIONS = (
    Option(NONE),
    Option("click features", {"click_features": True}),
    Option("relative positions", {"relative_positions": True}),
    Option("negative masks", {"negative_masks": True}),
    Option("mask prompts", training={"prompt_share": 0.5}),
    Option("click masks", training={"click_masks": 0.25}),
    Option(ENCODER, encoder=True),
    Option("encoder, surface features", {"surface_features": True}, encoder=True),
    Option("none, another seed", training={"seed": 6}),  # how much is chance
    Option("click masks, full weight", training={"click_masks": 1.0}),
    Option("encoder, 2 decoder steps", stage={"decoder_steps": 2}, encoder=True),
    Option("every batch refined", training={"refine_share": 1.0}),
    Option("all points judged", training={"loss_points": 0}),
    Option("encoder, click features", {"click_features": True}, encoder=True),
)


class Measured(NamedTuple):
    """One held-out object.

    Attributes:
        kind, cloud: where it is; objects of a cloud are no independent samples.
        best1: IoU of the best of the first click's three masks.
        iou1, iou3, iou5: after so many clicks, of the mask of highest predicted IoU.
        given, prompted: of a damaged truth as mask prompt, and of the answer to it and its clicks.
    """

    kind: str
    cloud: int
    best1: float
    iou1: float
    iou3: float
    iou5: float
    given: float
    prompted: float


class Trials:
    """Trials that share scenes, order, rates and the kept clouds.

    Args:
        config: the recipe, of one stage, with `kept_clouds`.
        rate: learning rate after the warm-up, which falls to 0 in a line over the time.
        clouds: held-out ones of each kind.
    """

    def __init__(self, config: TrainingConfig, rate: float, clouds: int) -> None:
        self.config, self.rate, self.clouds = config, rate, clouds
        (self.stage,) = config.stages
        self.pool = Pool(config.pool)
        self.validation = Validation(config, torch.device("cpu"))

    @cached_property
    def kept(self) -> KeptClouds:
        """Clouds as the shipped encoder embeds them, all of them done."""
        network = self.network(Option(NOT_TRAINED))
        kept = KeptClouds(self.pool, self.stage, self.config, network)
        for number in range(self.config.kept_clouds):
            kept[number]
        return kept

    def network(self, option: Option) -> PointSAM:
        """The shipped weights, with the option's new parts giving nothing yet."""
        model = dataclasses.replace(preset("tiny"), **option.model)
        return grown(model, WEIGHTS / "tiny.safetensors", self.config.seed)

    def trained(self, option: Option, seconds: float) -> tuple[PointSAM, int, float]:
        """The averaged weights after so many CPU seconds, the steps and the seconds they took."""
        config = dataclasses.replace(self.config, **option.training)
        stage = dataclasses.replace(self.stage, **option.stage)
        network = self.network(option).train()
        with TemporaryDirectory() as folder:
            state = TrainingState.resume(network, config, Path(folder) / "state.safetensors")
        draw = partial(self._new, stage) if option.encoder else self.kept.draw
        spent = 0.0
        while spent < seconds:
            started = time.process_time()
            rng = np.random.default_rng([config.seed, state.step])
            batch, kept = draw(rng)
            rate = self.rate * min(1.0, (state.step + 1) / WARM_UP) * (1 - spent / seconds)
            learn(network, batch, stage, config, rng, kept, partial(state.descend, rate))
            state.update(rate)
            spent += time.process_time() - started
        return state.averaged(), state.step, spent

    def _new(self, stage: Stage, rng: np.random.Generator) -> Lesson:
        return Lesson(draw_batch(self.pool, stage, self.config, rng), None)

    @torch.no_grad()
    def measured(self, network: PointSAM) -> Iterator[Measured]:
        """Objects of clouds that no pool holds, always the same, clicked as an evaluation does."""
        network = network.eval()
        stage = dataclasses.replace(self.stage, clouds=1, masks=OBJECTS)
        config = self.validation.config
        for kind, scenes in self.validation.scenes.items():
            for cloud in range(self.clouds):
                rng = np.random.default_rng([0, cloud])
                batch = draw_batch(scenes, stage, config, rng)
                yield from _measured(network, batch, kind, cloud, stage, config)


def _measured(
    network: PointSAM, batch: Batch, kind: str, cloud: int, stage: Stage, config: TrainingConfig
) -> Iterator[Measured]:
    """Of the objects of a batch of one cloud, each once."""
    encoding = encode(network, batch, stage, config)
    truth = torch.from_numpy(batch.truth)
    rng = np.random.default_rng(0)
    first, *later = rollout(network, encoding, batch, CLICKS, rng, config)
    of_click = [_chosen(first), *(_chosen(masks) for masks in later)]
    best = mask_iou(first.logits, first.truth, first.weight).amax(-1)[0]
    prompt = mask_prompts(batch, OBJECTS, np.random.default_rng(cloud), Choice(rng, 1.0))
    (answer,) = rollout(network, encoding, batch, 1, rng, config, prompt)
    given = mask_iou(torch.from_numpy(prompt.logits), truth, first.weight[:, :, 0])[0]
    _, distinct = np.unique(batch.truth[0], axis=0, return_index=True)
    columns = best, of_click[0], of_click[2], of_click[4], given, _chosen(answer)
    for number in sorted(distinct):
        yield Measured(kind, cloud, *(float(column[number]) for column in columns))


def _chosen(masks: Masks) -> Tensor:
    """(m,) IoUs, in the only cloud, of the masks of highest predicted IoU."""
    ious = mask_iou(masks.logits, masks.truth, masks.weight)
    return ious.take_along_dim(masks.predicted.argmax(-1, keepdim=True), -1)[0, :, 0]
