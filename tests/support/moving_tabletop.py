"""Two boxes on a table, one of which may move, be hidden, or be seen from elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pointsam_model import Cloud

SIDE = 0.1  # of the boxes' tops [m]
HERE, OTHER = (-0.1, 0.0), (0.12, 0.05)
SHADES = np.array([[120, 110, 100], [200, 60, 40], [40, 90, 200]], np.uint8)


def tabletop(
    at: tuple[float, float] | None = HERE, seed: int = 0, pose: NDArray[np.float64] | None = None
) -> tuple[Cloud, NDArray[np.int64]]:
    """Tops of two boxes 8 cm above a table, and which point is of which.

    at: where the first one is; None: it is gone. pose: of the camera in the world.
    """
    random = np.random.default_rng(seed)
    axis = np.arange(-0.3, 0.3, 0.007)
    x, y = (grid.ravel() + random.normal(0, 0.001, grid.size) for grid in np.meshgrid(axis, axis))
    label = np.zeros(len(x), np.int64)
    for number, middle in ((1, at), (2, OTHER)):
        if middle:
            inside = (abs(x - middle[0]) < SIDE / 2) & (abs(y - middle[1]) < SIDE / 2)
            label[inside] = number
    xyz = np.stack([x, y, np.where(label > 0, 0.72, 0.8)], 1)
    if pose is not None:
        xyz = (xyz - pose[:3, 3]) @ pose[:3, :3]
    return Cloud(xyz.astype(np.float32), SHADES[label]), label
