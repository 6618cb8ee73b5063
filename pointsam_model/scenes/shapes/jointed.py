"""Things with joints, each drawn in some position: drawers, lids, screens. As `shapes_basic`."""

from __future__ import annotations

import math
from random import Random

from pointsam_model.scenes.shapes.objects import (
    Piece,
    about_x,
    about_y,
    box,
    capsule,
    hinged,
    moved,
    rounded,
)


def drawers(rng: Random) -> list[Piece]:
    """A chest open to +x with one to three drawers in it, each closed or pulled out."""
    deep, wide = rng.uniform(0.1, 0.24), rng.uniform(0.1, 0.28)
    count = rng.randint(1, 3)
    each, wall = rng.uniform(0.045, 0.08), rng.uniform(0.005, 0.01)
    high = count * each + wall
    pieces = [
        box((wall, wide, high), ((wall - deep) / 2, 0, 0), part=0),
        box((deep, wall, high), (0, (wide - wall) / 2, 0), part=0),
        box((deep, wall, high), (0, (wall - wide) / 2, 0), part=0),
    ]
    for k in range(count + 1):
        z = (wall - high) / 2 + k * each
        pieces.append(box((deep, wide, wall), (0, 0, z), part=0))
    for k in range(count):
        out = rng.uniform(0.2, 0.75) * deep if rng.random() < 0.4 else 0.0
        z = (wall - high) / 2 + (k + 0.5) * each
        pieces += drawer(deep, wide - 2 * wall, each - wall - 0.003, wall, (out, 0, z), 1 + k)
    return pieces


def drawer(
    deep: float, wide: float, high: float, wall: float, place: tuple[float, float, float], part: int
) -> list[Piece]:
    """An open box with a front toward +x and a knob; `place` is its middle."""
    thin = wall * 0.7
    knob = capsule((deep / 2, 0, 0), (deep / 2 + 0.014, 0, 0), 0.006, part=part)
    pieces = [
        box((wall, wide, high), ((deep - wall) / 2, 0, 0), part=part),
        box((deep, wide * 0.96, thin), (-wall / 2, 0, (thin - high) / 2), part=part),
        box((thin, wide * 0.96, high * 0.8), ((thin - deep) / 2 + wall, 0, 0), part=part),
        box((deep - wall, thin, high * 0.8), (0, wide * 0.48 - thin / 2, 0), part=part),
        box((deep - wall, thin, high * 0.8), (0, thin / 2 - wide * 0.48, 0), part=part),
        knob,
    ]
    return [moved(piece, place) for piece in pieces]


def hinged_box(rng: Random) -> list[Piece]:
    """Box whose lid stands open at any angle, or is closed."""
    wide, deep, high = rng.uniform(0.08, 0.26), rng.uniform(0.07, 0.2), rng.uniform(0.03, 0.12)
    wall = rng.uniform(0.004, 0.008)
    lid_high = wall if rng.random() < 0.6 else rng.uniform(0.01, 0.03)
    lid = box((deep, wide, lid_high), (0, 0, (high + lid_high) / 2), part=1)
    angle = rng.uniform(0.2, 2.0) if rng.random() < 0.8 else 0.0
    return [
        box((deep, wide, wall), (0, 0, (wall - high) / 2), part=0),
        box((wall, wide, high), ((deep - wall) / 2, 0, 0), part=0),
        box((wall, wide, high), ((wall - deep) / 2, 0, 0), part=0),
        box((deep, wall, high), (0, (wide - wall) / 2, 0), part=0),
        box((deep, wall, high), (0, (wall - wide) / 2, 0), part=0),
        *hinged([lid], about_y(-angle), (-deep / 2, 0, high / 2)),
    ]


def laptop(rng: Random) -> list[Piece]:
    """Laptop, folder or case: two flat boards on a hinge."""
    wide, deep, thick = rng.uniform(0.18, 0.34), rng.uniform(0.14, 0.24), rng.uniform(0.006, 0.02)
    angle = rng.uniform(0.9, 2.2)
    cover = thick * rng.uniform(0.4, 1.0)
    board = rounded((deep, wide, cover), (0, 0, (thick + cover) / 2), part=1, vertical=0.15)
    screen = box((deep * 0.88, wide * 0.92, 0.001), (0, 0, thick / 2 - 0.0004), part=3)
    pieces = [rounded((deep, wide, thick), part=0, vertical=0.15, horizontal=0.12)]
    if rng.random() < 0.6:
        keys = (deep * 0.4, wide * 0.9, 0.002)
        pieces.append(box(keys, (-deep * 0.15, 0, thick / 2), part=2))
        return [*pieces, *hinged([board, screen], about_y(-angle), (-deep / 2, 0, thick / 2))]
    return [*pieces, *hinged([board], about_y(-angle), (-deep / 2, 0, thick / 2))]


def open_book(rng: Random) -> list[Piece]:
    """Open book face up, or standing like a tent."""
    wide, deep, thick = rng.uniform(0.1, 0.18), rng.uniform(0.14, 0.25), rng.uniform(0.006, 0.025)
    slope = rng.uniform(0.03, 0.25) if rng.random() < 0.7 else rng.uniform(-1.2, -0.9)
    pieces = []
    for part, side in enumerate((-1.0, 1.0)):
        half = [
            box((wide, deep, 0.003), (side * wide / 2, 0, 0), part=part),
            box((wide - 0.006, deep - 0.01, thick), (side * wide / 2, 0, thick / 2), part=part),
        ]
        pieces += hinged(half, about_y(-side * slope), (0, 0, 0))
    return pieces


def device(rng: Random) -> list[Piece]:
    """Small flat device, or a frame on a prop behind it."""
    wide, high, thick = rng.uniform(0.06, 0.2), rng.uniform(0.1, 0.24), rng.uniform(0.007, 0.015)
    panel = rounded((wide, high, thick), part=0, vertical=0.12, horizontal=0.12)
    glass = box((wide * 0.88, high * 0.88, 0.002), (0, 0, thick / 2), part=1)
    if rng.random() < 0.5:
        return [panel, glass]
    lean = rng.uniform(0.9, 1.3)
    standing = hinged([panel, glass], about_x(lean), (0, -high / 2, 0))
    foot_y = -high / 2 + math.cos(lean) * high * 0.6 + 0.05
    top = (0.0, -high / 2 + math.cos(lean) * high * 0.6, math.sin(lean) * high * 0.6)
    prop = capsule(top, (0.0, foot_y, 0.003), 0.004, part=2)
    return [*standing, prop]
