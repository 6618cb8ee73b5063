"""How clouds are turned, scaled, cut and coloured anew for every batch (paper, appendix A)."""

from __future__ import annotations

import numpy as np

from pointsam_model.data.clouds import LabelledCloud
from pointsam_model.training.config import TrainingConfig

ROLL = 0.35  # [rad], standard deviation of turns about z, a camera's optical axis
TILT, MOST_TILT = 0.06, 0.18  # [rad], as published
LEAST_SCALE = 0.8  # as published
CROP_REACH = 1.1, 3.0  # of a crop, in distances from its centre to the object's farthest point


def shown_points(
    scene: LabelledCloud, count: int, least: int, config: TrainingConfig, rng: np.random.Generator
) -> np.ndarray:
    """(count,) rows of the scene in random order, of all of it or of a crop about an object.

    Fewer points than `count` are repeated: patches take maxima, to which repeats are nothing.

    Args:
        least: points that a crop must hold, or all of the scene is shown.
    """
    rows = np.arange(len(scene.xyz))
    if rng.random() < config.crops:
        crop = _crop(scene, rng)
        rows = crop if len(crop) >= least else rows
    return np.resize(rng.permutation(rows), count)


def moved(
    xyz: np.ndarray, up: np.ndarray | None, config: TrainingConfig, rng: np.random.Generator
) -> np.ndarray:
    """Points [m] in a pose, handedness and scale of their own, in the unit sphere.

    Args:
        xyz: (n, 3).
        up: (3,) direction against gravity; None: not known.
    """
    xyz = xyz.astype(np.float64)
    if rng.random() < config.upright and up is not None:
        xyz = xyz @ _stand(up.astype(np.float64)).T @ _about("z", rng.uniform(0, 2 * np.pi)).T
        if rng.random() < config.y_up:
            xyz = xyz[:, [1, 2, 0]]
    else:
        xyz = xyz @ _about("z", rng.normal(0, ROLL)).T
    for axis in "xy":
        turn = np.clip(rng.normal(0, TILT), -MOST_TILT, MOST_TILT)
        xyz = xyz @ _about(axis, turn).T
    if rng.random() < config.mirror:
        xyz[:, 0] = -xyz[:, 0]
    xyz -= xyz.mean(0)
    xyz *= rng.uniform(LEAST_SCALE, 1.0) / np.linalg.norm(xyz, axis=1).max()
    return xyz.astype(np.float32)


def coloured(
    scene: LabelledCloud, rows: np.ndarray, config: TrainingConfig, rng: np.random.Generator
) -> np.ndarray:
    """(n, 3) float32 features in [-1, 1] under another light; 0 without colour."""
    if rng.random() < config.no_colour or scene.rgb is None:
        return np.zeros((len(rows), 3), np.float32)
    colours = scene.rgb[rows].astype(np.float32) / 127.5 - 1
    colours = colours * rng.uniform(0.7, 1.3) + rng.normal(0, 0.1, 3)
    return np.clip(colours, -1, 1).astype(np.float32)


def _crop(scene: LabelledCloud, rng: np.random.Generator) -> np.ndarray:
    """Rows in a ball or a box about a point of a random object; none where there is no object."""
    ids = np.unique(scene.instance[scene.instance > 0])
    if len(ids) == 0:
        return ids
    of_object = scene.xyz[scene.instance == rng.choice(ids)]
    norm = 2 if rng.random() < 0.5 else np.inf
    center = of_object[rng.integers(len(of_object))]
    reach = np.linalg.norm(of_object - center, norm, axis=1).max() * rng.uniform(*CROP_REACH)
    return np.flatnonzero(np.linalg.norm(scene.xyz - center, norm, axis=1) <= reach)


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
