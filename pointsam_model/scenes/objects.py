"""Tabletop objects, each built of a few primitives that are grouped into parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from pointsam_model.scenes.primitives import BOX, CAPSULE, ELLIPSOID, FRUSTUM

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]
IDENTITY: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_BOTH_CAPS, _LOWER_CAP, _UPPER_CAP = 3.0, 1.0, 2.0


@dataclass(frozen=True)
class Piece:
    """One primitive of an object, in the object's coordinate frame (z up, metres)."""

    kind: int
    size: tuple[float, float, float, float]
    centre: Vector
    part: int  # pieces of one number are one part, such as the arcs of a handle
    rotation: Matrix = IDENTITY


def draw_object(rng: Random, scale: float) -> list[Piece]:
    """A random object as it would lie or stand on a table; `scale` multiplies its size."""
    shape = rng.choices(_SHAPES, _WEIGHTS)[0]
    pieces = shape(rng)
    if scale != 1.0:
        pieces = [_scaled(piece, scale) for piece in pieces]
    turn = _resting_turn(rng, shape)
    return pieces if turn is IDENTITY else [_turned(piece, turn) for piece in pieces]


def _resting_turn(rng: Random, shape: Callable[[Random], list[Piece]]) -> Matrix:
    """Some things also lie on their side or stand upside down."""
    draw = rng.random()
    if shape in (can, bottle, spray, cone, jar, carton) and draw < 0.3:
        return _about_x(math.pi / 2)
    if shape in (mug, cup) and draw < 0.12:
        return _about_x(math.pi / 2)
    if shape in (mug, cup, bowl) and draw < 0.22:
        return _about_x(math.pi)
    return IDENTITY


# --- Shapes. Each stands upright with its middle near the origin; sizes in metres. ---


def block(rng: Random) -> list[Piece]:
    sides = [rng.uniform(0.04, 0.22) for _ in range(3)]
    return [_box(sides, part=0)]


def carton(rng: Random) -> list[Piece]:
    """Cereal box: high and flat, standing on its narrow side."""
    height = rng.uniform(0.12, 0.30)
    sides = [height * rng.uniform(0.5, 0.8), rng.uniform(0.03, 0.08), height]
    return [_box(sides, part=0)]


def flat_box(rng: Random) -> list[Piece]:
    return [
        _box([rng.uniform(0.08, 0.30), rng.uniform(0.07, 0.22), rng.uniform(0.02, 0.07)], part=0)
    ]


def book(rng: Random) -> list[Piece]:
    """Two covers and a block of pages, a little smaller than them."""
    width, depth, height = rng.uniform(0.12, 0.28), rng.uniform(0.1, 0.21), rng.uniform(0.012, 0.05)
    if rng.random() < 0.5:
        return [_box([width, depth, height], part=0)]
    cover = 0.003
    inner = height - 2 * cover
    return [
        _box([width, depth, cover], (0, 0, (height - cover) / 2), part=0),
        _box([width, depth, cover], (0, 0, -(height - cover) / 2), part=0),
        _box([cover, depth, height], ((cover - width) / 2, 0, 0), part=0),
        _box([width - 0.008, depth - 0.01, inner], (-0.003, 0, 0), part=1),
    ]


def plate(rng: Random) -> list[Piece]:
    """Thin and flat: a sheet, a board or a round plate."""
    if rng.random() < 0.5:
        return [
            _box(
                [rng.uniform(0.1, 0.32), rng.uniform(0.08, 0.24), rng.uniform(0.006, 0.015)], part=0
            )
        ]
    radius = rng.uniform(0.06, 0.13)
    foot = radius * rng.uniform(0.55, 0.75)
    height = rng.uniform(0.012, 0.03)
    return [_frustum(foot, radius, height, caps=_LOWER_CAP, part=0)]


def can(rng: Random) -> list[Piece]:
    radius = rng.uniform(0.022, 0.06)
    return [_frustum(radius, radius, rng.uniform(0.05, 0.2), part=0)]


def tin(rng: Random) -> list[Piece]:
    """Wide and low, with a lid that stands over a little."""
    radius, height = rng.uniform(0.05, 0.11), rng.uniform(0.03, 0.09)
    lid = rng.uniform(0.008, 0.02)
    return [
        _frustum(radius, radius, height, part=0),
        _frustum(radius * 1.03, radius * 1.03, lid, (0, 0, (height - lid) / 2 + 0.002), part=1),
    ]


def bottle(rng: Random) -> list[Piece]:
    radius, body = rng.uniform(0.024, 0.045), rng.uniform(0.07, 0.17)
    neck, shoulder, cap = (
        radius * rng.uniform(0.3, 0.5),
        rng.uniform(0.02, 0.06),
        rng.uniform(0.015, 0.05),
    )
    z = -body / 2
    return [
        _frustum(radius, radius, body, part=0),
        _frustum(radius, neck, shoulder, (0, 0, z + body + shoulder / 2), part=0),
        _frustum(
            neck, neck * rng.uniform(0.9, 1.1), cap, (0, 0, z + body + shoulder + cap / 2), part=1
        ),
    ]


