"""What objects are built of: primitives in the object's coordinate frame, grouped into parts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pointsam_model.scenes.solids.primitives import (
    BOX,
    CAPSULE,
    ELLIPSOID,
    FRUSTUM,
    SUPERQUADRIC,
    TORUS,
)
from pointsam_model.scenes.solids.superquadric import packed

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]
IDENTITY: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
NO_CAP, LOWER_CAP, UPPER_CAP, BOTH_CAPS = 0.0, 1.0, 2.0, 3.0


@dataclass(frozen=True)
class Piece:
    """One primitive of an object, in the object's coordinate frame (z up, metres)."""

    kind: int
    size: tuple[float, float, float, float]
    centre: Vector
    part: int  # pieces of one number are one part, such as the arcs of a handle
    rotation: Matrix = IDENTITY


# --- Pieces from whole sides, radii and end points. ---


def box(sides: Sequence[float], centre: Vector = (0, 0, 0), *, part: int) -> Piece:
    """A box of whole sides."""
    return Piece(BOX, (sides[0] / 2, sides[1] / 2, sides[2] / 2, 0.0), centre, part)


def frustum(
    lower: float,
    upper: float,
    height: float,
    centre: Vector = (0, 0, 0),
    *,
    part: int,
    caps: float = BOTH_CAPS,
) -> Piece:
    return Piece(FRUSTUM, (lower, upper, height / 2, caps), centre, part)


def ellipsoid(axes: Vector, centre: Vector, *, part: int, clip: float = 1.0) -> Piece:
    return Piece(ELLIPSOID, (*axes, clip), centre, part)


def capsule(start: Vector, end: Vector, radius: float, *, part: int) -> Piece:
    axis = [e - s for s, e in zip(start, end, strict=True)]
    length = math.sqrt(sum(a * a for a in axis))
    z = [a / length for a in axis]
    # Any unit vector across z; y follows.
    other = (0.0, 1.0, 0.0) if abs(z[1]) < 0.9 else (1.0, 0.0, 0.0)
    x = _cross(other, z)
    norm = math.sqrt(sum(a * a for a in x))
    x = (x[0] / norm, x[1] / norm, x[2] / norm)
    y = _cross(z, x)
    middle = tuple((s + e) / 2 for s, e in zip(start, end, strict=True))
    rotation = tuple((x[i], y[i], z[i]) for i in range(3))
    return Piece(CAPSULE, (radius, length / 2, 0.0, 0.0), middle, part, rotation)  # type: ignore[arg-type]


def _cross(a: Sequence[float], b: Sequence[float]) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def rounded(
    sides: Sequence[float],
    centre: Vector = (0, 0, 0),
    *,
    part: int,
    vertical: float = 0.2,
    horizontal: float = 0.2,
) -> Piece:
    """A superquadric of whole sides: by its exponents a box with rounded edges, a cushion, ..."""
    a, b, c = (side / 2 for side in sides)
    return Piece(SUPERQUADRIC, (a, b, c, packed(vertical, horizontal)), centre, part)


def arc(
    ring: float, tube: float, half_arc: float = math.pi, centre: Vector = (0, 0, 0), *, part: int
) -> Piece:
    """A ring in the plane z = 0, or the part of it up to `half_arc` [rad] to both sides of +x."""
    return Piece(TORUS, (ring, tube, 0.0, half_arc), centre, part)


# --- Turned, moved, scaled. ---


def about_x(angle: float) -> Matrix:
    c, s = math.cos(angle), math.sin(angle)
    return ((1.0, 0.0, 0.0), (0.0, c, -s), (0.0, s, c))


def about_y(angle: float) -> Matrix:
    c, s = math.cos(angle), math.sin(angle)
    return ((c, 0.0, s), (0.0, 1.0, 0.0), (-s, 0.0, c))


def about_z(angle: float) -> Matrix:
    c, s = math.cos(angle), math.sin(angle)
    return ((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0))


def turned(piece: Piece, turn: Matrix, about_itself: bool = False) -> Piece:
    """Turned about the origin, or about its own centre."""
    columns = [_applied(turn, [row[k] for row in piece.rotation]) for k in range(3)]
    x, y, z = ((columns[0][i], columns[1][i], columns[2][i]) for i in range(3))
    centre = piece.centre if about_itself else _applied(turn, piece.centre)
    return replace(piece, centre=centre, rotation=(x, y, z))


def moved(piece: Piece, by: Vector) -> Piece:
    x, y, z = piece.centre
    return replace(piece, centre=(x + by[0], y + by[1], z + by[2]))


def hinged(pieces: Iterable[Piece], turn: Matrix, hinge: Vector) -> list[Piece]:
    """Pieces turned about a point; a door about a point of its hinge."""
    back = (-hinge[0], -hinge[1], -hinge[2])
    return [moved(turned(moved(piece, back), turn), hinge) for piece in pieces]


def scaled(piece: Piece, scale: float) -> Piece:
    """Lengths of a piece times `scale`; its fourth size is no length."""
    a, b, c, extra = piece.size
    x, y, z = piece.centre
    size = (a * scale, b * scale, c * scale, extra)
    return replace(piece, size=size, centre=(x * scale, y * scale, z * scale))


def _applied(turn: Matrix, vector: Sequence[float]) -> Vector:
    x, y, z = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in turn)
    return (x, y, z)
