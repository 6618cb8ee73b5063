"""Looks cut from a scene as use cuts them: what surrounds a click, at the scene's resolution."""

from __future__ import annotations

import numpy as np

REACH = (
    1.2,
    6.0,
)  # of a look, in half diagonals of the object's bounding box; drawn by its logarithm
BALLS = 0.7  # share of looks that are balls; the rest are cubes
FEWEST_POINTS = 1_024  # of a look, or it reaches farther
FEWEST_OF_OBJECT = 12  # points of an object that looks are cut about, where there is such a one


def cut(xyz: np.ndarray, instance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows in a ball or a cube about a random point of a random object.

    A scene without objects is cut about any of its points.

    Args:
        xyz: (n, 3) finite points [m], n at least FEWEST_POINTS.
        instance: (n,), objects are 1 or more.
    """
    ids, sizes = np.unique(instance[instance > 0], return_counts=True)
    large = ids[sizes >= FEWEST_OF_OBJECT]
    ids = large if len(large) else ids
    of_object = xyz[instance == rng.choice(ids)] if len(ids) else xyz
    center = of_object[rng.integers(len(of_object))]
    extent = float(np.linalg.norm(np.ptp(of_object, axis=0))) / 2
    reach = extent * np.exp(rng.uniform(*np.log(REACH)))
    distance = np.linalg.norm(xyz - center, 2 if rng.random() < BALLS else np.inf, axis=1)
    reach = max(reach, np.partition(distance, FEWEST_POINTS - 1)[FEWEST_POINTS - 1])
    return np.flatnonzero(distance <= reach)