def spray(rng: Random) -> list[Piece]:
    """Rounded flask with a head on top."""
    radius, height = rng.uniform(0.022, 0.04), rng.uniform(0.1, 0.18)
    head = rng.uniform(0.02, 0.05)
    return [
        _frustum(radius, radius, height, part=0),
        _ellipsoid((radius, radius, radius * 0.8), (0, 0, height / 2), part=0),
        _box([radius, radius * 1.6, head], (0, 0, height / 2 + radius * 0.7 + head / 2), part=1),
    ]


def jar(rng: Random) -> list[Piece]:
    radius, height = rng.uniform(0.03, 0.055), rng.uniform(0.06, 0.13)
    lid, top = rng.uniform(0.01, 0.025), radius * rng.uniform(0.75, 1.04)
    return [
        _frustum(radius * rng.uniform(0.85, 1.0), radius, height, part=0),
        _frustum(top, top, lid, (0, 0, (height + lid) / 2), part=1),
    ]


def cup(rng: Random) -> list[Piece]:
    top = rng.uniform(0.03, 0.05)
    return [
        _frustum(top * rng.uniform(0.6, 1.0), top, rng.uniform(0.06, 0.14), caps=_LOWER_CAP, part=0)
    ]


def mug(rng: Random) -> list[Piece]:
    top, height = rng.uniform(0.032, 0.05), rng.uniform(0.07, 0.12)
    base = top * rng.uniform(0.8, 1.0)
    body = _frustum(base, top, height, caps=_LOWER_CAP, part=0)
    reach, thick = height * rng.uniform(0.25, 0.4), rng.uniform(0.004, 0.007)
    arc = [math.radians(angle) for angle in (-90, -45, 0, 45, 90)]
    start = 0.5 * (base + top) * 0.97
    points = [(start + reach * math.cos(a) * 0.9, 0.0, reach * math.sin(a)) for a in arc]
    return [body] + [_capsule(p, q, thick, part=1) for p, q in pairwise(points)]


def bowl(rng: Random) -> list[Piece]:
    radius, depth = rng.uniform(0.05, 0.12), rng.uniform(0.35, 0.8)
    foot = radius * rng.uniform(0.4, 0.6)
    height = radius * depth
    return [
        _ellipsoid((radius, radius, height), (0, 0, 0), part=0, clip=rng.uniform(-0.12, 0.0)),
        _frustum(foot, foot * 0.95, height * 0.3, (0, 0, -height * 0.88), part=0),
    ]


def ball(rng: Random) -> list[Piece]:
    radius = rng.uniform(0.02, 0.08)
    return [_ellipsoid((radius, radius, radius), (0, 0, 0), part=0)]


def fruit(rng: Random) -> list[Piece]:
    """Ellipsoid: fruit, bag, soft toy."""
    axes = (rng.uniform(0.025, 0.1), rng.uniform(0.025, 0.08), rng.uniform(0.02, 0.06))
    return [_ellipsoid(axes, (0, 0, 0), part=0)]


def cone(rng: Random) -> list[Piece]:
    radius = rng.uniform(0.03, 0.08)
    tip = radius * rng.choice((0.0, 0.0, 0.2, 0.5))
    return [_frustum(radius, max(tip, 1e-3), rng.uniform(0.06, 0.2), part=0)]


def tool(rng: Random) -> list[Piece]:
    """Handle and head, lying flat: hammer, screwdriver, brush, spoon."""
    thick, length = rng.uniform(0.007, 0.016), rng.uniform(0.08, 0.22)
    handle = _capsule((0, 0, 0), (length, 0, 0), thick, part=0)
    head_kind = rng.randrange(4)
    end = length + thick
    if head_kind == 0:
        side = rng.uniform(0.06, 0.12)
        width = rng.uniform(1.2, 2.0) * thick
        return [handle, _box([width * 1.2, side, width * 2], (end, 0, 0), part=1)]
    if head_kind == 1:
        blade = rng.uniform(0.05, 0.14)
        return [handle, _capsule((end, 0, 0), (end + blade, 0, 0), thick * 0.35, part=1)]
    if head_kind == 2:
        wide = rng.uniform(0.03, 0.08)
        return [handle, _box([wide * 1.2, wide, thick * 1.4], (end + wide * 0.6, 0, 0), part=1)]
    wide = rng.uniform(0.02, 0.04)
    return [handle, _ellipsoid((wide * 1.4, wide, thick), (end + wide, 0, 0), part=1)]


def lidded_box(rng: Random) -> list[Piece]:
    width, depth, height = (
        rng.uniform(0.06, 0.24),
        rng.uniform(0.05, 0.18),
        rng.uniform(0.04, 0.14),
    )
    lid = rng.uniform(0.015, 0.04)
    over = rng.uniform(0.002, 0.012)
    return [
        _box([width, depth, height], part=0),
        _box([width + over, depth + over, lid], (0, 0, (height + lid) / 2), part=1),
    ]


