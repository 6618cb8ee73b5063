"""Tracking: instances keep their ids from cloud to cloud while they stay where they are expected.

An instance is its earlier self if both fill the same space, or if it goes on as it moved before; of
those left over, one of the same shape nearby is taken for an object that began to move. Each step
is one assignment of all instances at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from pointsam_model.config import setting
from pointsam_model.tracking_shapes import Motion, Shape, in_frame


@dataclass(frozen=True)
class TrackingConfig:
    """When an instance of one cloud is that of an earlier one."""

    enabled: bool = setting(False, "instances keep their ids from cloud to cloud")
    keep_s: float = setting(
        2.0, "an object that is not seen keeps its id so long [s]", low=0.0, high=86_400.0
    )
    min_overlap: float = setting(
        0.2, "an instance is its earlier self from this IoU in space", low=0.01, high=1.0
    )
    min_shape: float = setting(
        0.5,
        "one that jumped is, if both are so alike (IoU with their middles put together)",
        low=0.01,
        high=1.0,
    )
    max_speed: float = setting(
        1.0,
        "objects move at most so fast in the tracking frame [m/s]; 0: none jumps",
        low=0.0,
        high=100.0,
    )
    voxel_share: float = setting(
        0.06, "edge of the voxels that are compared, of an object's diagonal", low=0.01, high=0.5
    )
    voxel_m: float = setting(
        0.005, "and at least this, above the sensor's noise [m]", low=0.0001, high=10.0
    )
    follow_min_score: float = setting(
        0.3, "a followed object is found from this predicted IoU", low=0.0, high=1.0
    )


class HasPoints(Protocol):
    """What is read of an instance."""

    @property
    def points(self) -> NDArray[np.floating]:
        """(k, 3) [m], at least one, in the cloud's coordinate frame."""


class Tracker:
    """Gives instances ids that stay with the objects.

    Deterministic; an id is never given twice, also after a reset. For one thread at a time.

    Args:
        config: what counts as the same object.
    """

    def __init__(self, config: TrackingConfig | None = None) -> None:
        self.config = config or TrackingConfig()
        self._next = 1
        self._tracks: dict[int, Motion] = {}
        self._stamp_s = -math.inf

    def update(
        self, instances: Sequence[HasPoints], stamp_s: float, transform: ArrayLike | None = None
    ) -> list[int]:
        """The ids of a cloud's instances.

        Time that jumps back (a bag that starts over) begins anew: nothing is recognised.

        Args:
            instances: of one cloud, in any order: another order permutes the ids.
            stamp_s: of the cloud [s].
            transform: (4, 4) from the cloud's coordinate frame into the tracking frame, which is
                the same for all clouds; None: they are the same.

        Returns:
            One id an instance, at least 1, each once.

        Raises:
            ValueError: no rigid transform, or a stamp that is not finite.
        """
        if not math.isfinite(stamp_s):
            raise ValueError(f"the stamp is {stamp_s}; it must be finite seconds")
        size = (self.config.voxel_share, self.config.voxel_m)
        shapes = [Shape.of(in_frame(it.points, transform), *size) for it in instances]
        self._forget(stamp_s)
        # In an order of their own: neither equal overlaps nor new ids depend on the input's.
        order = sorted(range(len(shapes)), key=lambda row: _rank(shapes[row]))
        found = self._recognised([shapes[row] for row in order], stamp_s)
        ids = [0] * len(shapes)
        for place, row in enumerate(order):
            shape, known = shapes[row], found.get(place)
            if known is None:
                known = self.new_id()
                self._tracks[known] = Motion(shape, stamp_s)
            else:
                self._tracks[known].see(shape, stamp_s, self.config.max_speed)
            ids[row] = known
        self._stamp_s = stamp_s
        return ids

    def new_id(self) -> int:
        """An id that no instance has or will have, for an object that is tracked otherwise."""
        self._next += 1
        return self._next - 1

    def reset(self) -> None:
        """Recognises nothing any more; ids go on."""
        self._tracks.clear()
        self._stamp_s = -math.inf

    def _forget(self, stamp_s: float) -> None:
        """Drops what was not seen for too long, or everything where time went back."""
        if stamp_s < self._stamp_s:
            self.reset()
        keep_s = self.config.keep_s
        self._tracks = {
            known: track
            for known, track in self._tracks.items()
            if stamp_s - track.seen_s <= keep_s
        }

    def _recognised(self, shapes: Sequence[Shape], stamp_s: float) -> dict[int, int]:
        """For each shape (by its place) that is of a known object, the object's id."""
        overlap = np.zeros((len(self._tracks), len(shapes)))
        for row, track in enumerate(self._tracks.values()):
            overlap[row] = track.overlaps(shapes, stamp_s)
        pairs = _assigned(np.where(overlap >= self.config.min_overlap, overlap, 0.0))
        pairs |= self._jumped(shapes, stamp_s, pairs)
        ids = list(self._tracks)
        return {place: ids[row] for row, place in pairs.items()}

    def _jumped(
        self, shapes: Sequence[Shape], stamp_s: float, pairs: dict[int, int]
    ) -> dict[int, int]:
        """Of tracks (rows) and shapes without each other, those alike and near enough."""
        gate = self.config.max_speed * (stamp_s - self._stamp_s) if self._tracks else 0.0
        value = np.zeros((len(self._tracks), len(shapes)))
        left = set(range(len(shapes))) - set(pairs.values())
        for row, track in enumerate(self._tracks.values()):
            if row in pairs:
                continue
            expected = track.shape.centroid + track.moves(stamp_s)[-1]
            for place in left:
                shape = shapes[place]
                jump = float(np.linalg.norm(shape.centroid - expected))
                if jump >= gate:
                    continue
                alike = track.shape.overlap(shape, shape.centroid - track.shape.centroid)
                if alike >= self.config.min_shape:
                    value[row, place] = alike * (1 - jump / gate)
        return _assigned(value)


def _rank(shape: Shape) -> tuple[float, ...]:
    """Large objects first."""
    return (-shape.reach, *shape.centroid.tolist())


def _assigned(value: NDArray[np.float64]) -> dict[int, int]:
    """Columns of rows, each once, of the greatest sum of values; pairs without value are none."""
    rows, columns = linear_sum_assignment(value, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {row: column for row, column in pairs if value[row, column] > 0}
