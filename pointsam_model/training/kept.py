"""Clouds whose embeddings are kept, for the decoder to learn alone."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pointsam_model.errors import ConfigError
from pointsam_model.nn import CloudEncoding, Patches, PointSAM
from pointsam_model.training.augmentation import coloured, moved, shown_points
from pointsam_model.training.batches import MOST_TRIES, Batch, Scenes, draw_batch, drawn_objects
from pointsam_model.training.config import Stage, TrainingConfig
from pointsam_model.training.step import encode

STREAM = 6_151  # of the generators that kept clouds are drawn by


class Lesson(NamedTuple):
    """A batch, and the kept encoding of its clouds; None where the encoder learns."""

    batch: Batch
    kept: CloudEncoding | None


class Lessons:
    """The batches that a run learns from, of kept clouds where its config says so."""

    def __init__(self, scenes: Scenes, config: TrainingConfig, network: PointSAM) -> None:
        self.scenes, self.config, self.network = scenes, config, network
        self._kept: KeptClouds | None = None

    def draw(self, stage: Stage, rng: np.random.Generator) -> Lesson:
        """The next batch of a stage; kept clouds of another stage's size are let go."""
        if not self.config.kept_clouds:
            return Lesson(draw_batch(self.scenes, stage, self.config, rng), None)
        if self._kept is None or self._kept.stage != stage:
            self._kept = KeptClouds(self.scenes, stage, self.config, self.network)
        return self._kept.draw(rng)


@dataclass(frozen=True)
class KeptCloud:
    """A cloud as one draw of the augmentation shows it, and what the encoder makes of it.

    Attributes:
        coords, features: (n, 3) float32.
        instance, part: (n,) of which objects are drawn anew each time.
        encoding: of this one cloud, without gradients.
    """

    coords: np.ndarray
    features: np.ndarray
    instance: np.ndarray
    part: np.ndarray
    encoding: CloudEncoding


class KeptClouds:
    """`config.kept_clouds` clouds, each embedded once, when it is first drawn.

    The encoder must not change any more: then an embedding is as good as new, and a step costs what
    the decoder costs. What it takes is memory, and variety: poses, colours, crops and the choice of
    points are drawn once a cloud; objects, clicks and mask prompts are drawn anew in every batch.

    A cloud holds about 20 L K + 64 N bytes of geometry and 6 L D bytes of encodings (8 L D without
    bfloat16), most of it on the device of the network: for `tiny` at N = 2,048, L = 512, K = 24 and
    D = 128 0.8 MB, so 512 clouds 0.4 GB; for `large` at N = 10,000, L = 512, K = 64 and D = 256
    2.1 MB.

    Args:
        scenes: what they are drawn from. Number i is drawn by the seed and i alone, so a resumed
            run has the same ones, if the scenes are the same.
        stage: how large they are, and how many make a batch.
    """

    def __init__(
        self, scenes: Scenes, stage: Stage, config: TrainingConfig, network: PointSAM
    ) -> None:
        self.scenes, self.stage, self.config, self.network = scenes, stage, config, network
        self._clouds: dict[int, KeptCloud] = {}

    def __getitem__(self, number: int) -> KeptCloud:
        """Embedded now if it was not before."""
        if number not in self._clouds:
            self._clouds[number] = self._embedded(number)
        return self._clouds[number]

    def draw(self, rng: np.random.Generator) -> Lesson:
        """A batch of kept clouds, all different where there are enough, with objects of its own."""
        count, kept = self.stage.clouds, self.config.kept_clouds
        numbers = rng.choice(kept, count, replace=kept < count)
        clouds = [self[int(number)] for number in numbers]
        masks = self.stage.masks
        truth = [drawn_objects(cloud.instance, cloud.part, masks, rng) for cloud in clouds]
        batch = Batch(
            np.stack([cloud.coords for cloud in clouds]),
            np.stack([cloud.features for cloud in clouds]),
            np.stack([objects for objects in truth if objects is not None]),
            np.stack([cloud.instance >= 0 for cloud in clouds]),
        )
        return Lesson(batch, _together([cloud.encoding for cloud in clouds]))

    def _embedded(self, number: int) -> KeptCloud:
        rng = np.random.default_rng([self.config.seed, STREAM, number])
        for _ in range(MOST_TRIES):
            scene = self.scenes[int(rng.integers(len(self.scenes)))]
            rows = shown_points(scene, self.stage.points, self.stage.patches, self.config, rng)
            instance, part = scene.instance[rows], scene.finest[rows]
            objects = drawn_objects(instance, part, 1, rng)
            if objects is None:
                continue
            coords = moved(scene.xyz[rows], scene.up, self.config, rng)
            features = coloured(scene, rows, self.config, rng)
            alone = Batch(coords[None], features[None], objects[None], (instance >= 0)[None])
            with torch.no_grad():
                encoding = encode(self.network, alone, self.stage, self.config)
            return KeptCloud(coords, features, instance, part, encoding)
        raise ConfigError(
            f"{MOST_TRIES} scenes in a row have no object large enough to keep: give clouds with "
            "larger objects, or stages with more points"
        )


def _together(encodings: list[CloudEncoding]) -> CloudEncoding:
    """Encodings of one cloud each as that of a batch."""

    def joined(values: list[Tensor]) -> Tensor:
        return torch.cat(values)

    patches = Patches(
        *(
            joined([getattr(encoding.patches, field.name) for encoding in encodings])
            for field in fields(Patches)
        )
    )
    return CloudEncoding(
        patches,
        joined([encoding.embedding for encoding in encodings]),
        joined([encoding.position for encoding in encodings]),
    )
