"""The shape and motion of a tracked object, and its overlap with objects of other clouds.

Masks of two clouds share no rows: a sensor samples a surface anew each time, from another position
and at another density. They share space, so overlap is computed on points thinned to one per
voxel, in one fixed coordinate frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

_UNIFORM = math.sqrt(12)  # diagonal of a uniformly filled box over the rms distance of its points
_WITHIN = 1.25  # voxels: greatest distance, almost everywhere, between two samplings of one surface
_REMEMBERED = 2  # sightings


@dataclass(frozen=True, eq=False)
class Shape:
    """The shape of an object in one cloud, in the tracking frame.

    Attributes:
        points: (k, 3) float64 [m], the mean of the object's points in each voxel.
        voxel_m: edge of the voxels [m].
    """

    points: NDArray[np.float64] = field(repr=False)
    voxel_m: float

    @classmethod
    def of(cls, points: NDArray[np.floating], voxel_share: float, least_voxel_m: float) -> Shape:
        """Thins an object's points.

        Args:
            points: (n, 3) [m], at least one, in the tracking frame.
            voxel_share: edge of a voxel as a share of the object's diagonal; objects with few
                points get larger ones, of about the point spacing.
            least_voxel_m: least edge of a voxel [m]; should exceed the sensor's noise.
        """
        offset = points - points.mean(0)
        diagonal = _UNIFORM * math.sqrt(np.einsum("ij,ij->", offset, offset) / len(points))
        voxel_m = max(least_voxel_m, diagonal * max(voxel_share, 1 / math.sqrt(len(points))))
        return cls(_voxel_means(points, voxel_m), voxel_m)

    @cached_property
    def centroid(self) -> NDArray[np.float64]:
        """(3,) [m], independent of the density of the points."""
        return self.points.mean(0)

    @cached_property
    def reach(self) -> float:
        """Distance from the centroid within which another shape may overlap [m]."""
        radius = np.linalg.norm(self.points - self.centroid, axis=1).max()
        return float(radius) + _WITHIN * self.voxel_m

    def overlap(self, other: Shape, moved: NDArray[np.float64] | None = None) -> float:
        """IoU of two objects in space, 0 to 1.

        Args:
            other: the shape in another cloud.
            moved: (3,) [m], the assumed motion of this object since; None: none.
        """
        moved = np.zeros(3) if moved is None else moved
        near = _WITHIN * max(self.voxel_m, other.voxel_m)
        ours = _share_near(self.points + moved, other._tree, near)
        theirs = _share_near(other.points - moved, self._tree, near) if ours else 0.0
        # Each share is relative to its own shape, so the point densities may differ.
        both = ours * theirs
        return both / (ours + theirs - both) if both else 0.0

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.points)


class Motion:
    """Where an object was last seen, and where it may be now.

    Args:
        shape: the object as first seen.
        stamp_s: the stamp of that cloud [s].
    """

    def __init__(self, shape: Shape, stamp_s: float) -> None:
        self._seen = [(shape, stamp_s)]
        self._velocity = np.zeros(3)  # m/s

    @property
    def shape(self) -> Shape:
        """The shape as last seen."""
        return self._seen[-1][0]

    @property
    def seen_s(self) -> float:
        """The stamp of the last cloud in which the object was seen [s]."""
        return self._seen[-1][1]

    def moves(self, stamp_s: float) -> list[NDArray[np.float64]]:
        """Possible motions (3,) since the object was last seen [m]: none, and at its velocity.

        "None" is always included: a partial view shifts the centroid of an object at rest.
        """
        return self._moves(self.shape, stamp_s - self.seen_s)

    def overlaps(self, shapes: Sequence[Shape], stamp_s: float) -> NDArray[np.float64]:
        """(s,) IoU in space with objects of a later cloud, each at the best possible motion.

        Earlier shapes are compared too, so that a single bad mask does not matter.
        """
        centroids = np.reshape([shape.centroid for shape in shapes], (-1, 3))
        reaches = np.array([shape.reach for shape in shapes])
        best = np.zeros(len(shapes))
        for old, seen_s in self._seen:
            for moved in self._moves(old, stamp_s - seen_s):
                apart = np.linalg.norm(centroids - old.centroid - moved, axis=1)
                # Most are too far away, which is much cheaper to check than the overlap.
                for row in np.flatnonzero(apart <= reaches + old.reach).tolist():
                    best[row] = max(best[row], old.overlap(shapes[row], moved))
        return best

    def see(self, shape: Shape, stamp_s: float, max_speed: float) -> None:
        """Records the object in a later cloud; speeds are limited to `max_speed` [m/s]."""
        passed = stamp_s - self.seen_s
        if passed > 0:
            newest = (shape.centroid - self.shape.centroid) / passed
            # Averaged with the previous velocity: a centroid jumps when the mask changes.
            velocity = (self._velocity + newest) / 2
            speed = float(np.linalg.norm(velocity))
            self._velocity = velocity * min(1.0, max_speed / speed) if speed else velocity
        self._seen = [*self._seen, (shape, stamp_s)][-_REMEMBERED:]

    def _moves(self, shape: Shape, passed: float) -> list[NDArray[np.float64]]:
        on = self._velocity * passed
        rests = np.linalg.norm(on) < shape.voxel_m / 2
        return [np.zeros(3)] if rests else [np.zeros(3), on]


def in_frame(points: NDArray[np.floating], transform: ArrayLike | None) -> NDArray[np.float64]:
    """Transforms a cloud's points (n, 3) [m] to the tracking frame.

    Args:
        points: in the cloud's coordinate frame.
        transform: (4, 4) from the cloud's coordinate frame to the tracking frame; None: identity.

    Raises:
        ValueError: the transform is not rigid.
    """
    if transform is None:
        return points.astype(np.float64)
    turn, shift = _rigid(transform)
    return points.astype(np.float64) @ turn.T + shift


def out_of_frame(points: NDArray[np.floating], transform: ArrayLike | None) -> NDArray[np.float64]:
    """The inverse of `in_frame`: transforms points (n, 3) [m] to the cloud's coordinate frame."""
    if transform is None:
        return points.astype(np.float64)
    turn, shift = _rigid(transform)
    return (points.astype(np.float64) - shift) @ turn


