"""Tracking: instances keep their ids from cloud to cloud while they stay where they are expected.

An instance is matched to an earlier one if both fill the same space, at rest or moved on at the
same velocity. Those left over are matched to instances of the same shape nearby, as objects that
began to move. Each of the two steps is one assignment of all instances at once.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from pointsam_model.config.settings import TrackingConfig
from pointsam_model.tracking.shape import Motion, Shape, in_frame

MOST = 512  # objects remembered, beside those of the last cloud, that are not searched for
JUMP_S = 2.0  # cap on the time for a jump [s]: after longer, a similar object may be nearer


class HasPoints(Protocol):
    """The part of an instance that tracking uses."""

    @property
    def points(self) -> NDArray[np.floating]:
        """(k, 3) [m], at least one, in the cloud's coordinate frame."""


class Tracker:
    """Assigns persistent ids to instances.

    Deterministic. Ids are never reused, even after a reset. Not thread-safe.

    Args:
        config: when two instances count as the same object.
    """

    def __init__(self, config: TrackingConfig | None = None) -> None:
        self.config = config or TrackingConfig()
        self._next = 1
        self._tracks: dict[int, Motion] = {}
        self._missed: set[int] = set()  # ids of objects searched for and not found since last seen
        self._stamp_s = -math.inf

    def update(
        self, instances: Sequence[HasPoints], stamp_s: float, transform: ArrayLike | None = None
    ) -> list[int]:
        """Matches a cloud's instances to earlier ones and returns their ids.

        If time jumps back (a bag starts over), tracking starts afresh. A missing object is
        remembered until `keep_s` after it was last seen.

        Args:
            instances: of one cloud; another order only permutes the ids.
            stamp_s: the cloud's stamp [s].
            transform: (4, 4) from the cloud's coordinate frame to the tracking frame, which is the
                same for all clouds; None: identity.

        Returns:
            One id per instance, at least 1, all distinct.

        Raises:
            ValueError: the transform is not rigid, or the stamp is not finite.
        """
        shapes = self._shapes(instances, stamp_s, transform)
        if stamp_s < self._stamp_s:
            self.reset()
        self._forget(stamp_s)
        # Sorted, so that neither ties nor new ids depend on the input's order.
        order = _ordered(shapes)
        found = self._recognised([shapes[row] for row in order], stamp_s)
        ids = [0] * len(shapes)
        for place, row in enumerate(order):
            known = found.get(place) or self.new_id()
            self._put(known, shapes[row], stamp_s)
            ids[row] = known
        self._missed |= {known for known, track in self._tracks.items() if track.seen_s < stamp_s}
        self._stamp_s = stamp_s
        return ids

    def recognise(
        self,
        instances: Sequence[HasPoints],
        stamp_s: float,
        transform: ArrayLike | None = None,
        exclude: Sequence[Collection[int]] = (),
    ) -> list[int | None]:
        """The ids of known objects for instances at the same place; None: not a known object.

        Changes no state. The instances need not be all of a cloud's, which may be older than the
        last one.

        Args:
            instances, stamp_s, transform: see `update`.
            exclude: for each instance, the ids that it cannot have; empty: no restriction.

        Raises:
            ValueError: the transform is not rigid, or the stamp is not finite.
        """
        shapes = self._shapes(instances, stamp_s, transform)
        ids = [known for known in self._tracks if self._remembers(known, stamp_s)]
        order = _ordered(shapes)
        overlap = self._overlaps(ids, [shapes[row] for row in order], stamp_s)
        for place, row in enumerate(order if exclude else []):
            overlap[[known in exclude[row] for known in ids], place] = 0.0
        found = {order[place]: ids[row] for row, place in _assigned(overlap).items()}
        return [found.get(row) for row in range(len(shapes))]

    def see(
        self, known: int, instance: HasPoints, stamp_s: float, transform: ArrayLike | None = None
    ) -> None:
        """Records where an object was found that is tracked by other means (see `new_id`).

        A sighting older than the object's last one is ignored.

        Args:
            known: the object's id.
            instance, stamp_s, transform: see `update`.

        Raises:
            ValueError: the transform is not rigid, or the stamp is not finite.
        """
        (shape,) = self._shapes([instance], stamp_s, transform)
        self._put(known, shape, stamp_s)
        self._forget(stamp_s)

    def miss(self, known: int, stamp_s: float) -> None:
        """Records that an object was searched for and not found; from now on `keep_s` applies.

        A cloud that is not newer than the object's last sighting is ignored.

        Args:
            known: the object's id.
            stamp_s: the cloud's stamp [s].
        """
        track = self._tracks.get(known)
        if track is not None and track.seen_s < stamp_s:
            self._missed.add(known)

    def new_id(self) -> int:
        """Reserves an id for an object that is tracked by other means."""
        self._next += 1
        return self._next - 1

    def reset(self) -> None:
        """Forgets all objects; ids continue."""
        self._tracks.clear()
        self._missed.clear()
        self._stamp_s = -math.inf

    def _shapes(
        self, instances: Sequence[HasPoints], stamp_s: float, transform: ArrayLike | None
    ) -> list[Shape]:
        if not math.isfinite(stamp_s):
            raise ValueError(f"the stamp is {stamp_s}; it must be finite seconds")
        size = (self.config.voxel_share, self.config.voxel_m)
        return [Shape.of(in_frame(instance.points, transform), *size) for instance in instances]

    def _put(self, known: int, shape: Shape, stamp_s: float) -> None:
        track = self._tracks.get(known)
        if track is not None and stamp_s < track.seen_s:
            return
        if track is None:
            self._tracks[known] = Motion(shape, stamp_s)
        else:
            track.see(shape, stamp_s, self.config.max_speed)
        self._missed.discard(known)

    def _forget(self, stamp_s: float) -> None:
        """Drops objects missing for too long, and the oldest of those not searched for."""
        kept = {
            known: track
            for known, track in self._tracks.items()
            if track.seen_s > stamp_s or self._remembers(known, stamp_s)
        }
        aside = [known for known, track in kept.items() if track.seen_s != self._stamp_s]
        if len(aside) > MOST:
            for known in sorted(aside, key=lambda known: kept[known].seen_s)[:-MOST]:
                del kept[known]
        self._tracks = kept
        self._missed &= kept.keys()

    def _remembers(self, known: int, stamp_s: float) -> bool:
        # An object that was not searched for since it was seen is assumed to be still there.
        passed = abs(stamp_s - self._tracks[known].seen_s)
        return known not in self._missed or passed <= self.config.keep_s

    def _recognised(self, shapes: Sequence[Shape], stamp_s: float) -> dict[int, int]:
        """The ids of known objects, by the index of the shape that matches each."""
        ids = list(self._tracks)
        pairs = _assigned(self._overlaps(ids, shapes, stamp_s))
        pairs |= self._jumped(shapes, stamp_s, pairs)
        return {place: ids[row] for row, place in pairs.items()}

    def _overlaps(
        self, ids: Sequence[int], shapes: Sequence[Shape], stamp_s: float
    ) -> NDArray[np.float64]:
        """IoU in space of tracks (rows) and shapes (columns); 0 below the threshold."""
        overlap = np.zeros((len(ids), len(shapes)))
        for row, known in enumerate(ids):
            overlap[row] = self._tracks[known].overlaps(shapes, stamp_s)
        return np.where(overlap >= self.config.min_overlap, overlap, 0.0)

    def _jumped(
        self, shapes: Sequence[Shape], stamp_s: float, pairs: dict[int, int]
    ) -> dict[int, int]:
        """Matches the tracks (rows) and shapes left over that are alike and near enough."""
        value = np.zeros((len(self._tracks), len(shapes)))
        left = set(range(len(shapes))) - set(pairs.values())
        for row, track in enumerate(self._tracks.values()):
            if row in pairs:
                continue
            # Only the time since the last cloud counts: earlier motion would have been seen.
            passed = min(stamp_s - self._stamp_s, stamp_s - track.seen_s, JUMP_S)
            gate = self.config.max_speed * passed
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


def _ordered(shapes: Sequence[Shape]) -> list[int]:
    """Rows of shapes, large objects first."""
    return sorted(
        range(len(shapes)), key=lambda row: (-shapes[row].reach, *shapes[row].centroid.tolist())
    )


def _assigned(value: NDArray[np.float64]) -> dict[int, int]:
    """The one-to-one assignment, row to column, of greatest total value; pairs of 0 are dropped."""
    rows, columns = linear_sum_assignment(value, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {row: column for row, column in pairs if value[row, column] > 0}
