"""Generated scenes to fit on: their own streams of seeds, which no pool for training holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pointsam_model.cloud.cloud import Cloud
from pointsam_model.cloud.valid import valid_points
from pointsam_model.scenes import MixtureConfig, Scene, SceneConfig, generate

FIRST_SEED = 2**41  # beyond those of pools and of their spare scenes
KINDS = (
    *("tabletop",) * 6,
    *("street",) * 4,
    *("room",) * 3,
    *("bin",) * 2,
    *("parts",) * 2,
    "fused",
    "single",
    *("empty",) * 3,  # who saw too few knows bare walls and floors badly
)
# Clicked where nothing is meant, as proposals do: bare surfaces most of all.
UNMEANT_KINDS = (
    *("tabletop",) * 4,
    *("street",) * 4,
    *("room",) * 3,
    *("bin",) * 2,
    "parts",
    "fused",
    "single",
    *("empty",) * 8,
)
UNMEANT_SEED = FIRST_SEED + 2**30
# Finer than those that training learns from, as the source points of a real camera, and with more
# vessels: inside and outside of a bowl, with a gap between them, look like two things.
CONFIG = MixtureConfig(tabletop=SceneConfig(width=320, height=240, vessel_share=0.25))
COLOURLESS = 0.3  # share of scenes shown without colour


def fitting_scenes(
    numbers: Sequence[int], kinds: Sequence[str] = KINDS, seed: int = FIRST_SEED
) -> Iterator[tuple[int, Scene]]:
    """The scenes of some numbers, one kind after the other; those without points are left out."""
    for number in numbers:
        (scene,) = generate(kinds[number % len(kinds)], [seed + number], CONFIG)
        if valid_points(scene.xyz).sum() >= 500:
            yield number, scene


def shown(scene: Scene, rng: np.random.Generator) -> Cloud:
    """A scene as a cloud, some without their colours."""
    colored = scene.rgb is not None and rng.random() >= COLOURLESS
    return Cloud(scene.xyz, scene.rgb if colored else None, viewpoint=scene.viewpoint)


def seen_from(scene: Scene) -> NDArray[np.float64] | None:
    """(3,) where the sensor was; None: not known."""
    return None if scene.viewpoint is None else np.asarray(scene.viewpoint, np.float64)