def _rigid(transform: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation (3, 3) and translation (3,) [m] of a transform.

    Raises:
        ValueError: the transform is not rigid.
    """
    matrix = np.asarray(transform, np.float64)
    if matrix.shape != (4, 4):
        raise ValueError(f"the transform has the shape {matrix.shape}; it must be (4, 4)")
    turn = matrix[:3, :3]
    rigid = np.allclose(turn @ turn.T, np.eye(3), atol=1e-3) and np.linalg.det(turn) > 0
    if not (np.isfinite(matrix).all() and rigid and np.allclose(matrix[3], (0, 0, 0, 1))):
        raise ValueError(f"the transform {matrix.tolist()} is not a rotation and a translation")
    return turn, matrix[:3, 3]


def extent(points: NDArray[np.floating], voxel_m: float) -> int:
    """Number of voxels with this edge [m] that contain points (n, 3) [m].

    Proportional to the surface's area, if points are no farther apart than the voxels.
    """
    return len(_voxel_means(points, voxel_m))


def _voxel_means(points: NDArray[np.floating], voxel_m: float) -> NDArray[np.float64]:
    """(k, 3) mean of the points in each occupied voxel."""
    cell = np.floor((points - points.min(0)) / voxel_m).astype(np.int64)
    wide, deep, _ = (cell.max(0) + 1).tolist()
    key = cell[:, 0] + wide * (cell[:, 1] + deep * cell[:, 2])
    _, voxel, counts = np.unique(key, return_inverse=True, return_counts=True)
    sums = [np.bincount(voxel, points[:, axis]) for axis in range(3)]
    return np.stack(sums, 1) / counts[:, None]


def _share_near(points: NDArray[np.float64], tree: cKDTree, near: float) -> float:
    distances, _ = tree.query(points, distance_upper_bound=near)
    return float(np.isfinite(distances).mean())
