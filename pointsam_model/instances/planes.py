"""Whether points lie in one plane, like a table, a floor or a wall."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FLATNESS = 0.015  # greatest distance of a point from the plane, as a share of the largest extent
SHARE = 0.9  # least share of the points within that distance
ROUNDS, MEASURED = 64, 1024  # planes tried, and points measured against each
SEED = 0


def is_flat(points: NDArray[np.floating]) -> bool:
    """Whether nearly all points are close to one plane (seeded RANSAC).

    Args:
        points: (n, 3) [m].
    """
    if len(points) < 3:
        return True
    rng = np.random.default_rng(SEED)
    some = points[rng.choice(len(points), min(MEASURED, len(points)), replace=False)]
    some = some.astype(np.float64)
    near = FLATNESS * float(np.ptp(some, axis=0).max())
    corners = some[rng.integers(len(some), size=(ROUNDS, 3))]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1)
    usable = length > 0
    if not usable.any():  # all on a line, or in one place
        return True
    normal, origin = normal[usable] / length[usable, None], corners[usable, 0]
    off = np.abs(some @ normal.T - np.einsum("ij,ij->i", origin, normal))
    return bool((off <= near).mean(0).max() >= SHARE)
