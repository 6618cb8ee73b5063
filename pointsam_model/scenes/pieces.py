"""Pieces of furniture, vehicles and buildings from whole sides, radii and end points."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pointsam_model.scenes.objects import IDENTITY, Matrix, Piece, Vector
from pointsam_model.scenes.primitives import BOX, CAPSULE, ELLIPSOID, FRUSTUM

ALONG_X: Matrix = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0))
ALONG_Y: Matrix = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))


def box(
    sides: Sequence[float], centre: Vector, part: int = 0, rotation: Matrix = IDENTITY
) -> Piece:
    """A box of whole sides."""
    return Piece(BOX, (sides[0] / 2, sides[1] / 2, sides[2] / 2, 0.0), centre, part, rotation)


def between(low: Vector, high: Vector, part: int = 0) -> Piece:
    """The upright box from one corner to the opposite one."""
    sides = [b - a for a, b in zip(low, high, strict=True)]
    x, y, z = ((a + b) / 2 for a, b in zip(low, high, strict=True))
    return box(sides, (x, y, z), part)


def round_(
    lower: float,
    upper: float,
    height: float,
    centre: Vector,
    part: int = 0,
    rotation: Matrix = IDENTITY,
    caps: float = 3.0,
) -> Piece:
    """A cylinder or a cut cone; its axis is turned by ALONG_X or ALONG_Y."""
    return Piece(FRUSTUM, (lower, upper, height / 2, caps), centre, part, rotation)


def ball(half: Vector, centre: Vector, part: int = 0, rotation: Matrix = IDENTITY) -> Piece:
    """An ellipsoid of half axes."""
    return Piece(ELLIPSOID, (*half, 1.0), centre, part, rotation)


def rod(start: Vector, end: Vector, radius: float, part: int = 0) -> Piece:
    """A rod with round ends, from one point to another."""
    axis = [b - a for a, b in zip(start, end, strict=True)]
    length = math.sqrt(sum(a * a for a in axis))
    z = [a / length for a in axis]
    other = (0.0, 1.0, 0.0) if abs(z[1]) < 0.9 else (1.0, 0.0, 0.0)
    x = _cross(other, z)
    norm = math.sqrt(sum(a * a for a in x))
    x = [a / norm for a in x]
    y = _cross(z, x)
    rotation: Matrix = ((x[0], y[0], z[0]), (x[1], y[1], z[1]), (x[2], y[2], z[2]))
    middle = tuple((a + b) / 2 for a, b in zip(start, end, strict=True))
    return Piece(CAPSULE, (radius, length / 2, 0.0, 0.0), middle, part, rotation)  # type: ignore[arg-type]


def slab(
    start: tuple[float, float], end: tuple[float, float], width: float, thick: float, part: int = 0
) -> Piece:
    """A board across y, in the x-z plane from `start` to `end`."""
    x, z = end[0] - start[0], end[1] - start[1]
    length = math.hypot(x, z)
    cos, sin = x / length, z / length
    rotation: Matrix = ((cos, 0.0, -sin), (0.0, 1.0, 0.0), (sin, 0.0, cos))
    middle = ((start[0] + end[0]) / 2, 0.0, (start[1] + end[1]) / 2)
    return box([length, width, thick], middle, part, rotation)


def _cross(a: Sequence[float], b: Sequence[float]) -> list[float]:
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
