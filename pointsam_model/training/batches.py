"""Batches: clouds drawn from the scenes, augmented, each with a few objects to segment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np

from pointsam_model.data.clouds import LabelledCloud
from pointsam_model.errors import ConfigError
from pointsam_model.training.augmentation import coloured, moved, shown_points
from pointsam_model.training.config import Stage, TrainingConfig

PART_SHARE = 0.12  # masks that are a part of an object; most are whole objects
SUPPORT_SHARE = 0.03  # masks that are what the objects stand on
FEWEST_POINTS = 6  # of an object in the drawn cloud
MOST_TRIES = 200  # for each cloud of a batch


class Scenes(Protocol):
    """What a run learns from: `Pool` or `LabelledClouds`."""

    def __len__(self) -> int:
        """How many scenes there are."""

    def __getitem__(self, row: int) -> LabelledCloud:
        """One of them."""

    def refresh(self) -> None:
        """Looks for new ones."""


@dataclass(frozen=True)
class Batch:
    """b clouds of n points with m objects each, or m objects for each step of the decoder.

    Attributes:
        coords: (b, n, 3) float32 in the unit sphere.
        features: (b, n, 3) float32 in [-1, 1].
        truth: (b, m, n) bool.
        counted: (b, n) bool, points whose label is known.
    """

    coords: np.ndarray
    features: np.ndarray
    truth: np.ndarray
    counted: np.ndarray

    def objects(self, first: int, count: int) -> Batch:
        """With `count` of the objects of each cloud alone, from number `first` on."""
        return replace(self, truth=self.truth[:, first : first + count])


def draw_batch(
    scenes: Scenes, stage: Stage, config: TrainingConfig, rng: np.random.Generator
) -> Batch:
    """Draws a batch; the same generator state gives the same batch of the same scenes.

    Raises:
        ConfigError: hardly any scene shows an object.
    """
    drawn: list[tuple[np.ndarray, ...]] = []
    for _ in range(MOST_TRIES * stage.clouds):
        scene = scenes[int(rng.integers(len(scenes)))]
        rows = shown_points(scene, stage.points, stage.patches, config, rng)
        instance, part = scene.instance[rows], scene.finest[rows]
        of_steps = [
            drawn_objects(instance, part, stage.masks, rng) for _ in range(stage.decoder_steps)
        ]
        truth = [objects for objects in of_steps if objects is not None]
        if not truth:
            continue
        coords = moved(scene.xyz[rows], scene.up, config, rng)
        features = coloured(scene, rows, config, rng)
        drawn.append((coords, features, np.concatenate(truth), instance >= 0))
        if len(drawn) == stage.clouds:
            return Batch(*(np.stack(arrays) for arrays in zip(*drawn, strict=True)))
    raise ConfigError(
        f"of {stage.points} points of a cloud, hardly ever {FEWEST_POINTS} are of one object: "
        "give clouds with larger objects, or stages with more points"
    )


Drawn = TypeVar("Drawn")


def drawn_ahead(draw: Callable[[int], Drawn], steps: range) -> Iterator[Drawn]:
    """`draw` of each step, the next one at work while the last one is used."""
    with ThreadPoolExecutor(1, "pointsam_batches") as drawer:
        ahead = [drawer.submit(draw, step) for step in steps[:1]]
        for step in steps:
            now = ahead.pop().result()
            if step + 1 in steps:
                ahead.append(drawer.submit(draw, step + 1))
            yield now


def drawn_objects(
    instance: np.ndarray, part: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray | None:
    """Objects of a cloud, drawn by the square root of their size, large ones more often.

    Args:
        instance, part: (n,) numbers of each point's object and part.

    Returns:
        (count, n) bool; None where no object has enough points.
    """
    ids, sizes = np.unique(instance[instance > 0], return_counts=True)
    ids, sizes = ids[sizes >= FEWEST_POINTS], sizes[sizes >= FEWEST_POINTS]
    if len(ids) == 0:
        return None
    weights = np.sqrt(sizes)
    chosen = rng.choice(ids, count, replace=len(ids) < count, p=weights / weights.sum())
    masks = []
    for object_id in chosen:
        mask = instance == object_id
        draw = rng.random()
        if draw < PART_SHARE:
            parts, part_sizes = np.unique(part[mask], return_counts=True)
            parts = parts[part_sizes >= FEWEST_POINTS]
            if len(parts) > 1:
                mask = mask & (part == rng.choice(parts))
        elif draw < PART_SHARE + SUPPORT_SHARE and (instance == 0).sum() >= FEWEST_POINTS:
            mask = instance == 0
        masks.append(mask)
    return np.stack(masks)
