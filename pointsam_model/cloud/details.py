"""Details: objects too small for the spacing of the kept points, such as a screw or a button.

Around a click the source has many points where the reduced cloud has few. The click is on a detail
if it is on an island among them: a few source points alike in height or colour, which end on all
sides before the next kept points.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

NEAR, AROUND = 6, 320  # numbers of source points taken as at the click, and as around it
OUTER = 0.4  # share of those around, the farthest, taken as the surface that the detail lies on
KEPT = 9  # kept points from which their local spacing is measured
FINER = 0.5  # greatest distance of the NEAR points from the click, in spacings of kept points
NEARLY_ALL = 0.95  # quantile of the surface's own variation
DEVIATIONS = 2.0  # how far a detail stands out, in units of that variation, at least
HEIGHT = 0.05  # and in height, in spacings of kept points
TINIEST = 1e-12  # least variation, for points that coincide
COLOUR = 30.0  # and in colour, of 255
LIKE_IT, UNLIKE = 0.75, 0.04  # least share of points like the detail at the click; most around it
BEYOND = 0.15, 0.5  # zone outside a detail's edge where it must have ended, in its radii
LOW, STEEP = 0.25, 0.75  # there, at most LOW of its height is left, at least at a share STEEP
WIDTH = 4.0  # radius of a look at a detail, in spacings of kept points

Points = NDArray[np.float64]


class Detailed(Protocol):
    """A cloud, or a look at a part of one, with more source points than kept ones."""

    def around(self, point: Points, count: int) -> tuple[Points, Points | None]: ...

    def kept_around(self, point: Points, count: int) -> tuple[Points, Points | None]: ...


def detail_at(view: Detailed, click: Points) -> float | None:
    """Radius [m] of a look at the detail under a click; None: there is none.

    Args:
        view: the cloud, or the look at a part of it, that was clicked.
        click: (3,) [m].
    """
    near, colours = view.around(click, AROUND)
    kept, _ = view.kept_around(click, KEPT)
    if len(near) < AROUND or len(kept) < KEPT:
        return None
    spacing = float(np.median(np.linalg.norm(kept - click, axis=1)))
    away = np.linalg.norm(near - click, axis=1)
    if away[NEAR - 1] > FINER * spacing:
        return None  # the source is hardly finer than the kept points
    if _is_island(_heights(near)[:, None], away, HEIGHT * spacing):
        return WIDTH * spacing
    if colours is not None and _is_island(colours, away, COLOUR):
        return WIDTH * spacing
    return None


def _heights(near: Points) -> Points:
    """(k,) [m] signed distances of points (k,3) from the plane fitted to the farthest of them."""
    outer = near[-int(OUTER * len(near)) :]
    middle = outer.mean(0)
    return np.asarray((near - middle) @ np.linalg.svd(outer - middle, full_matrices=False)[2][2])


def _is_island(values: Points, away: Points, least: float) -> bool:
    """Whether the values of points stand out at the click and nowhere else.

    Args:
        values: (k,d) heights or colours, nearest to the click first.
        away: (k,) their distances from the click [m].
        least: least difference that counts.
    """
    outer = values[-int(OUTER * len(values)) :]
    usual = np.median(outer, 0)
    # A quantile: depth quantised in steps, as from structured light, has almost no deviation.
    spread = np.quantile(np.abs(outer - usual), NEARLY_ALL, 0)
    off = np.median(values[:NEAR], 0) - usual
    axis = int(np.argmax(np.abs(off) / np.maximum(spread, max(least / DEVIATIONS, TINIEST))))
    if off[axis] == 0 or abs(off[axis]) < max(DEVIATIONS * spread[axis], least):
        return False
    share = (values[:, axis] - usual[axis]) / off[axis]
    like = share > 0.5
    if like[:NEAR].mean() < LIKE_IT or like[-len(outer) :].mean() > UNLIKE:
        return False
    # A detail ends in a step. The side of a cup is off the plane around it too, but falls away
    # gradually.
    end = float(np.quantile(away[like], 0.9))
    step = float(away[away > 0].min(initial=np.inf))
    beyond = share[
        (away > end + BEYOND[0] * (end + step)) & (away < end + BEYOND[1] * (end + step))
    ]
    return len(beyond) > 0 and float((beyond < LOW).mean()) >= STEEP
