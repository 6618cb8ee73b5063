"""Where, as the sensor sees it, one thing ends before another that goes on behind it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree  # type: ignore[import-untyped]

NEIGHBOURS = 6  # of each point, by direction
DEEP = 3.0  # spacings by which the farther of two neighbours lies behind the nearer

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


def occlusions(
    points: NDArray[np.float32], sensor: NDArray[np.float64] | None, spacing: float
) -> Pairs:
    """Pairs of points beside each other in the sensor's view, one far behind the other.

    Args:
        points: (m,3) [m].
        sensor: (3,) [m]; None: not known, and nothing is found.
        spacing: of the points [m].

    Returns:
        (o,) int64 rows of the nearer points, and of those behind them.
    """
    nothing = np.empty(0, np.int64)
    if sensor is None:
        return nothing, nothing
    view = points - np.asarray(sensor, np.float32)
    distance = np.sqrt(np.square(view).sum(1))
    directions = view / np.maximum(distance, 1e-9)[:, None]
    count = min(NEIGHBOURS + 1, len(points))
    beside = np.asarray(cKDTree(directions).query(directions, count)[1], np.int64)
    beside = beside.reshape(len(points), -1)
    behind = distance[beside] - distance[:, None] > DEEP * spacing
    rows = np.broadcast_to(np.arange(len(points))[:, None], beside.shape)
    return rows[behind], beside[behind]
