"""Embedded clouds: each is encoded once and prompted many times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointsam_model.cloud.cloud import Cloud, nearest_rows
from pointsam_model.cloud.looks import Looks
from pointsam_model.cloud.reduction import Ball, ReducedCloud
from pointsam_model.device.batches import in_one
from pointsam_model.device.transfer import sent
from pointsam_model.errors import PromptError
from pointsam_model.geometry import Partition
from pointsam_model.geometry.partition import partition, sampled
from pointsam_model.nn import CloudEncoding
from pointsam_model.quality.features import Surroundings
from pointsam_model.segment.snapping import meters, snap

ROUNDING = 1e-6  # how far outside the sphere rounding may put a coordinate
NEARLY_ALL = 0.95  # share of the points: a few returns may lie far behind all others


@dataclass(frozen=True, eq=False)
class Embedding:
    """All that is computed once per cloud, on the model's device; immutable.

    Attributes:
        cloud: the source, of n points.
        kept: the m points that the network sees, and for each source point the nearest of them.
        encoding: the network's tokens, patches and interpolation table.
        center: (3,) float64 [m], subtracted from points to normalise them.
        scale: [m], then divides them; kept points end up in the unit sphere.
        snap_radius_m, snap_range_fraction: how far from the nearest point a click may be; see
            `PredictorConfig`.
        region: the part of the cloud that is embedded; None: all of it.
        make_look: embeds a part of the cloud with the same settings; None: this is such a part.
        looks: the embeddings of parts made so far, each when a click needed it.
    """

    cloud: Cloud
    kept: ReducedCloud
    encoding: CloudEncoding
    center: np.ndarray
    scale: float
    snap_radius_m: float
    snap_range_fraction: float
    region: Ball | None = None
    make_look: Callable[[Ball], Embedding] | None = None
    looks: Looks[Embedding] = field(default_factory=Looks)

    @property
    def size(self) -> int:
        """Number n of source points."""
        return self.cloud.size

    @property
    def device(self) -> torch.device:
        """The model's device."""
        return self.encoding.embedding.device

    @property
    def nbytes(self) -> int:
        """Bytes of device memory that it and its looks take, the cloud's points included.

        On a CPU that is host memory, so partitions count as well, once computed.
        """
        of_looks = sum(look._own_bytes for look in self.looks)
        return self._own_bytes + self.cloud.device_bytes + of_looks

    @property
    def _own_bytes(self) -> int:
        if self.device.type != "cpu":
            return self._device_bytes
        made = (self.__dict__.get(name) for name in ("partition", "surroundings"))
        return self._device_bytes + sum(part.nbytes for part in made if part is not None)

    @cached_property
    def _device_bytes(self) -> int:
        return _nbytes(self.encoding) + _nbytes(self.kept.kept)

    def look_at(self, ball: Ball | None) -> Embedding:
        """The embedding of the part of the cloud in a ball, cached; for None, this embedding.

        Raises:
            CloudError: too few points in the ball.
            OutOfMemory: not enough memory on the device.
        """
        if ball is None or self.make_look is None:
            return self
        make = self.make_look
        return self.looks.get(ball, lambda: make(ball))

    @cached_property
    def partition(self) -> Partition:
        """The kept points split into parts: computed on the model's device, stored on the host.

        Raises:
            OutOfMemory: not enough memory on the device.
        """
        return in_one(self._partition)

    def _partition(self) -> Partition:
        points, origin, sensor = self.kept.kept.points, self.kept.origin, self.cloud.sensor
        some = sampled((self.kept.kept.nearest >= 0).nonzero()[:, 0])
        source = self.cloud.points_at(some).to(points.device)
        source = (source.double() - sent(origin, points.device)).float()
        place = None if sensor is None else sensor - origin
        return partition(points, source, place, nearest=self.kept.kept.nearest[some].long())

    @cached_property
    def surroundings(self) -> Surroundings:
        """What the quality estimate of every mask on it uses, on the host."""
        colors = self.kept.colors
        shades = None if colors is None else colors.astype(np.float32) / np.float32(255)
        sensor, origin = self.cloud.sensor, self.kept.origin
        place = None if sensor is None else sensor - origin
        return Surroundings.of(self.partition, self.counts_on_host, shades, place)

    @cached_property
    def counts_on_host(self) -> np.ndarray:
        """`source_counts` as (m,) float32 on the host."""
        return self.source_counts.cpu().numpy().astype(np.float32)

    @cached_property
    def reach_m(self) -> float:
        """Distance from their median within which nearly all kept points lie [m]."""
        off = np.linalg.norm(self.kept.points - np.median(self.kept.points, 0), axis=1)
        return float(np.quantile(off, NEARLY_ALL))

    def points_within(self, ball: Ball) -> int:
        """Number of source points in a ball, counted at their nearest kept points."""
        inside = ball.holds(self.kept.points + self.kept.origin)
        return int(self.counts_on_host[inside].sum())

    def kept_around(self, point: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray | None]:
        """The kept points nearest to a point (3,) [m], nearest first.

        Returns:
            coordinates (c,3) float64 [m] and colours (c,3), 0 to 255, or None; c <= `count`.
        """
        kept = self.kept.points.astype(np.float64) + self.kept.origin
        rows = nearest_rows(kept, point, count)
        colors = self.kept.colors
        return kept[rows], None if colors is None else colors[rows].astype(np.float64)

    def around(self, point: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray | None]:
        """The source points nearest to a point, as `kept_around` returns kept ones."""
        return self.cloud.around(point, count)

    def kept_rows(self, points: np.ndarray) -> list[int]:
        """Indices (0 to m-1) of the kept points nearest to clicks (q,3) [m]."""
        kept = self.kept.points.astype(np.float64)
        offsets = (kept - (point - self.kept.origin) for point in points)
        return [int(np.einsum("md,md->m", offset, offset).argmin()) for offset in offsets]

    @cached_property
    def source_counts(self) -> Tensor:
        """(m,) int64 on the device: how many source points are nearest to each kept point."""
        nearest = self.kept.kept.nearest.long() + 1  # 0: not in reach of a mask
        counts = nearest.new_zeros(len(self.kept) + 1)
        return counts.scatter_add_(0, nearest, torch.ones_like(nearest))[1:]

    @cached_property
    def center_counts(self) -> Tensor:
        """(l,) int64 on the device: how many source points are nearest to each patch centre."""
        patches = self.encoding.patches
        counts = self.source_counts.new_zeros(patches.centers.shape[1])
        return counts.scatter_add_(0, patches.index[0, :, 0], self.source_counts)

    @cached_property
    def reach(self) -> float:
        """Greatest absolute normalised coordinate of a segmentable source point, at least 1.

        A point that down-sampling dropped may lie just outside the sphere of the kept ones.
        """
        low, high = self.kept.low - self.center, self.kept.high - self.center
        return max(1.0, float(max(np.abs(low).max(), np.abs(high).max()) / self.scale))

    def normalise(self, points: np.ndarray) -> np.ndarray:
        """Converts clicks (q, 3) [m] to normalised coordinates, (q, 3) float32.

        Raises:
            PromptError: a click outside the cloud's bounding sphere.
        """
        coords = (points - self.center) / self.scale
        outside = np.flatnonzero(np.abs(coords).max(1) > self.reach * (1 + ROUNDING))
        if len(outside):
            raise PromptError(
                f"click {outside[0] + 1} at {meters(points[outside[0]])} is outside the cloud, "
                f"which reaches {self.scale * self.reach:.3g} m around {meters(self.center)}"
            )
        return coords.astype(np.float32)

    def snap(self, points: np.ndarray) -> np.ndarray:
        """The valid source points nearest to clicks: (q, 3) float64 [m].

        Raises:
            PromptError: a coordinate that is not finite.
            TooFarError: a click is too far from every point; see `snapping.snap`.
        """
        extent = float(np.linalg.norm(self.kept.high - self.kept.low))
        return snap(self.cloud, points, self.snap_radius_m, self.snap_range_fraction, extent)


def _nbytes(part: Any) -> int:
    """Bytes of all tensors in a dataclass and the dataclasses nested in it."""
    if isinstance(part, Tensor):
        return part.numel() * part.element_size()
    if part is None:
        return 0
    return sum(_nbytes(getattr(part, item.name)) for item in fields(part))
