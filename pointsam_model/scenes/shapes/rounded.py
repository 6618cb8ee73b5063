"""Rounded, soft and thin things: superquadrics, rings, bags, shoes, cloth, pots.

As `shapes_basic`.
"""

from __future__ import annotations

import math
from random import Random

from pointsam_model.scenes.shapes.objects import (
    LOWER_CAP,
    NO_CAP,
    Piece,
    about_x,
    about_y,
    about_z,
    arc,
    box,
    capsule,
    ellipsoid,
    frustum,
    moved,
    rounded,
    turned,
)


def rounded_block(rng: Random) -> list[Piece]:
    """A box with rounded edges: a charger, a pack, a box of plastic."""
    sides = [rng.uniform(0.04, 0.2) for _ in range(3)]
    if rng.random() < 0.4:
        sides[2] = rng.uniform(0.015, 0.06)
    edge = rng.uniform(0.1, 0.35)
    body = rounded(sides, part=0, vertical=edge, horizontal=rng.uniform(0.1, 0.35))
    if rng.random() < 0.7:
        return [body]
    # A button, a lens or a screen on top.
    size = min(sides[:2]) * rng.uniform(0.3, 0.6)
    return [body, rounded((size, size, 0.02), (0, 0, sides[2] / 2), part=1, horizontal=1.0)]


def soap(rng: Random) -> list[Piece]:
    """Cushion, bar of soap, stone, computer mouse."""
    sides = (rng.uniform(0.05, 0.2), rng.uniform(0.04, 0.12), rng.uniform(0.02, 0.06))
    vertical, horizontal = rng.uniform(0.5, 1.2), rng.uniform(0.3, 1.0)
    return [rounded(sides, part=0, vertical=vertical, horizontal=horizontal)]


def odd_solid(rng: Random) -> list[Piece]:
    """Any superquadric, up to octahedra, alone or grown together with another."""

    def one(part: int, scale: float) -> Piece:
        sides = [rng.uniform(0.04, 0.16) * scale for _ in range(3)]
        vertical, horizontal = rng.uniform(0.3, 2.0), rng.uniform(0.3, 2.0)
        return rounded(sides, part=part, vertical=vertical, horizontal=horizontal)

    body = one(0, 1.0)
    if rng.random() < 0.5:
        return [body]
    reach = body.size[rng.randrange(2)] * 0.9
    return [body, moved(one(1, 0.7), (reach, 0.0, body.size[2] * rng.uniform(0.0, 0.9)))]


def ring(rng: Random) -> list[Piece]:
    """Roll of tape, toy ring, cable coil."""
    radius = rng.uniform(0.025, 0.08)
    tube = radius * rng.uniform(0.18, 0.5)
    if rng.random() < 0.6:
        return [arc(radius, tube, part=0)]
    coils = rng.randint(2, 3)
    return [
        arc(radius * rng.uniform(0.9, 1.1), tube * 0.6, centre=(0, 0, k * tube * 0.9), part=0)
        for k in range(coils)
    ]


def bag(rng: Random) -> list[Piece]:
    """Pouch or hand bag: a cushion, perhaps a flap and a handle."""
    wide, deep, high = rng.uniform(0.12, 0.28), rng.uniform(0.05, 0.12), rng.uniform(0.09, 0.22)
    body = rounded((wide, deep, high), part=0, vertical=rng.uniform(0.3, 0.8), horizontal=0.5)
    pieces = [body]
    if rng.random() < 0.5:
        flap = rounded((wide * 0.92, deep * 1.05, high * 0.5), (0, 0, high * 0.2), part=1)
        pieces.append(flap)
    if rng.random() < 0.7:
        handle = arc(wide * rng.uniform(0.2, 0.35), 0.006, math.pi * 0.55, part=2)
        upright = turned(turned(handle, about_y(-math.pi / 2)), about_z(math.pi / 2))
        pieces.append(moved(upright, (0, 0, high / 2)))
    return pieces


def sack(rng: Random) -> list[Piece]:
    """Tied or rolled-down bag: a lumpy body, a neck."""
    radius = rng.uniform(0.04, 0.09)
    high = radius * rng.uniform(0.6, 1.1)
    lump = rounded(
        (1.2 * radius, 1.3 * radius, high * 1.4),
        (radius * 0.5, 0, -high * 0.2),
        part=0,
        vertical=0.8,
        horizontal=0.9,
    )
    return [
        ellipsoid((radius, radius * rng.uniform(0.8, 1.0), high), (0, 0, 0), part=0),
        lump if rng.random() < 0.5 else ellipsoid((radius * 0.7,) * 3, (radius / 2, 0, 0), part=0),
        frustum(radius * 0.35, radius * 0.2, high * 0.3, (0, 0, high * 1.02), part=1),
        frustum(radius * 0.2, radius * 0.5, high * 0.3, (0, 0, high * 1.3), part=1, caps=NO_CAP),
    ]


