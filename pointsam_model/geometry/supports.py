"""Planes that things stand on or before: table tops, floors, roads and walls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST = 3  # planes of a view
FEWEST, LEAST_SHARE = 60, 0.08  # points of a plane, and of all points: smaller ones are faces
TRIED, MEASURED = 128, 512  # planes tried, points measured against each
NEAR = 0.5  # spacings from a plane up to which a point is in it
FOOTPRINT = 2.0  # standard deviations about the middle of a plane's points: what lies over it
ONE_SIDED = 0.9  # of what lies over a plane: a sensor sees only one side of what bears things
SEED = 0

Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Supports:
    """The planes of a view that bear things.

    Attributes:
        within: (p,m) bool, which points are in each.
        away: (p,m) float32, the distance of each point from each [m].
    """

    within: NDArray[np.bool_]
    away: Float

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return self.within.nbytes + self.away.nbytes


def supports(points: Float, spacing: float) -> Supports:
    """The planes that bear things, the largest first.

    One after the other is found among the points that are in none yet (RANSAC, seeded). A large
    plane with things on both of its sides is a face of one of them, and no support.

    Args:
        points: (m,3) evenly spread [m].
        spacing: their distance from each other [m].
    """
    rng = np.random.default_rng(SEED)
    within, away = [], []
    left = np.arange(len(points))
    least = max(FEWEST, LEAST_SHARE * len(points))
    for _ in range(MOST):
        if len(left) < least:
            break
        found = _largest_plane(points[left], NEAR * spacing, rng)
        if found is None:
            break
        normal, middle = found
        off = (points - middle) @ normal
        inside = np.abs(off) <= NEAR * spacing
        own = left[inside[left]]
        if len(own) < least:
            break
        if _one_sided(points, off, own, inside):
            within.append(inside)
            away.append(np.abs(off).astype(np.float32))
        left = left[~inside[left]]
    if not within:
        return Supports(
            np.zeros((0, len(points)), np.bool_), np.zeros((0, len(points)), np.float32)
        )
    return Supports(np.stack(within), np.stack(away))


def _largest_plane(
    points: Float, near: float, rng: np.random.Generator
) -> tuple[Float, Float] | None:
    """Normal (3,) and a point (3,) of the plane with most points; None: they are on a line, or so
    far apart that a plane has not even the points it was laid through, as those are rounded."""
    some = points[rng.integers(0, len(points), MEASURED)]
    corners = points[rng.integers(0, len(points), (TRIED, 3))]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.sqrt(np.square(normal).sum(1))
    usable = length > 0
    if not usable.any():
        return None
    normal, origin = normal[usable] / length[usable, None], corners[usable, 0]
    off = np.abs(some @ normal.T - (origin * normal).sum(1))
    best = int((off <= near).sum(0).argmax())
    inside = np.abs((points - origin[best]) @ normal[best]) <= near
    if inside.sum() < 3:
        return None
    middle = points[inside].mean(0)
    return np.linalg.svd(points[inside] - middle, full_matrices=False)[2][2], middle


def _one_sided(
    points: Float, off: NDArray[np.floating], own: NDArray[np.int64], inside: NDArray[np.bool_]
) -> bool:
    """Whether what lies over or under a plane's points is nearly all on one side of it."""
    middle = points[own].mean(0)
    _, sizes, axes = np.linalg.svd(points[own] - middle, full_matrices=False)
    deviation = np.maximum(sizes[:2] / np.sqrt(len(own)), 1e-9)
    along = (points - middle) @ axes[:2].T / deviation
    over = (np.square(along).sum(1) <= FOOTPRINT**2) & ~inside
    if not over.any():
        return True
    above = float((off[over] > 0).mean())
    return max(above, 1 - above) >= ONE_SIDED
