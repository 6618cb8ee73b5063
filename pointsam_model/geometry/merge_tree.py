"""Nested parts of a surface: from many small ones, always merging the two least parted.

The border between two parts is the mean cut probability of the edges across it. The parts that
hold a point, from the smallest to all that is connected with it, are what a click there may mean.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

SURE = 0.03  # edges cut less probably than this make the smallest parts
SMALLEST = 6  # points of a part; smaller ones go to the neighbour they are least parted from
ABSORBING_ROUNDS = 6


class MergeTree:
    """Parts of m points and the order in which they merge.

    Attributes:
        leaf: (m,) the smallest part of each point, numbered so that each part is a run of leaves.
        first, last: (t,) the leaves of each part: first <= leaf < last. Parts 0 to l-1 are the
            leaves.
        parent: (t,) the part that each merges into; -1: none.
        height: (t,) border inside of each part, 0 to 1; 0 for leaves. Not always ascending towards
            the root.
    """

    def __init__(
        self,
        sure: NDArray[np.int64],
        start: NDArray[np.int64],
        end: NDArray[np.int64],
        cut: NDArray[np.float32],
    ) -> None:
        """Of points with edges start, end (e,) and their cut probabilities (e,).

        Args:
            sure: (m,) the parts that edges below SURE connect, as `ops.connected_parts` names them.
        """
        leaf, borders = _leaves(sure, start, end, cut)
        leaves = int(leaf.max()) + 1
        self.parent, self.height = _merged(leaves, *borders.pairs(leaves))
        order, self.first, self.last = _runs(leaves, self.parent)
        self.leaf = order[leaf]
        self._leaf_part = np.argsort(order)

    def __len__(self) -> int:
        """Number t of parts."""
        return len(self.parent)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        of_parts = self.first, self.last, self.parent, self.height, self._leaf_part
        return self.leaf.nbytes + sum(array.nbytes for array in of_parts)

    def chain(self, point: int) -> list[int]:
        """The parts that hold a point (0 to m-1), the smallest first."""
        part, chain = int(self._leaf_part[self.leaf[point]]), []
        while part >= 0:
            chain.append(part)
            part = self.parent.item(part)
        return chain

    def holds(self, part: int, point: int) -> bool:
        """Whether a part holds a point."""
        return bool(self.first[part] <= self.leaf[point] < self.last[part])

    def masks(self, parts: list[int] | NDArray[np.int64]) -> NDArray[np.bool_]:
        """(p,m) the points of some parts."""
        which = np.asarray(parts, np.int64)
        low, high = self.first[which, None], self.last[which, None]
        return (self.leaf >= low) & (self.leaf < high)


class _Borders(NamedTuple):
    """Edges between parts: the parts a, b (x,) that each joins, and its cut probability (x,)."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    cut: NDArray[np.float32]

    def after(self, became: NDArray[np.int64]) -> _Borders:
        """Those that are left once each part has become another."""
        a, b = became[self.a], became[self.b]
        across = a != b
        return _Borders(a[across], b[across], self.cut[across])

    def pairs(
        self, count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Pairs (p,2) of parts 0 to count-1 that touch, mean cut probability (p,), edges (p,)."""
        low, high = np.minimum(self.a, self.b), np.maximum(self.a, self.b)
        pair, mean, edges = _means(low, high, self.cut, count)
        return np.stack(np.divmod(pair, count), 1), mean, edges


def _leaves(
    sure: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    cut: NDArray[np.float32],
) -> tuple[NDArray[np.int64], _Borders]:
    """(m,) the smallest part of each point, numbered from 0, before they are ordered; and the edges
    between them."""
    leaf = _numbered(sure)
    borders = _Borders(start, end, cut).after(leaf)
    size = np.bincount(leaf)
    for _ in range(ABSORBING_ROUNDS):
        became = _absorbed(size, borders)
        if became is None:
            break
        leaf, borders, size = became[leaf], borders.after(became), np.bincount(became, size)
    return leaf, borders


def _numbered(parts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Parts (m,) named by their lowest rows, numbered from 0 in the order of these."""
    lowest = parts == np.arange(len(parts))
    return (np.cumsum(lowest) - 1)[parts]


def _absorbed(size: NDArray[np.floating | np.int64], borders: _Borders) -> NDArray[np.int64] | None:
    """Each small part joined to the neighbour it is least parted from: (l,) what parts of so many
    points become; None: there is none."""
    small = size < SMALLEST
    a, b, cut = borders
    here, there = small[a], small[b]
    source = np.concatenate((a[here], b[there]))
    if len(source) == 0:
        return None
    target = np.concatenate((b[here], a[there]))
    count = len(small)
    pair, mean, _ = _means(source, target, np.concatenate((cut[here], cut[there])), count)
    source, target = np.divmod(pair, count)
    first = np.flatnonzero(np.diff(source, prepend=-1))  # pairs come by their source
    least = np.repeat(np.minimum.reduceat(mean, first), np.diff(first, append=len(pair)))
    nearest = np.full(count, -1)
    best = np.flatnonzero(mean == least)[::-1]
    nearest[source[best]] = target[best]  # of equally near ones the first is written last
    own = source[first]
    links = csr_matrix((np.ones(len(own)), (own, nearest[own])), shape=(count, count))
    return connected_components(links, directed=False)[1].astype(np.int64)


def _means(
    a: NDArray[np.int64], b: NDArray[np.int64], cut: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each pair of parts: a * count + b, the mean of their edges, and how many there are."""
    # Both sums at once, the number of edges as imaginary parts.
    sums = csr_matrix((cut + np.complex128(1j), (a, b)), shape=(count, count))
    sums.sort_indices()
    pair = np.repeat(np.arange(count), np.diff(sums.indptr)) * count + sums.indices
    return pair, sums.data.real / sums.data.imag, sums.data.imag.copy()


def _merged(
    leaves: int,
    pairs: NDArray[np.int64],
    mean: NDArray[np.float64],
    edges: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Parents and heights of all parts, merging the least parted two again and again.

    A merged part takes the place of whichever of the two touches more others, so that borders with
    those that only that one touches stay as they are.
    """
    touching: list[dict[int, tuple[float, float]]] = [{} for _ in range(leaves)]
    heap = []
    for (a, b), border, count in zip(pairs.tolist(), mean.tolist(), edges.tolist(), strict=True):
        touching[a][b] = touching[b][a] = (border, count)
        heap.append((border, a, b))
    heapq.heapify(heap)
    parent, height, part = [-1] * leaves, [0.0] * leaves, list(range(leaves))
    while heap:
        border, a, b = heapq.heappop(heap)
        if touching[a].get(b, (-1.0, 0))[0] != border:
            continue  # one of them has merged since, or their border has changed
        taken, kept = (a, b) if len(touching[a]) < len(touching[b]) else (b, a)
        parent[part[a]] = parent[part[b]] = part[kept] = len(parent)
        parent.append(-1)
        height.append(border)
        around, gone = touching[kept], touching[taken]
        touching[taken] = {}
        del around[taken], gone[kept]
        for other, (mean_there, count) in gone.items():
            of_other = touching[other]
            del of_other[taken]
            if other in around:
                mean_here, more = around[other]
                mean_there = (mean_there * count + mean_here * more) / (count + more)
                count += more
            around[other] = of_other[kept] = (mean_there, count)
            heapq.heappush(heap, (mean_there, kept, other))
    return np.array(parent, np.int64), np.array(height)


def _runs(
    leaves: int, parent: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Leaves in an order in which each part is a run: (l,) places, and first and last (t,)."""
    size = np.zeros(len(parent), np.int64)
    size[:leaves] = 1
    for part, above in enumerate(parent.tolist()):
        if above >= 0:
            size[above] += size[part]  # children come before their parents
    first = np.zeros(len(parent), np.int64)
    free = 0
    taken = np.zeros(len(parent), np.int64)
    for part in range(len(parent) - 1, -1, -1):
        above = int(parent[part])
        if above < 0:
            first[part] = free
            free += size[part]
        else:
            first[part] = first[above] + taken[above]
            taken[above] += size[part]
    return first[:leaves].copy(), first, first + size
