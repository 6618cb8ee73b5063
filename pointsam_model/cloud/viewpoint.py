"""Whether a cloud was seen by a sensor at the origin of its coordinate frame.

Seen from the sensor, each direction has one range: points that are neighbours in direction are
neighbours in space too, except at edges of objects. Seen from elsewhere, surfaces lie behind each
other, and neighbours in direction are torn apart in range. This holds for every kind of sensor and
needs no rows and columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 32_768  # points used: of more, every second, third, ...
FEWEST_POINTS = 100  # with fewer, nothing can be decided
COARSE = 4096  # points from which the density of directions is estimated
CELLS = 32  # cells across the directions, for that estimate
PATCHES = 128  # patches of directions that are examined
PATCH_POINTS = 48  # points per patch, about
ASKED = 8  # points per patch whose nearest neighbour in direction is found
FEWEST_BESIDE = 12  # least points in a patch that is examined
STEEPEST = 20.0  # range difference over lateral distance: a surface at 3 degrees to the ray
NOISE = 0.01  # range noise that does not count as tearing, as a share of range or depth extent
MOST_TORN = 0.17  # of neighbours; measured: sensors 0.00 to 0.16, fused and map clouds from 0.18
# The same for a depth camera: many points in a narrow field of view. Measured: cameras 0.00 to
# 0.04, their clouds in the frame of a robot's base from 0.08.
MOST_TORN_CAMERA, CAMERA_POINTS, CAMERA_FIELD = 0.06, 10_000, np.radians(50)
LEAST_FIELD = np.radians(6)  # least half field of view of a sensor, without outliers
MOST_OF_FIELD = 0.95  # share of the directions that are not outliers
MOST_AROUND = 0.8  # share of the whole sphere: with more it is a closed shell around the origin
SHELL_CELLS = 24  # cells across an octahedron, for that share


def seen_from_origin(points: NDArray[Any]) -> bool:
    """Whether points were clearly seen from (0,0,0) by one sensor.

    False also if that is undecidable: few points, or the closed surface of an object around its
    own middle, which looks like a room from inside.

    Args:
        points: (k,3) float32 or float64 [m], valid points in any order.
    """
    if len(points) < FEWEST_POINTS:
        return False
    count = len(points)
    points = points[:: -(-len(points) // MOST_POINTS)]
    places, behind = _unfolded(points)
    if not np.ptp(places, axis=0).any() or _share_around(places, behind) > MOST_AROUND:
        return False
    field = field_of(points[:: -(-len(points) // COARSE)].astype(np.float64))
    if field < LEAST_FIELD:  # far away: all points lie in one direction, and nothing is torn
        return False
    camera = count >= CAMERA_POINTS and field < CAMERA_FIELD
    torn = _torn(points, places, behind)
    most = MOST_TORN_CAMERA if camera else MOST_TORN
    return bool(len(torn)) and float(torn.mean()) <= most


def field_of(rays: NDArray[np.float64]) -> float:
    """Angle to the mean direction within which most rays (k,3), none of them zero, lie [rad]."""
    directions = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    mean = directions.mean(0)
    length = float(np.linalg.norm(mean))
    if length < 1e-6:
        return float(np.pi)
    cosines = directions @ (mean / length)
    return float(np.quantile(np.arccos(cosines.clip(-1, 1)), MOST_OF_FIELD))


def _torn(
    points: NDArray[Any], places: NDArray[Any], behind: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """For sampled points: whether the range jumps to the nearest neighbour in direction."""
    patches = _patches(points, places, behind)
    if not patches:
        return np.zeros(0, np.bool_)
    coarse = points[:: -(-len(points) // COARSE)].astype(np.float64)
    near, far = np.quantile(np.linalg.norm(coarse, axis=1), [0.05, 0.95])
    counts = np.array([len(rows) for rows in patches])
    within = np.arange(counts.max()) < counts[:, None]  # (p,k): the patches as one padded table
    table = np.zeros(within.shape, np.int64)
    table[within] = np.concatenate(patches)
    seen = points[table].astype(np.float64)
    ranges = np.linalg.norm(seen, axis=2)
    directions = seen / ranges[..., None]
    directions -= directions[:, :1]  # so that the squares of tiny angles keep their digits
    asked = np.arange(ASKED) * counts[:, None] // ASKED  # (p,a), spread over each patch
    own = np.arange(len(patches))[:, None]
    squares = np.square(directions).sum(axis=2)
    apart = squares[own, asked][..., None] + squares[:, None]
    apart -= 2 * directions[own, asked] @ directions.transpose(0, 2, 1)
    apart[np.broadcast_to(~within[:, None], apart.shape)] = np.inf
    apart[own, np.arange(ASKED), asked] = np.inf
    beside = apart.argmin(axis=2)
    angles = np.sqrt(np.maximum(apart.min(axis=2), 0))
    # Two returns of one beam have no angle between them, but are not a steep surface.
    angles = np.maximum(angles, np.median(angles, axis=1, keepdims=True))
    here, there = ranges[own, asked], ranges[own, beside]
    nearer = np.minimum(here, there)
    may = np.maximum(STEEPEST * angles * nearer, NOISE * np.minimum(nearer, far - near))
    return np.asarray(np.abs(here - there) > may).ravel()


def _patches(
    points: NDArray[Any], places: NDArray[Any], behind: NDArray[np.bool_]
) -> list[NDArray[np.int64]]:
    """Rows of all points in each of a sample of square patches of directions."""
    low = places.min(axis=0)
    width = max(float((places.max(axis=0) - low).max()), np.finfo(np.float64).tiny)
    step = -(-len(points) // COARSE)
    coarse = _cells(places[::step], behind[::step], low, width / CELLS, CELLS)
    filled = len(np.unique(coarse)) / CELLS**2 * width**2
    size = max(np.sqrt(filled * PATCH_POINTS / len(points)), width / 4096)
    across = int(width / size) + 1
    own = _cells(places, behind, low, size, across)
    some = np.unique(own[:: -(-len(points) // PATCHES)])
    wanted = np.zeros(2 * across**2, np.bool_)
    wanted[some] = True
    rows = np.flatnonzero(wanted[own])
    rows = rows[np.argsort(own[rows], kind="stable")]
    starts = np.searchsorted(own[rows], some)
    patches = np.split(rows, starts[1:])
    return [
        _close(patch, places) if len(patch) > 2 * PATCH_POINTS else patch
        for patch in patches
        if len(patch) >= FEWEST_BESIDE
    ]


def _close(rows: NDArray[np.int64], places: NDArray[Any]) -> NDArray[np.int64]:
    """Of the rows of a patch, those whose directions are nearest to the first's."""
    apart = np.square(places[rows] - places[rows[0]]).sum(axis=1)
    return rows[np.argsort(apart, kind="stable")[: 2 * PATCH_POINTS]]


