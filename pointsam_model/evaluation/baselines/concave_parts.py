"""A partition along concave edges, as robots segment clutter with today, measured beside ours.

The idea is that of Stein, Schoeler, Papon and Wörgötter, Object Partitioning using Local Convexity
(CVPR 2014), which the Point Cloud Library has: objects are mostly convex, and where two of them
touch the surface is concave. The rule is made by hand and knows nothing of any data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from pointsam_model import Cloud, Prompt
from pointsam_model.evaluation.baselines.kept import KeptCloud
from pointsam_model.evaluation.baselines.segments import Segment, Segments

MOST_POINTS = 8192  # of a cloud, far from each other, that are joined and cut
SAMPLE = 60_000  # points of the cloud that normals are taken from
AROUND = 30  # of them, about each point
NEIGHBOURS = 12  # that each point is joined to
CLICKED_DEG = 12.0  # normals that differ more may be at a concave edge: for the mask of a click
PROPOSED_DEG = (8.0, 12.0, 16.0, 20.0, 30.0)  # and for proposals
GAP = 3.0  # an edge longer than so many median edges is none
COMMON = 4  # neighbours that the ends of an edge must share, for it to join them
FEWEST = 50  # points of a cloud that make a proposal


@dataclass(frozen=True)
class _Surface:
    """Points that are joined: edges (e,2), which of them are no gaps, and for each how concave it
    is [degrees], 0 where it is convex."""

    size: int
    edges: NDArray[np.int64]
    joined: NDArray[np.bool_]
    concavity: NDArray[np.float64]

    def parts(self, most_deg: float) -> NDArray[np.int64]:
        """(m,) part of each point, when no edge is more concave than that."""
        smooth = self._matrix(self.joined & (self.concavity <= most_deg))
        # Around a seam single edges go astray: only those whose ends have company count.
        supported = smooth.multiply(smooth @ smooth >= COMMON)
        return connected_components(supported, directed=False)[1].astype(np.int64)

    def _matrix(self, which: NDArray[np.bool_]) -> csr_matrix:
        start, end = self.edges[which].T
        ends = np.concatenate((start, end)), np.concatenate((end, start))
        return csr_matrix((np.ones(len(ends[0]), np.int32), ends), shape=(self.size,) * 2)


class ConcaveParts:
    """Cuts a cloud along its concave edges and gaps; the mask of a click is the part that holds it,
    and the parts at several strictnesses are proposals."""

    def embed(self, cloud: Cloud) -> Segments:
        """The parts that clicks are answered with."""
        kept = KeptCloud.of(cloud, MOST_POINTS)
        return kept.segments(_surface(kept).parts(CLICKED_DEG))

    def segment(self, parts: Segments, prompts: Sequence[Prompt]) -> list[Any]:
        """The part of each prompt's first click."""
        return parts.answer(prompts)

    def generate(self, cloud: Cloud) -> list[Segment]:
        """The parts of all strictnesses, each once, the largest first."""
        kept = KeptCloud.of(cloud, MOST_POINTS)
        surface = _surface(kept)
        found: dict[bytes, Segment] = {}
        for degrees in PROPOSED_DEG:
            for segment in kept.segments(surface.parts(degrees)).all():
                if len(segment.indices) >= FEWEST:
                    found.setdefault(segment.indices.tobytes(), segment)
        return sorted(found.values(), key=lambda segment: len(segment.indices), reverse=True)


def _surface(kept: KeptCloud) -> _Surface:
    points = kept.points
    size = len(points)
    _, near = cKDTree(points).query(points, min(NEIGHBOURS + 1, size))
    start = np.repeat(np.arange(size), near.shape[1])
    low, high = np.minimum(start, near.ravel()), np.maximum(start, near.ravel())
    pairs = np.unique(low * size + high)
    edges = np.stack(np.divmod(pairs, size), axis=1)
    edges = edges[edges[:, 0] != edges[:, 1]]
    step = points[edges[:, 0]] - points[edges[:, 1]]
    length = np.linalg.norm(step, axis=1)
    normals = _normals(points, kept.sample(SAMPLE), kept.sensor)
    one, other = normals[edges[:, 0]], normals[edges[:, 1]]
    cosine = (one * other).sum(axis=1)
    concave = ((one - other) * step).sum(axis=1) < 0
    if kept.sensor is None:  # normals have no outside: any bend may be concave
        cosine, concave = np.abs(cosine), np.ones_like(concave)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return _Surface(size, edges, length <= GAP * np.median(length), np.where(concave, angle, 0.0))


def _normals(
    points: NDArray[np.float64], source: NDArray[np.float64], sensor: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """(m,3) unit normals of the source's surface at points, facing the sensor where it is known."""
    _, near = cKDTree(source).query(points, min(AROUND, len(source)))
    around = source[near]
    around -= around.mean(axis=1, keepdims=True)
    normals = np.linalg.eigh(around.transpose(0, 2, 1) @ around)[1][:, :, 0]
    if sensor is not None:
        away = ((sensor - points) * normals).sum(axis=1) < 0
        normals[away] *= -1
    return np.asarray(normals)
