"""Simulated clicks as the paper evaluates with (section 5.1 and appendix C), exact.

A click goes where a person would click: on the innermost point of what is still wrong, which is
the point whose nearest point outside of the wrong region is farthest away.
"""

from __future__ import annotations

import zlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

POSITIVE, NEGATIVE = 1, 0
FirstClick = Literal["deepest", "centroid", "random"]
RANDOM_DRAWS = 3  # first clicks on an object where they are random
REPRESENTATIVES = 400  # points of a region that are measured first, to rule out most others


def first_click(
    xyz: NDArray[np.floating], mask: NDArray[np.bool_], counted: NDArray[np.bool_] | None = None
) -> int | None:
    """The first click on an object: its point that is farthest from its complement.

    Args:
        xyz: (n,3) points [m].
        mask: (n,) the object.
        counted: (n,) points that take part; the others count neither as object nor as complement
            and are never clicked. None: every point counts.

    Returns:
        The row of the click, the lowest of equals; None when no counted point is in the mask.
    """
    counted = _all_if_none(counted, mask)
    found = innermost(xyz, mask & counted, counted)
    return None if found is None else found[0]


def first_clicks(
    kind: FirstClick,
    xyz: NDArray[np.floating],
    mask: NDArray[np.bool_],
    counted: NDArray[np.bool_] | None = None,
    name: str = "",
) -> list[int]:
    """First clicks on an object, each of which begins a series of its own.

    Args:
        kind: "deepest": as `first_click`, the paper's; "centroid": the point nearest to the
            object's mean; "random": RANDOM_DRAWS of its points, any as likely as any other.
        xyz, mask, counted: as in `first_click`.
        name: what random draws are seeded with: the same for the same name.

    Returns:
        Rows; empty when no counted point is in the mask.
    """
    counted = _all_if_none(counted, mask)
    if kind == "deepest":
        found = first_click(xyz, mask, counted)
        return [] if found is None else [found]
    rows = np.flatnonzero(mask & counted)
    if rows.size == 0:
        return []
    if kind == "centroid":
        return [int(rows[_nearest_to_mean(np.asarray(xyz[rows], np.float64))])]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return [int(row) for row in rng.choice(rows, RANDOM_DRAWS)]


def next_click(
    xyz: NDArray[np.floating],
    truth: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    counted: NDArray[np.bool_] | None = None,
) -> tuple[int, int] | None:
    """The click that corrects a predicted mask.

    The false positives and the false negatives each offer their innermost point; the one that is
    farther from its region's complement is clicked. Between equals the false negative wins.

    Args:
        xyz: (n,3) points [m].
        truth: (n,) the object.
        predicted: (n,) the mask so far.
        counted: as in `first_click`.

    Returns:
        The row of the click and its label, 1 for a point that the mask misses and 0 for one that
        it holds wrongly; None when the mask is right at every counted point.
    """
    counted = _all_if_none(counted, truth)
    missed = innermost(xyz, truth & ~predicted & counted, counted)
    wrong = innermost(xyz, predicted & ~truth & counted, counted)
    if missed is not None and (wrong is None or missed[1] >= wrong[1]):
        return missed[0], POSITIVE
    return None if wrong is None else (wrong[0], NEGATIVE)


def innermost(
    xyz: NDArray[np.floating], region: NDArray[np.bool_], counted: NDArray[np.bool_]
) -> tuple[int, float] | None:
    """The point of a region that is farthest from the counted points outside of it.

    Args:
        xyz: (n,3) points [m].
        region: (n,) a subset of `counted`.
        counted: (n,) the points that take part.

    Returns:
        Its row (the lowest of equals) and its distance [m] to the nearest point outside. A region
        of every counted point has no outside: the point nearest to its mean, at infinity. None
        for an empty region.
    """
    rows = np.flatnonzero(region)
    if rows.size == 0:
        return None
    inside = np.asarray(xyz[rows], dtype=np.float64)
    outside_rows = np.flatnonzero(counted & ~region)
    if outside_rows.size == 0:
        return int(rows[_nearest_to_mean(inside)]), float("inf")
    outside = np.asarray(xyz[outside_rows], dtype=np.float64)
    near, margin = _around(inside, outside)
    row, distance = _farthest(inside, near) if near.size else (0, np.inf)
    if distance > margin:  # a point beyond the box might be nearer than what the box holds
        row, distance = _farthest(inside, outside)
    return int(rows[row]), distance


def _nearest_to_mean(points: NDArray[np.float64]) -> int:
    return int(np.argmin(np.linalg.norm(points - points.mean(axis=0), axis=1)))


def _around(
    inside: NDArray[np.float64], outside: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """The outside points in the region's box grown by a margin; farther ones rarely matter."""
    low, high = inside.min(axis=0), inside.max(axis=0)
    margin = max(float((high - low).max()) / 2, 1e-3)
    boxed = np.all((outside >= low - margin) & (outside <= high + margin), axis=1)
    return outside[boxed], margin


def _farthest(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> tuple[int, float]:
    """Row of `inside` whose nearest `outside` point is farthest, and that distance.

    Distances to a set change by no more than the step between two points, so a few measured
    representatives bound all others, and most points need not be measured.
    """
    tree = cKDTree(outside, balanced_tree=False, compact_nodes=False)
    if len(inside) <= REPRESENTATIVES:
        distance = np.asarray(tree.query(inside)[0])
        row = int(np.argmax(distance))
        return row, float(distance[row])
    representatives = inside[:: len(inside) // REPRESENTATIVES]
    measured = np.asarray(tree.query(representatives)[0])
    step, nearest = map(np.asarray, cKDTree(representatives, balanced_tree=False).query(inside))
    bound = measured[nearest] + step
    rows = np.flatnonzero(bound >= measured.max() * (1 - 1e-9))
    distance = np.asarray(tree.query(inside[rows])[0])
    best = int(np.argmax(distance))
    return int(rows[best]), float(distance[best])


def _all_if_none(counted: NDArray[np.bool_] | None, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.ones(mask.shape, dtype=bool) if counted is None else counted
