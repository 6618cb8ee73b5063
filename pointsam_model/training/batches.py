"""Batches: clouds drawn from the pool, augmented, each with a few objects to segment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointsam_model.training.config import Stage, TrainingConfig
from pointsam_model.training.pool import Pool, PooledScene

PART_SHARE = 0.12  # masks that are a part of an object; most are whole objects
SUPPORT_SHARE = 0.03  # masks that are what the objects stand on
FEWEST_POINTS = 6  # of an object in the drawn cloud
CAMERA_ROLL = 0.35  # [rad], standard deviation of turns about the optical axis
TILT, MOST_TILT = 0.06, 0.18  # [rad], as published
LEAST_SCALE = 0.8


@dataclass(frozen=True)
class Batch:
    """b clouds of n points with m objects each.

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


def draw_batch(pool: Pool, stage: Stage, config: TrainingConfig, rng: np.random.Generator) -> Batch:
    """Draws a batch; the same generator state gives the same batch of the same pool."""
    drawn: list[tuple[np.ndarray, ...]] = []
    while len(drawn) < stage.clouds:
        scene = pool[int(rng.integers(len(pool)))]
        rows = rng.choice(len(scene.xyz), stage.points, replace=False)
        truth = _objects(scene.instance[rows], scene.part[rows], stage.masks, rng)
        if truth is None:
            continue
        coords = _augmented(scene, rows, config, rng)
        features = _colours(scene.rgb[rows], config, rng)
        drawn.append((coords, features, truth, scene.instance[rows] >= 0))
    return Batch(*(np.stack(arrays) for arrays in zip(*drawn, strict=True)))


def _objects(
    instance: np.ndarray, part: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray | None:
    """(count, n) bool; objects drawn by the square root of their size, large ones more often."""
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


def _augmented(
    scene: PooledScene, rows: np.ndarray, config: TrainingConfig, rng: np.random.Generator
) -> np.ndarray:
    xyz = scene.xyz[rows].astype(np.float64)
    if rng.random() < config.upright:
        xyz = xyz @ _stand(scene.up.astype(np.float64)).T @ _about("z", rng.uniform(0, 2 * np.pi)).T
        if rng.random() < 0.4:
            xyz = xyz[:, [1, 2, 0]]  # y up, as in CAD models
    else:
        xyz = xyz @ _about("z", rng.normal(0, CAMERA_ROLL)).T
    for axis in "xy":
        turn = np.clip(rng.normal(0, TILT), -MOST_TILT, MOST_TILT)
        xyz = xyz @ _about(axis, turn).T
    if rng.random() < 0.5:
        xyz[:, 0] = -xyz[:, 0]
    xyz -= xyz.mean(0)
    xyz *= rng.uniform(LEAST_SCALE, 1.0) / np.linalg.norm(xyz, axis=1).max()
    return xyz.astype(np.float32)


def _colours(rgb: np.ndarray, config: TrainingConfig, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < config.no_colour:
        return np.zeros((len(rgb), 3), np.float32)
    colours = rgb.astype(np.float32) / 127.5 - 1
    colours = colours * rng.uniform(0.7, 1.3) + rng.normal(0, 0.1, 3)
    return np.clip(colours, -1, 1).astype(np.float32)


def _about(axis: str, angle: float) -> np.ndarray:
    """The rotation by an angle [rad] about x, y or z."""
    cos, sin = np.cos(angle), np.sin(angle)
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    turn = np.eye(3)
    turn[first, first] = turn[second, second] = cos
    turn[first, second], turn[second, first] = -sin, sin
    return turn


def _stand(up: np.ndarray) -> np.ndarray:
    """A rotation that turns `up` to +z."""
    up = up / np.linalg.norm(up)
    helper = np.eye(3)[np.abs(up).argmin()]
    side = np.cross(helper, up)
    side /= np.linalg.norm(side)
    return np.stack([side, np.cross(up, side), up])
