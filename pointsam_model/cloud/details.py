"""Things too small for the kept points: a screw on a table, a button.

Around a click the source has many points where the reduced cloud has a few. What the click lies on
is such a detail if it is an island among them: a few source points like those at the click, in
height or in colour, that end on all sides before the next kept points begin.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

NEAR, AROUND = 6, 320  # source points at the click, and about it
OUTER = 0.4  # share of those about it that are the farthest: what the detail lies on
KEPT = 9  # kept points that tell how far apart they are there
FINER = 0.5  # a source point among NEAR lies this near to the click, in spacings of kept points
NEARLY_ALL = 0.95  # of the points around: what they differ by from each other
DEVIATIONS = 2.0  # in those differences, by which the detail stands out from them
HEIGHT = 0.05  # of the kept points' spacing that it stands out at least
TINIEST = 1e-12  # difference of points that coincide
COLOUR = 30.0  # of 255 that it stands out at least
LIKE_IT, UNLIKE = 0.75, 0.04  # share of the points at the click, and around it, that are like it
BEYOND = 0.15, 0.5  # in its radii, how far from its edge a detail has ended
LOW, STEEP = 0.25, 0.75  # so much of its height is left there at most, at so many of the points
WIDTH = 4.0  # radius of a look at a detail, in spacings of the kept points

Points = NDArray[np.float64]


class Detailed(Protocol):
    """A cloud, or a look at a part of one, with more source points than kept ones."""

    def around(self, point: Points, count: int) -> tuple[Points, Points | None]: ...

    def kept_around(self, point: Points, count: int) -> tuple[Points, Points | None]: ...


def detail_at(view: Detailed, click: Points) -> float | None:
    """Radius [m] of a look at the detail under a click (3,); None: there is none.

    Args:
        view: what the click is in.
        click: [m].
    """
    near, colours = view.around(click, AROUND)
    kept, _ = view.kept_around(click, KEPT)
    if len(near) < AROUND or len(kept) < KEPT:
        return None
    spacing = float(np.median(np.linalg.norm(kept - click, axis=1)))
    away = np.linalg.norm(near - click, axis=1)
    if away[NEAR - 1] > FINER * spacing:
        return None  # the source is hardly finer than what is kept of it
    if _is_island(_heights(near)[:, None], away, HEIGHT * spacing):
        return WIDTH * spacing
    if colours is not None and _is_island(colours, away, COLOUR):
        return WIDTH * spacing
    return None


def _heights(near: Points) -> Points:
    """(k,) [m] how far points (k,3) lie off the plane through the farthest of them."""
    outer = near[-int(OUTER * len(near)) :]
    middle = outer.mean(0)
    return np.asarray((near - middle) @ np.linalg.svd(outer - middle, full_matrices=False)[2][2])


def _is_island(values: Points, away: Points, least: float) -> bool:
    """Whether values (k,d) of points, the nearest to the click first, stand out at the click only.

    Args:
        away: (k,) their distances from the click.
        least: difference that counts at least.
    """
    outer = values[-int(OUTER * len(values)) :]
    usual = np.median(outer, 0)
    # Depths in steps, as of structured light, have hardly a deviation: what nearly all stay below.
    spread = np.quantile(np.abs(outer - usual), NEARLY_ALL, 0)
    off = np.median(values[:NEAR], 0) - usual
    axis = int(np.argmax(np.abs(off) / np.maximum(spread, max(least / DEVIATIONS, TINIEST))))
    if off[axis] == 0 or abs(off[axis]) < max(DEVIATIONS * spread[axis], least):
        return False
    share = (values[:, axis] - usual[axis]) / off[axis]
    like = share > 0.5
    if like[:NEAR].mean() < LIKE_IT or like[-len(outer) :].mean() > UNLIKE:
        return False
    # It ends in a step. The middle of a cup's side lies off every plane around it, but falls away
    # slowly.
    end = float(np.quantile(away[like], 0.9))
    step = float(away[away > 0].min(initial=np.inf))
    beyond = share[
        (away > end + BEYOND[0] * (end + step)) & (away < end + BEYOND[1] * (end + step))
    ]
    return len(beyond) > 0 and float((beyond < LOW).mean()) >= STEEP