def compound(rng: Random) -> list[Piece]:
    """Two or three blocks or cylinders grown together, as an appliance or a toy."""
    width, depth, height = (
        rng.uniform(0.07, 0.2),
        rng.uniform(0.06, 0.16),
        rng.uniform(0.04, 0.12),
    )
    pieces = [_box([width, depth, height], part=0)]
    for part in range(1, rng.randint(2, 3)):
        x, y = rng.uniform(-0.25, 0.25) * width, rng.uniform(-0.25, 0.25) * depth
        tall = rng.uniform(0.02, 0.1)
        if rng.random() < 0.5:
            sides = [width * rng.uniform(0.3, 0.5), depth * rng.uniform(0.3, 0.5), tall]
            pieces.append(_box(sides, (x, y, (height + tall) / 2), part=part))
        else:
            radius = min(width, depth) * rng.uniform(0.12, 0.24)
            pieces.append(
                _frustum(
                    radius,
                    radius * rng.uniform(0.6, 1.0),
                    tall,
                    (x, y, (height + tall) / 2),
                    part=part,
                )
            )
    return pieces


def open_box(rng: Random) -> list[Piece]:
    """Tray or box without a lid: a floor and four walls; things may lie in it."""
    width, depth, height = (rng.uniform(0.1, 0.3), rng.uniform(0.08, 0.22), rng.uniform(0.03, 0.1))
    wall = rng.uniform(0.003, 0.008)
    return [
        _box([width, depth, wall], (0, 0, (wall - height) / 2), part=0),
        _box([width, wall, height], (0, (depth - wall) / 2, 0), part=1),
        _box([width, wall, height], (0, (wall - depth) / 2, 0), part=1),
        _box([wall, depth, height], ((width - wall) / 2, 0, 0), part=1),
        _box([wall, depth, height], ((wall - width) / 2, 0, 0), part=1),
    ]


def roll(rng: Random) -> list[Piece]:
    """Lying tube or soft roll."""
    radius, length = rng.uniform(0.012, 0.04), rng.uniform(0.05, 0.16)
    return [_capsule((0, 0, 0), (length, 0, 0), radius, part=0)]


_CATALOGUE: dict[Callable[[Random], list[Piece]], float] = {
    block: 0.15,
    carton: 0.10,
    flat_box: 0.13,
    book: 0.10,
    plate: 0.03,
    can: 0.06,
    tin: 0.04,
    bottle: 0.05,
    spray: 0.02,
    jar: 0.03,
    cup: 0.03,
    mug: 0.06,
    bowl: 0.05,
    ball: 0.03,
    fruit: 0.04,
    cone: 0.02,
    tool: 0.04,
    lidded_box: 0.04,
    compound: 0.04,
    open_box: 0.03,
    roll: 0.01,
}
_SHAPES: Sequence[Callable[[Random], list[Piece]]] = list(_CATALOGUE)
_WEIGHTS = list(_CATALOGUE.values())


# --- Pieces from whole sides, radii and end points. ---


def _box(sides: Sequence[float], centre: Vector = (0, 0, 0), *, part: int) -> Piece:
    return Piece(BOX, (sides[0] / 2, sides[1] / 2, sides[2] / 2, 0.0), centre, part)


def _frustum(
    lower: float,
    upper: float,
    height: float,
    centre: Vector = (0, 0, 0),
    *,
    part: int,
    caps: float = _BOTH_CAPS,
) -> Piece:
    return Piece(FRUSTUM, (lower, upper, height / 2, caps), centre, part)


def _ellipsoid(axes: Vector, centre: Vector, *, part: int, clip: float = 1.0) -> Piece:
    return Piece(ELLIPSOID, (*axes, clip), centre, part)


def _capsule(start: Vector, end: Vector, radius: float, *, part: int) -> Piece:
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


def _about_x(angle: float) -> Matrix:
    c, s = math.cos(angle), math.sin(angle)
    return ((1.0, 0.0, 0.0), (0.0, c, -s), (0.0, s, c))


def _scaled(piece: Piece, scale: float) -> Piece:
    """Lengths of a piece times `scale`; its fourth size is no length."""
    a, b, c, extra = piece.size
    x, y, z = piece.centre
    size = (a * scale, b * scale, c * scale, extra)
    return Piece(piece.kind, size, (x * scale, y * scale, z * scale), piece.part, piece.rotation)


def _turned(piece: Piece, turn: Matrix) -> Piece:
    centre = tuple(sum(row[k] * piece.centre[k] for k in range(3)) for row in turn)
    rotation = tuple(
        tuple(sum(turn[i][k] * piece.rotation[k][j] for k in range(3)) for j in range(3))
        for i in range(3)
    )
    return Piece(piece.kind, piece.size, centre, piece.part, rotation)  # type: ignore[arg-type]