def shoe(rng: Random) -> list[Piece]:
    """Sole, toe, heel with a shaft that is open above."""
    long = rng.uniform(0.19, 0.29)
    wide = long * rng.uniform(0.34, 0.4)
    sole = rng.uniform(0.015, 0.035)
    high = rng.uniform(0.05, 0.09) + (rng.uniform(0.05, 0.12) if rng.random() < 0.3 else 0.0)
    heel = wide * 0.44
    toe_high = rng.uniform(0.05, 0.07)
    instep = rounded((long * 0.6, heel * 1.5, toe_high * 1.1), part=0, vertical=0.8, horizontal=0.6)
    return [
        rounded((long, wide, sole), part=1, vertical=0.2, horizontal=0.7),
        rounded(
            (long * 0.72, wide * 0.94, toe_high * 1.7),
            (long * 0.12, 0, sole / 2),
            part=0,
            vertical=0.8,
            horizontal=0.8,
        ),
        moved(turned(instep, about_y(0.3)), (0.0, 0.0, sole / 2 + toe_high * 0.75)),
        frustum(heel, heel * 0.9, high, (-long * 0.25, 0, sole / 2 + high / 2), part=0, caps=0.0),
    ]


def cloth(rng: Random) -> list[Piece]:
    """Folded or crumpled cloth: flat cushions that lie over each other."""
    wide, deep = rng.uniform(0.12, 0.3), rng.uniform(0.1, 0.24)
    thick = rng.uniform(0.008, 0.025)
    pieces = []
    for layer in range(rng.randint(1, 4)):
        shrink = 0.9**layer
        sides = (
            wide * shrink * rng.uniform(0.7, 1.0),
            deep * shrink * rng.uniform(0.7, 1.0),
            thick,
        )
        place = (rng.uniform(-0.03, 0.03), rng.uniform(-0.03, 0.03), layer * thick * 0.75)
        fold = rounded(sides, place, part=0, vertical=rng.uniform(0.4, 1.0), horizontal=0.35)
        turn = about_z(rng.uniform(-0.5, 0.5))
        pieces.append(turned(turned(fold, turn, True), about_x(rng.uniform(-0.05, 0.05)), True))
    return pieces


def sheet(rng: Random) -> list[Piece]:
    """Paper, card or mat, hardly higher than the table."""
    sides = (rng.uniform(0.1, 0.32), rng.uniform(0.07, 0.24), rng.uniform(0.001, 0.004))
    if rng.random() < 0.7:
        return [box(sides, part=0)]
    return [rounded(sides, part=0, vertical=0.2, horizontal=rng.uniform(0.1, 1.0))]


def pot(rng: Random) -> list[Piece]:
    """Pan with a handle, or pot with two, with a lid or without."""
    radius, height = rng.uniform(0.06, 0.12), rng.uniform(0.03, 0.12)
    pieces = [frustum(radius * rng.uniform(0.8, 1.0), radius, height, caps=LOWER_CAP, part=0)]
    if rng.random() < 0.5:
        start = (radius * 0.98, 0.0, height * 0.35)
        end = (radius + rng.uniform(0.1, 0.2), 0.0, height * 0.35 + rng.uniform(0.0, 0.04))
        pieces.append(capsule(start, end, rng.uniform(0.007, 0.013), part=1))
    else:
        ear = rng.uniform(0.018, 0.03)
        for side in (0.0, math.pi):
            handle = arc(ear, 0.005, math.pi * 0.55, (radius, 0, height * 0.35), part=1)
            pieces.append(turned(handle, about_z(side)))
    if rng.random() < 0.4:
        # A dome is the lower half of an ellipsoid, upside down.
        rise = radius * rng.uniform(0.12, 0.3)
        dome = ellipsoid((radius, radius, rise), (0, 0, -height / 2), part=2, clip=0.0)
        pieces.append(turned(dome, about_x(math.pi)))
        knob = rounded((0.03, 0.03, 0.025), (0, 0, height / 2 + rise + 0.01), part=3, horizontal=1)
        pieces.append(knob)
    return pieces


def teapot(rng: Random) -> list[Piece]:
    radius = rng.uniform(0.05, 0.08)
    high = radius * rng.uniform(0.7, 1.1)
    handle = arc(high * 0.55, 0.007, math.pi * 0.55, (radius * 0.95, 0, 0), part=1)
    spout = [
        capsule((-radius * 0.8, 0, -high * 0.2), (-radius * 1.35, 0, high * 0.25), 0.012, part=2),
        capsule((-radius * 1.35, 0, high * 0.25), (-radius * 1.5, 0, high * 0.7), 0.009, part=2),
    ]
    lid = radius * 0.5
    return [
        rounded((2 * radius, 2 * radius, 2 * high), part=0, vertical=0.8, horizontal=1.0),
        turned(handle, about_x(math.pi / 2), True),
        *spout,
        rounded((2 * lid, 2 * lid, 0.02), (0, 0, high), part=3, vertical=0.5, horizontal=1.0),
        ellipsoid((0.01, 0.01, 0.01), (0, 0, high + 0.016), part=3),
    ]


def bucket(rng: Random) -> list[Piece]:
    """Bucket or basket with a handle over it."""
    top, height = rng.uniform(0.05, 0.11), rng.uniform(0.07, 0.16)
    handle = arc(top, rng.uniform(0.003, 0.006), math.pi / 2, part=1)
    upright = turned(turned(handle, about_y(-math.pi / 2)), about_z(math.pi / 2))
    leaning = turned(upright, about_x(rng.choice((0.0, 0.0, 1.2, -1.0))))
    return [
        frustum(top * rng.uniform(0.7, 1.0), top, height, caps=LOWER_CAP, part=0),
        moved(leaning, (0, 0, height / 2)),
    ]
