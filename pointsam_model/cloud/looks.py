"""Looks: parts of a cloud that are reduced and embedded separately.

The whole cloud is one look. It suffices while the clicked object keeps enough points in it; but a
car in a whole LiDAR sweep keeps a dozen, and a screw on a table none. Then a look at the
surroundings of the click is used instead, or as well.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pointsam_model.cloud.reduction import Ball

Look = TypeVar("Look")

MOST_LOOKS = 8  # kept per cloud
# A view that reaches no farther than this from its middle resolves hand-sized objects.
SMALL_SCENE_M = 2.0
# Radius of a look into views that reach so far: furniture in rooms, vehicles outdoors.
ROOM_M, ROOM_LOOK_M = 12.0, 1.5
OUTDOOR_LOOK_M = 8.0
FEWEST_POINTS = 400  # source points in a look: with fewer, it is widened
WIDER = 2.0
ROUNDED = 16  # a look's middle is rounded to 1/16 of its radius, so that close clicks share it
TINY_POINTS = 60  # kept points in a claim below which it gets its own look


class Looks(Generic[Look]):
    """A cache of a cloud's looks by their balls; the least recently used is dropped first."""

    def __init__(self) -> None:
        self._made: OrderedDict[Ball, Look] = OrderedDict()
        self._lock = Lock()

    def __iter__(self) -> Iterator[Look]:
        with self._lock:
            return iter(list(self._made.values()))

    def __len__(self) -> int:
        return len(self._made)

    def get(self, ball: Ball, make: Callable[[], Look]) -> Look:
        """The look in a ball, made if it is not cached."""
        with self._lock:
            look = self._made.get(ball)
            if look is not None:
                self._made.move_to_end(ball)
                return look
        look = make()  # without a lock: several threads may make the same one
        with self._lock:
            self._made[ball] = look
            while len(self._made) > MOST_LOOKS:
                self._made.popitem(last=False)
        return look


class View(Protocol):
    """What choosing a look needs from an embedded cloud, or from a part of one."""

    @property
    def center(self) -> NDArray[np.float64]: ...  # (3,) its middle [m]

    @property
    def reach_m(self) -> float: ...  # its radius about its middle, without outliers [m]

    def points_within(self, ball: Ball) -> int: ...


def look_for(view: View, clicks: Sequence[NDArray[np.float64]]) -> Ball | None:
    """Chooses the look that answers clicks on one object.

    Args:
        view: the whole cloud.
        clicks: (3,) each [m]; the first one is on the object.

    Returns:
        A ball that contains all clicks; None: use the whole cloud.
    """
    radius = radius_of(view.reach_m)
    return None if radius is None else wide_enough(view, rounded(view, clicks[0], radius), clicks)


def radius_of(reach_m: float) -> float | None:
    """Radius [m] of looks into a view that reaches so far [m]; None: it is small enough whole."""
    if reach_m <= SMALL_SCENE_M:
        return None
    return ROOM_LOOK_M if reach_m <= ROOM_M else OUTDOOR_LOOK_M


def rounded(view: View, point: NDArray[np.float64], radius: float) -> Ball:
    """A ball around a point, rounded so that clicks close together share it."""
    step = radius / ROUNDED
    x, y, z = (np.round((np.asarray(point) - view.center) / step) * step + view.center).tolist()
    return Ball((x, y, z), radius)


def wide_enough(view: View, ball: Ball, clicks: Sequence[NDArray[np.float64]]) -> Ball | None:
    """The ball, widened until it holds all clicks and enough points; None: use the whole cloud."""
    while True:
        if ball.radius >= view.reach_m:
            return None
        inner = Ball(ball.center, 0.8 * ball.radius)
        if inner.holds(np.array(clicks)).all() and view.points_within(ball) >= FEWEST_POINTS:
            return ball
        ball = Ball(ball.center, WIDER * ball.radius)
