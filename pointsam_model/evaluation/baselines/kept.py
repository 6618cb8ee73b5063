"""The points of a cloud that partitions work on, and the way back to all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsam_model import Cloud
from pointsam_model.cloud.reduction import ReducedCloud
from pointsam_model.config.settings import ReductionConfig
from pointsam_model.evaluation.baselines.segments import NO_SEGMENT, Segments


@dataclass(frozen=True, eq=False)
class KeptCloud:
    """A cloud and as many of its points as the network would see.

    Attributes:
        cloud: all n points.
        reduced: the m kept ones.
    """

    cloud: Cloud
    reduced: ReducedCloud

    @classmethod
    def of(cls, cloud: Cloud, most: int) -> KeptCloud:
        """A cloud, at most so many of its points kept, far from each other.

        Raises:
            CloudError: fewer than 3 distinct points.
        """
        return cls(cloud, cloud.reduce(ReductionConfig(), most))

    @property
    def points(self) -> NDArray[np.float64]:
        """(m,3) kept points [m], from the reduction's origin."""
        return np.asarray(self.reduced.points, np.float64)

    @property
    def sensor(self) -> NDArray[np.float64] | None:
        """(3,) where the sensor stood [m], from the same origin; None: not known."""
        place = self.cloud.sensor
        return None if place is None else place - self.reduced.origin

    def sample(self, most: int) -> NDArray[np.float64]:
        """(v,3) all seen points or a fair sample of them [m], from the same origin."""
        rows = np.flatnonzero(self.cloud.valid)
        if len(rows) > most:
            rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
        return np.asarray(self.cloud.xyz[rows], np.float64) - self.reduced.origin

    def segments(self, parts: NDArray[np.int64]) -> Segments:
        """The cloud cut as its kept points are: parts (m,), each point going with its nearest."""
        return Segments(self.cloud.xyz, np.append(parts, NO_SEGMENT)[self.reduced.nearest])

    def mask(self, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(n,) the points that go with chosen kept ones (m,)."""
        return np.append(kept, False)[self.reduced.nearest]

    def kept_at(self, points: NDArray[np.floating] | Sequence[Sequence[float]]) -> list[int]:
        """The kept points that speak for the places of clicks (q,3) [m]."""
        rows, _ = self.cloud.nearest(points)
        return [int(row) for row in self.reduced.nearest[rows]]
