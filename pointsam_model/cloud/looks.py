"""Looks: parts of a cloud that are reduced and embedded for themselves.

All of a cloud is one look. It serves as long as what is clicked keeps enough points in it: on a
street the whole sweep leaves a car a dozen, and a screw on a table none. Then the surroundings of
the click are looked at instead, or as well.
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

MOST_LOOKS = 8  # kept with a cloud
# A view that reaches no farther than this about its middle shows things of hand's size as a whole.
SMALL_SCENE_M = 2.0
# Furniture in rooms, vehicles outdoors: radius of a look into views that reach so far.
ROOM_M, ROOM_LOOK_M = 12.0, 1.5
OUTDOOR_LOOK_M = 8.0
FEWEST_POINTS = 400  # source points of a look: with fewer, it becomes twice as wide
WIDER = 2.0
ROUNDED = 16  # steps of a look's radius that its middle is rounded to, so that near clicks share it
TINY_POINTS = 60  # kept points of a claim below which it is worth a look of its own


class Looks(Generic[Look]):
    """The looks of a cloud by their balls, the least recently used dropped first."""

    def __init__(self) -> None:
        self._made: OrderedDict[Ball, Look] = OrderedDict()
        self._lock = Lock()

    def __iter__(self) -> Iterator[Look]:
        with self._lock:
            return iter(list(self._made.values()))

    def __len__(self) -> int:
        return len(self._made)

    def get(self, ball: Ball, make: Callable[[], Look]) -> Look:
        """The look of a ball, made when it is not there."""
        with self._lock:
            look = self._made.get(ball)
            if look is not None:
                self._made.move_to_end(ball)
                return look
        look = make()  # several threads may make the same one: none waits for another
        with self._lock:
            self._made[ball] = look
            while len(self._made) > MOST_LOOKS:
                self._made.popitem(last=False)
        return look


class View(Protocol):
    """What the choice of a look needs to know of an embedded cloud, or of a part of one."""

    @property
    def center(self) -> NDArray[np.float64]: ...  # (3,) its middle [m]

    @property
    def reach_m(self) -> float: ...  # how far the view reaches about its middle, but for outliers

    def points_within(self, ball: Ball) -> int: ...


def look_for(view: View, clicks: Sequence[NDArray[np.float64]]) -> Ball | None:
    """The look that clicks on one object are answered from.

    Args:
        view: all of the cloud.
        clicks: (3,) each [m], the first on the object.

    Returns:
        A ball that holds them all; None: all of the cloud.
    """
    radius = radius_of(view.reach_m)
    return None if radius is None else wide_enough(view, rounded(view, clicks[0], radius), clicks)


def radius_of(reach_m: float) -> float | None:
    """Radius [m] of looks at a view that reaches so far; None: it is small, and seen as a whole."""
    if reach_m <= SMALL_SCENE_M:
        return None
    return ROOM_LOOK_M if reach_m <= ROOM_M else OUTDOOR_LOOK_M


def rounded(view: View, point: NDArray[np.float64], radius: float) -> Ball:
    """A ball about nearly a point: clicks beside each other share it, wherever the view lies."""
    step = radius / ROUNDED
    x, y, z = (np.round((np.asarray(point) - view.center) / step) * step + view.center).tolist()
    return Ball((x, y, z), radius)


def wide_enough(view: View, ball: Ball, clicks: Sequence[NDArray[np.float64]]) -> Ball | None:
    """The ball, widened until it holds all clicks and enough points; None: that is all there is."""
    while True:
        if ball.radius >= view.reach_m:
            return None
        inner = Ball(ball.center, 0.8 * ball.radius)
        if inner.holds(np.array(clicks)).all() and view.points_within(ball) >= FEWEST_POINTS:
            return ball
        ball = Ball(ball.center, WIDER * ball.radius)
