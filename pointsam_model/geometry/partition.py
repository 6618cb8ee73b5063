"""A cloud's parts: its surface, where objects probably end on it, and what merges into what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointsam_model import ops
from pointsam_model.device.cores import on_one_core
from pointsam_model.device.transfer import fetched, sent
from pointsam_model.geometry.merge_tree import SURE, MergeTree
from pointsam_model.geometry.surface_graph import (
    FEATURES,
    SurfaceGraph,
    neighbourhoods,
    surface_graph,
)
from pointsam_model.geometry.walker import Walker
from pointsam_model.nn.estimator import Estimator

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

    @property
    def nbytes(self) -> int:
        """Bytes of the host's memory that it takes beside its points, with the walker once made."""
        arrays = self.neighbours, self.start, self.end, self.length, self.cut
        walker = self.__dict__.get("walker")
        of_walker = 0 if walker is None else walker.nbytes
        return sum(array.nbytes for array in arrays) + self.tree.nbytes + of_walker

    @cached_property
    def walker(self) -> Walker:
        """Spreads clicks over the surface."""
        return Walker(self.start, self.end, self.length, self.cut, self.neighbours)


def partition(
    points: Tensor,
    source: Tensor,
    sensor: NDArray[np.float64] | None,
    cuts: Estimator | None = None,
    nearest: Tensor | None = None,
) -> Partition:
    """The parts of kept points.

    What is computed of all edges or points at once is computed on the device that has the points.
    Then edges, cuts, neighbours and the smallest parts go to the host, in one copy. There they
    stay: merging takes one pair of some hundred parts after another, and which is next is known
    only when one is merged; candidates walk up that tree, and walkers take a few steps over a few
    thousand points. A GPU would start a small kernel for each, and wait for it.

    Args:
        points: (m,3) float32 kept points [m], at least 3.
        source: (v,3) float32 on the same device, all points there, or the sample that is looked at.
        sensor: (3,) its place in the same coordinates; None: not known.
        cuts: tells edges between objects; None: the shipped one.
        nearest: (v,) int64, the kept point that is nearest to each of `source`, as reducing knows
            it; None: found here.
    """
    around = neighbourhoods(points)

    def parted() -> Partition:
        graph = graph_of(points, source, sensor, nearest, around)
        with torch.inference_mode():
            cut = (cuts or shipped_cuts())(graph.features)[:, 0]
        (sure,) = ops.connected_parts(graph.start, graph.end, cut, len(points), [SURE])
        of_edges = graph.start, graph.end, graph.length / max(graph.spacing, 1e-9), cut
        places, neighbours, parts, *on_host = fetched(points, graph.neighbours, sure, *of_edges)
        start, end, length, probable = on_host
        tree = MergeTree(parts, start, end, probable)
        return Partition(places, neighbours, start, end, length, graph.spacing, probable, tree)

    # Beside the search no operation is worth sharing out: two cores took as long as one.
    return on_one_core(parted) if points.device.type == "cpu" else parted()


def graph_of(
    points: Tensor,
    source: Tensor,
    sensor: NDArray[np.float64] | None,
    nearest: Tensor | None = None,
    around: Tensor | None = None,
) -> SurfaceGraph:
    """The surface of kept points, see `partition`; around: their `neighbourhoods`, if known."""
    around = neighbourhoods(points) if around is None else around
    place = None if sensor is None else sent(np.asarray(sensor, np.float32), points.device)
    some = sampled(source)
    cells = ops.nearest_point(some, points) if nearest is None else sampled(nearest)
    return surface_graph(points, around, some, cells, place)


def sampled(rows: Tensor) -> Tensor:
    """At most SAMPLE rows of (v,...), chosen alike each time; one may come twice."""
    if len(rows) <= SAMPLE:
        return rows
    # In order: points that are read one after the other then lie together, in memory and space.
    chosen = np.sort(np.random.default_rng(0).integers(0, len(rows), SAMPLE))
    return rows.index_select(0, sent(chosen, rows.device))


@cache
def shipped_cuts() -> Estimator:
    """The estimator of cut edges that comes with this package."""
    return Estimator.read(CUTS, FEATURES, 1)
