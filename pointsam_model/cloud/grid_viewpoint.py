"""The camera's position, from the rows and columns of an organised cloud.

Each pixel of a depth camera is a ray, so pixel coordinates are a projection of the points, in any
coordinate frame. It is fitted linearly (direct linear transform), and its centre is the camera.
Depth errors move points along their rays and do not matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE = 4_000  # pixels used
FEWEST = 200
MOST_OFF = 0.005  # greatest median reprojection error, in image widths: lenses distort
PLAIN = 1e-3  # least over greatest spread of the points, below which they count as one plane
FARTHEST = 1e6  # greatest distance, in extents of the points: beyond it rounding decides
PINNED = 20.0  # how many times worse the second best projection must fit to be excluded


def camera_of_grid(
    points: NDArray[Any], rows: NDArray[np.int64], width: int
) -> NDArray[np.float64] | None:
    """Position (3,) [m] of the camera that saw an organised cloud, or None.

    None if the grid is not a pinhole camera's (a spinning LiDAR's, for example), or if the points
    are ambiguous: a single plane looks the same from many positions.

    Args:
        points: (k,3) valid points [m].
        rows: (k,) int64, their indices in the cloud, which is stored row by row.
        width: columns of the grid.
    """
    if len(points) < FEWEST or width < 2 or rows[-1] < 2 * width:
        return None
    some = slice(None, None, -(-len(points) // SAMPLE))
    seen = points[some].astype(np.float64)
    pixels = np.stack([rows[some] % width, rows[some] // width], 1).astype(np.float64)
    middle, center = seen.mean(0), pixels.mean(0)
    extent = float(np.linalg.norm(seen - middle, axis=1).mean())
    spread = np.linalg.svd(seen - middle, compute_uv=False)
    if extent == 0 or spread[2] < PLAIN * spread[0] or not pixels.std(0).all():
        return None
    places = np.column_stack([(seen - middle) / extent, np.ones(len(seen))])
    unit = float(np.linalg.norm(pixels - center, axis=1).mean())
    u, v = ((pixels - center) / unit).T[..., None]
    nothing = np.zeros_like(places)
    equations = np.concatenate(
        [np.hstack([places, nothing, -u * places]), np.hstack([nothing, places, -v * places])]
    )
    values, vectors = np.linalg.eigh(equations.T @ equations)
    if np.sqrt(max(values[1], 0)) < PINNED * np.sqrt(max(values[0], 0)):
        return None
    projection = vectors[:, 0].reshape(3, 4)
    x, y, depth = projection @ places.T
    if np.abs(np.sign(depth).sum()) < 0.98 * len(depth):
        return None  # points on both sides of the camera
    off = np.hypot(x / depth - u[:, 0], y / depth - v[:, 0]) * unit
    if float(np.median(off)) > MOST_OFF * width:
        return None
    try:
        place = -np.linalg.solve(projection[:, :3], projection[:, 3])
    except np.linalg.LinAlgError:
        return None  # the camera is at infinity
    if not np.linalg.norm(place) <= FARTHEST:  # true for NaN
        return None  # practically at infinity: a raster of heights
    return np.asarray(place * extent + middle, np.float64)
