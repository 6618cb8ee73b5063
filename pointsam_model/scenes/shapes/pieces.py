"""Pieces of furniture, vehicles and buildings: turned, from corner to corner, slanting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pointsam_model.scenes.shapes import objects
from pointsam_model.scenes.shapes.objects import BOTH_CAPS, IDENTITY, Matrix, Piece, Vector, about_y

ALONG_X: Matrix = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0))
ALONG_Y: Matrix = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))


def box(
    sides: Sequence[float], centre: Vector, part: int = 0, rotation: Matrix = IDENTITY
) -> Piece:
    """A box of whole sides."""
    return replace(objects.box(sides, centre, part=part), rotation=rotation)


def between(low: Vector, high: Vector, part: int = 0, soft: float = 0.0) -> Piece:
    """The upright box from one corner to the opposite one; `soft` rounds it, see `rounded`."""
    sides = [b - a for a, b in zip(low, high, strict=True)]
    x, y, z = ((a + b) / 2 for a, b in zip(low, high, strict=True))
    if soft:
        return objects.rounded(sides, (x, y, z), part=part, vertical=soft, horizontal=soft)
    return objects.box(sides, (x, y, z), part=part)


def drum(
    lower: float,
    upper: float,
    height: float,
    centre: Vector,
    part: int = 0,
    rotation: Matrix = IDENTITY,
    caps: float = BOTH_CAPS,
) -> Piece:
    """A cylinder or a cut cone; its axis is z, or turned by ALONG_X or ALONG_Y."""
    made = objects.frustum(lower, upper, height, centre, part=part, caps=caps)
    return replace(made, rotation=rotation)


def ball(half: Vector, centre: Vector, part: int = 0) -> Piece:
    """An ellipsoid of half axes."""
    return objects.ellipsoid(half, centre, part=part)


def rod(start: Vector, end: Vector, radius: float, part: int = 0) -> Piece:
    """A rod with round ends, from one point to another."""
    return objects.capsule(start, end, radius, part=part)


def slab(
    start: tuple[float, float],
    end: tuple[float, float],
    width: float,
    thick: float,
    part: int = 0,
    y: float = 0.0,
) -> Piece:
    """A board across y with its middle at `y`, in the x-z plane from `start` to `end`."""
    along, rise = end[0] - start[0], end[1] - start[1]
    middle = ((start[0] + end[0]) / 2, y, (start[1] + end[1]) / 2)
    turn = about_y(-math.atan2(rise, along))
    return box([math.hypot(along, rise), width, thick], middle, part, turn)
