"""A cloud's parts: its surface, where objects probably end on it, and what merges into what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pointsam_model.estimator import Estimator
from pointsam_model.geometry.merge_tree import MergeTree
from pointsam_model.geometry.surface_graph import FEATURES, SurfaceGraph, surface_graph
from pointsam_model.geometry.walker import Walker

CUTS = Path(__file__).parents[1] / "weights" / "cuts.safetensors"
SAMPLE = 30_000  # source points that normals are taken from


@dataclass(frozen=True, eq=False)
class Partition:
    """The parts of a cloud's kept points, on the host.

    Attributes:
        points: (m,3) float32 [m].
        neighbours: (m,k) int64.
        start, end: (e,) int64 edges.
        length: (e,) float32, in units of the median edge.
        spacing: the median edge [m].
        cut: (e,) float32, probability that two objects meet there.
        tree: the parts.
    """

    points: NDArray[np.float32]
    neighbours: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    length: NDArray[np.float32]
    spacing: float
    cut: NDArray[np.float32]
    tree: MergeTree

    def __len__(self) -> int:
        """Number m of points."""
        return len(self.points)

    @cached_property
    def walker(self) -> Walker:
        """Spreads clicks over the surface."""
        return Walker(self.start, self.end, self.length, self.cut, self.neighbours)


def partition(
    points: NDArray[np.float32],
    source: NDArray[np.float32],
    sensor: NDArray[np.float64] | None,
    cuts: Estimator | None = None,
) -> Partition:
    """The parts of kept points.

    Args:
        points: (m,3) kept points [m], at least 3.
        source: (v,3) all points there, of which a sample is looked at.
        sensor: (3,) its place in the same coordinates; None: not known.
        cuts: tells edges between objects; None: the shipped one.
    """
    graph = graph_of(points, source, sensor)
    with torch.inference_mode():
        cut = (cuts or shipped_cuts())(graph.features)[:, 0]
    start, end, probable = graph.start.numpy(), graph.end.numpy(), cut.numpy()
    unit = max(graph.spacing, 1e-9)
    return Partition(
        points,
        graph.neighbours.numpy(),
        start,
        end,
        (graph.length / unit).numpy(),
        graph.spacing,
        probable,
        MergeTree(len(points), start, end, probable),
    )


def graph_of(
    points: NDArray[np.float32],
    source: NDArray[np.float32],
    sensor: NDArray[np.float64] | None,
) -> SurfaceGraph:
    """The surface of kept points, see `partition`."""
    if len(source) > SAMPLE:
        source = source[np.random.default_rng(0).integers(0, len(source), SAMPLE)]
    place = None if sensor is None else torch.from_numpy(np.asarray(sensor, np.float32))
    return surface_graph(torch.from_numpy(points), torch.from_numpy(source), place)


@cache
def shipped_cuts() -> Estimator:
    """The estimator of cut edges that comes with this package."""
    return Estimator.read(CUTS, FEATURES)
