"""Validation: the averaged weights on clouds that no step has seen, the same ones every time."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch

from pointsam_model.nn import PointSAM
from pointsam_model.scenes import KINDS
from pointsam_model.training.batches import Scenes, draw_batch
from pointsam_model.training.config import Stage, TrainingConfig
from pointsam_model.training.labelled import LabelledClouds
from pointsam_model.training.pool import Pool, make_pool
from pointsam_model.training.step import StepReport, encode, look

HELD_OUT = range(99_999, 100_000)  # the shard whose seeds lie beyond those of any pool
EACH = "each"  # kind of scenes: all that have objects, each on its own
WITHOUT_OBJECTS = "empty"
MOST_MASKS = 8  # of a cloud, of which none is likely to be there twice


class Validation:
    """Rolls out a fixed set of batches without learning.

    Args:
        config: of the run; its `validation` says on what. Generated scenes are made once, in the
            run's folder.
        device: where they are made.
    """

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        # As the evaluation: clicks in the middle, colours where there are any, no crops.
        self.config = dataclasses.replace(
            config,
            center_clicks=1.0,
            click_candidates=0,
            no_colour=0.0,
            crops=0.0,
            repeats=False,
            refine_masks=0,
            prompt_share=0.0,
        )
        self.scenes = self._scenes(device)

    def _scenes(self, device: torch.device) -> dict[str, Scenes]:
        """By kind."""
        config = self.config
        if config.validation:
            most_points = max(stage.points for stage in config.stages)
            return {"labelled": LabelledClouds(config.validation, most_points, config.up)}
        if config.validation_kind == EACH:
            kinds = [kind for kind in KINDS if kind != WITHOUT_OBJECTS]
            return {kind: self._generated(kind, kind, device) for kind in kinds}
        return {config.validation_kind: self._generated(config.validation_kind, "", device)}

    def _generated(self, kind: str, name: str, device: torch.device) -> Scenes:
        folder = Path(self.config.output) / "validation" / name
        for _ in make_pool(
            folder,
            HELD_OUT,
            kind=kind,
            scenes=self.config.validation_scenes,
            looks=self.config.validation_looks,
            device=str(device),
        ):
            pass
        return Pool(folder)

    @torch.no_grad()
    def measure(self, network: PointSAM, stage: Stage) -> dict[str, StepReport]:
        """Means over `validation_scenes` clouds of each kind, of the stage's size and clicks."""
        masks = min(stage.masks, MOST_MASKS)
        stage = dataclasses.replace(stage, masks=masks, decoder_steps=1)
        return {kind: self._measure(network, stage, scenes) for kind, scenes in self.scenes.items()}

    def _measure(self, network: PointSAM, stage: Stage, scenes: Scenes) -> StepReport:
        rng = np.random.default_rng(0)
        reports = []
        for _ in range(max(1, self.config.validation_scenes // stage.clouds)):
            batch = draw_batch(scenes, stage, self.config, rng)
            encoding = encode(network, batch, stage, self.config)
            iterations = 1 + stage.refinements
            reports.append(look(network, encoding, batch, iterations, self.config, rng))
        return StepReport.mean(reports)