def _cells(
    places: NDArray[Any], behind: NDArray[np.bool_], low: NDArray[Any], size: float, across: int
) -> NDArray[np.int64]:
    """(k,) int64: the index of the cell, `size` wide, that each direction lies in."""
    steps = ((places - low) / places.dtype.type(size)).astype(np.int32)
    np.minimum(steps, across - 1, out=steps)
    return (behind.astype(np.int64) * across + steps[:, 0]) * across + steps[:, 1]


def _unfolded(points: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Octahedral mapping of directions: coordinates (k,2) in -1..1, and whether z < 0.

    Needs no trigonometry, and its resolution varies only by a small factor.
    """
    total = np.abs(points[:, 0]) + np.abs(points[:, 1]) + np.abs(points[:, 2])
    return points[:, :2] / total[:, None], points[:, 2] < 0


def _share_around(places: NDArray[Any], behind: NDArray[np.bool_]) -> float:
    """Share of the sphere of directions that contains points, 0 to 1."""
    low = np.array([-1, -1], places.dtype)
    step = -(-len(places) // COARSE)
    cells = _cells(places[::step], behind[::step], low, 2 / SHELL_CELLS, SHELL_CELLS)
    # Of the square's cells on each half, those whose |x| + |y| stays below 1 are the octahedron.
    middles = np.abs((np.arange(SHELL_CELLS) + 0.5) * 2 / SHELL_CELLS - 1)
    inside = (middles[:, None] + middles < 1 + 1e-6).ravel()
    filled = np.zeros(2 * SHELL_CELLS**2, np.bool_)
    filled[cells] = True
    return float((filled.reshape(2, -1) & inside).sum() / (2 * inside.sum()))
