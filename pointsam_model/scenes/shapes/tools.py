"""Tools that lie on a table: hinged, powered, bent. As `shapes_basic`."""

from __future__ import annotations

import math
from random import Random

from pointsam_model.scenes.shapes.objects import (
    Piece,
    about_y,
    about_z,
    arc,
    box,
    capsule,
    frustum,
    moved,
    rounded,
    turned,
)


def scissors(rng: Random) -> list[Piece]:
    """Two crossed halves about a rivet: blades and rings."""
    open_ = rng.uniform(0.05, 0.6) / 2
    blade, wide = rng.uniform(0.06, 0.12), rng.uniform(0.008, 0.014)
    eye = rng.uniform(0.014, 0.024)
    shank = rng.uniform(0.02, 0.05)
    pieces = []
    for half, side in ((0, 1.0), (1, -1.0)):
        z = 0.0015 * side
        own = [
            box((blade + shank, wide, 0.003), ((blade - shank) / 2, 0, z), part=0),
            capsule((-shank, 0, 0), (-shank - 0.02, side * -eye * 0.4, 0), 0.004, part=1 + half),
            arc(
                eye, 0.0045, centre=(-shank - 0.02 - eye * 0.8, side * -eye * 0.6, 0), part=1 + half
            ),
        ]
        pieces += [turned(piece, about_z(side * open_)) for piece in own]
    return pieces


def pliers(rng: Random) -> list[Piece]:
    """Two crossed halves about a rivet: jaws and grips."""
    open_ = rng.uniform(0.1, 0.6) / 2
    jaw, grip = rng.uniform(0.03, 0.07), rng.uniform(0.09, 0.14)
    thick = rng.uniform(0.006, 0.011)
    pieces = [frustum(thick * 1.5, thick * 1.5, thick * 2, part=0)]
    for half, side in ((0, 1.0), (1, -1.0)):
        tip = capsule((0, 0, 0), (jaw, side * 0.002, 0), thick * 0.7, part=0)
        handle = [
            capsule((0, 0, 0), (-grip * 0.35, side * -0.012, 0), thick * 0.8, part=1 + half),
            capsule(
                (-grip * 0.35, side * -0.012, 0), (-grip, side * -0.006, 0), thick, part=1 + half
            ),
        ]
        pieces += [turned(piece, about_z(side * open_)) for piece in (tip, *handle)]
    return pieces


def wrench(rng: Random) -> list[Piece]:
    """Flat bar with a ring at one end and a fork at the other."""
    length, thick = rng.uniform(0.1, 0.22), rng.uniform(0.006, 0.01)
    eye, fork = rng.uniform(0.011, 0.018), rng.uniform(0.012, 0.02)
    mouth = arc(fork, thick / 2 + 0.002, math.pi * 0.72, part=1)
    return [
        rounded((length, rng.uniform(0.01, 0.018), thick), part=0, vertical=0.3, horizontal=0.2),
        arc(eye, thick / 2 + 0.001, centre=(-length / 2 - eye * 0.8, 0, 0), part=1),
        moved(turned(mouth, about_z(math.pi)), (length / 2 + fork * 0.8, 0, 0)),
    ]


def drill(rng: Random) -> list[Piece]:
    """Cordless drill lying on its side: motor, grip, battery, chuck, bit."""
    length, radius = rng.uniform(0.11, 0.17), rng.uniform(0.024, 0.034)
    grip, lean = rng.uniform(0.08, 0.12), rng.uniform(-0.1, 0.3)
    handle_end = (-grip * math.sin(lean) - length * 0.15, -radius * 0.6 - grip, 0.0)
    chuck = turned(frustum(radius * 0.8, radius * 0.45, 0.045, part=2), about_y(math.pi / 2))
    pieces = [
        turned(
            rounded((2 * radius, 2.2 * radius, length), part=0, vertical=0.35, horizontal=0.8),
            about_y(math.pi / 2),
        ),
        capsule((-length * 0.15, 0, 0), handle_end, radius * 0.6, part=1),
        rounded((0.08, 0.035, 0.055), handle_end, part=3, vertical=0.2, horizontal=0.25),
        moved(chuck, (length / 2 + 0.015, 0, 0)),
    ]
    if rng.random() < 0.6:
        start, end = length / 2 + 0.03, length / 2 + 0.03 + rng.uniform(0.03, 0.08)
        pieces.append(capsule((start, 0, 0), (end, 0, 0), 0.0035, part=4))
    return pieces


def grinder(rng: Random) -> list[Piece]:
    """A long body with a head, a disc and a side handle; also a mixer or a hair dryer."""
    length, radius = rng.uniform(0.15, 0.24), rng.uniform(0.025, 0.035)
    disc = rng.uniform(0.04, 0.065)
    body = rounded((length, 2 * radius, 1.9 * radius), part=0, vertical=0.5, horizontal=0.3)
    return [
        body,
        rounded((0.07, 0.06, 0.06), (length / 2 + 0.02, 0, 0), part=1, vertical=0.4),
        frustum(disc, disc, 0.006, (length / 2 + 0.03, 0, -0.035), part=2),
        capsule(
            (length / 2 + 0.02, 0.02, 0.0), (length / 2 + 0.02, 0.1, 0.0), radius * 0.55, part=3
        ),
    ]


def knife(rng: Random) -> list[Piece]:
    blade, handle = rng.uniform(0.07, 0.18), rng.uniform(0.08, 0.12)
    wide = rng.uniform(0.018, 0.04)
    return [
        rounded((handle, wide * 0.7, 0.018), part=0, vertical=0.6, horizontal=0.3),
        rounded((blade, wide, 0.003), ((handle + blade) / 2 - 0.004, 0, 0), part=1, horizontal=0.6),
    ]


def flashlight(rng: Random) -> list[Piece]:
    """Hand lamp: tube, head and ring."""
    length, radius = rng.uniform(0.08, 0.16), rng.uniform(0.012, 0.02)
    head = radius * rng.uniform(1.3, 2.0)
    upright = [
        frustum(radius, radius, length, part=0),
        frustum(radius, head, 0.03, (0, 0, length / 2 + 0.015), part=1),
        frustum(head, head, 0.02, (0, 0, length / 2 + 0.04), part=1),
        frustum(radius * 1.1, radius * 1.1, 0.012, (0, 0, -length * 0.1), part=2),
    ]
    return [turned(piece, about_y(math.pi / 2)) for piece in upright]


def headset(rng: Random) -> list[Piece]:
    """Headphones that lie on a side: bow and two cushions."""
    radius = rng.uniform(0.06, 0.085)
    cup = rng.uniform(0.028, 0.04)
    pieces = [arc(radius, rng.uniform(0.005, 0.01), math.pi * 0.55, part=0)]
    for side in (-1.0, 1.0):
        shell = rounded((2 * cup, 2 * cup, 0.04), part=1, vertical=0.6, horizontal=1.0)
        upright = turned(turned(shell, about_y(math.pi / 2)), about_z(math.pi / 2))
        pieces.append(moved(upright, (-0.02, side * radius * 0.95, 0.0)))
    return pieces
