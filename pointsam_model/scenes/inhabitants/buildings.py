"""Background of streets: ground with kerbs and lawns, buildings with windows and ledges."""

from __future__ import annotations

import math
from random import Random

from pointsam_model.scenes.shapes.objects import Piece
from pointsam_model.scenes.shapes.pieces import between, box
from pointsam_model.scenes.worlds.world import GLASS, Material, Thing


def ground(rng: Random, reach: float, road: float, walk: float, lawn: bool) -> list[Thing]:
    """The ground within `reach` [m]: a road of half width `road` [m], pavements of width `walk`.

    A road wider than that is all there is: a car park, or a lawn.
    """
    rough = rng.uniform(0.01, 0.035) if lawn else rng.uniform(0.002, 0.012)
    base = Thing(
        [between((-reach - 9, -reach - 9, -1.0), (reach + 9, reach + 9, 0.0))],
        (0.0, 0.0, 0.0),
        background=True,
        surfaces={0: Material(relief=rough)},
    )
    if road > reach:
        return [base]
    things = [base]
    kerb = rng.choice((rng.uniform(0.04, 0.18), 0.0))
    slope = rng.uniform(-0.06, 0.12) if rng.random() < 0.4 else 0.0
    for side in (-1, 1):
        outer = road + walk
        if kerb:
            near, far = sorted((side * road, side * outer))
            pavement = between((-reach - 9, near, -0.5), (reach + 9, far, kerb))
            things.append(
                Thing(
                    [pavement],
                    (0.0, 0.0, 0.0),
                    background=True,
                    surfaces={0: Material(relief=rough * 0.6)},
                )
            )
        # Behind it the land may rise or fall.
        deep = reach + 9 - outer
        angle = side * slope
        cos, sin = math.cos(angle), math.sin(angle)
        rotation = ((1.0, 0.0, 0.0), (0.0, cos, -sin), (0.0, sin, cos))
        y = side * (outer + deep / 2)
        z = kerb + slope * deep / 2 - 0.3
        bank = box([2 * reach + 18, deep * 1.02, 0.6], (0.0, y, z), 0, rotation)
        things.append(
            Thing(
                [bank],
                (0.0, 0.0, 0.0),
                background=True,
                surfaces={0: Material(relief=rng.uniform(0.005, 0.03))},
            )
        )
    return things


def facade(rng: Random, x: float, y: float, wide: float, side: int) -> Thing:
    """A building from x to x + wide [m] with its front at y, on the side of that sign."""
    floors = rng.randint(1, 5)
    storey = rng.uniform(2.8, 3.8)
    tall, deep = floors * storey + 0.6, rng.uniform(6, 14)
    front = side * rng.uniform(0.06, 0.2)  # how far the windows lie back
    pieces = [_front(x, x + wide, y + front, y + front + side * deep, -1.0, tall)]
    columns = max(1, round(wide / rng.uniform(2.2, 4.0)))
    pitch = wide / columns
    solid = rng.uniform(0.3, 0.65) * pitch
    # Pillars and bands stand before the plane of the glass.
    for column in range(columns + 1):
        left = x + column * pitch - solid / 2
        left, right = max(left, x), min(left + solid, x + wide)
        pieces.append(_front(left, right, y, y + front, -1.0, tall, part=1))
    sill = rng.uniform(0.6, 1.1)
    for floor in range(floors):
        low = floor * storey
        pieces.append(
            _front(x, x + wide, y, y + front, low - (0.6 if floor else 1.0), low + sill, 1)
        )
    pieces.append(_front(x, x + wide, y, y + front, tall - 0.8, tall, 1))
    if rng.random() < 0.3:
        ledge = y - side * rng.uniform(0.1, 0.3)
        pieces.append(_front(x, x + wide, ledge, y, storey - 0.2, storey + 0.1, 1))
    if floors > 1 and rng.random() < 0.3:
        for column in range(0, columns, 2):
            out = y - side * rng.uniform(0.8, 1.4)
            left = x + column * pitch + solid / 2
            z = storey * rng.randint(1, floors - 1)
            pieces.append(_front(left, left + pitch - solid, out, y, z - 0.1, z + 0.9, 1))
    if rng.random() < 0.5:  # a door with a step
        at = x + rng.randrange(columns) * pitch + pitch / 2
        pieces.append(_front(at - 0.8, at + 0.8, y - side * 0.6, y, -0.5, 0.2, 1))
    # Most of what hits a window goes in or away.
    return Thing(pieces, (0.0, 0.0, 0.0), background=True, surfaces={0: GLASS})


def _front(
    left: float, right: float, y: float, v: float, low: float, high: float, part: int = 0
) -> Piece:
    near, far = sorted((y, v))
    return between((left, near, low), (right, far, high), part)
