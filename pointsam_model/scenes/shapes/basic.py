"""Plain tabletop objects: boxes, books, cans, bottles, cups, bowls, fruit, simple tools.

Shapes of this and the other files named so stand upright with their middle near the origin; sizes
in metres, parts numbered from 0.
"""

from __future__ import annotations

import math
from random import Random

from pointsam_model.scenes.shapes.objects import (
    LOWER_CAP,
    Piece,
    about_x,
    arc,
    box,
    capsule,
    ellipsoid,
    frustum,
    turned,
)


def block(rng: Random) -> list[Piece]:
    sides = [rng.uniform(0.04, 0.22) for _ in range(3)]
    return [box(sides, part=0)]


def carton(rng: Random) -> list[Piece]:
    """Cereal box: high and flat, standing on its narrow side."""
    height = rng.uniform(0.12, 0.30)
    sides = [height * rng.uniform(0.5, 0.8), rng.uniform(0.03, 0.08), height]
    return [box(sides, part=0)]


def flat_box(rng: Random) -> list[Piece]:
    return [
        box([rng.uniform(0.08, 0.30), rng.uniform(0.07, 0.22), rng.uniform(0.02, 0.07)], part=0)
    ]


def book(rng: Random) -> list[Piece]:
    """Two covers and a block of pages, a little smaller than them."""
    width, depth, height = rng.uniform(0.12, 0.28), rng.uniform(0.1, 0.21), rng.uniform(0.012, 0.05)
    if rng.random() < 0.5:
        return [box([width, depth, height], part=0)]
    cover = 0.003
    inner = height - 2 * cover
    return [
        box([width, depth, cover], (0, 0, (height - cover) / 2), part=0),
        box([width, depth, cover], (0, 0, -(height - cover) / 2), part=0),
        box([cover, depth, height], ((cover - width) / 2, 0, 0), part=0),
        box([width - 0.008, depth - 0.01, inner], (-0.003, 0, 0), part=1),
    ]


def plate(rng: Random) -> list[Piece]:
    """Thin and flat: a sheet, a board or a round plate."""
    if rng.random() < 0.5:
        return [
            box(
                [rng.uniform(0.1, 0.32), rng.uniform(0.08, 0.24), rng.uniform(0.006, 0.015)], part=0
            )
        ]
    radius = rng.uniform(0.06, 0.13)
    foot = radius * rng.uniform(0.55, 0.75)
    height = rng.uniform(0.012, 0.03)
    return [frustum(foot, radius, height, caps=LOWER_CAP, part=0)]


def can(rng: Random) -> list[Piece]:
    radius = rng.uniform(0.022, 0.06)
    return [frustum(radius, radius, rng.uniform(0.05, 0.2), part=0)]


def tin(rng: Random) -> list[Piece]:
    """Wide and low, with a lid that stands over a little."""
    radius, height = rng.uniform(0.05, 0.11), rng.uniform(0.03, 0.09)
    lid = rng.uniform(0.008, 0.02)
    return [
        frustum(radius, radius, height, part=0),
        frustum(radius * 1.03, radius * 1.03, lid, (0, 0, (height - lid) / 2 + 0.002), part=1),
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
        frustum(radius, radius, body, part=0),
        frustum(radius, neck, shoulder, (0, 0, z + body + shoulder / 2), part=0),
        frustum(
            neck, neck * rng.uniform(0.9, 1.1), cap, (0, 0, z + body + shoulder + cap / 2), part=1
        ),
    ]


def spray(rng: Random) -> list[Piece]:
    """Rounded flask with a head on top."""
    radius, height = rng.uniform(0.022, 0.04), rng.uniform(0.1, 0.18)
    head = rng.uniform(0.02, 0.05)
    return [
        frustum(radius, radius, height, part=0),
        ellipsoid((radius, radius, radius * 0.8), (0, 0, height / 2), part=0),
        box([radius, radius * 1.6, head], (0, 0, height / 2 + radius * 0.7 + head / 2), part=1),
    ]


def jar(rng: Random) -> list[Piece]:
    radius, height = rng.uniform(0.03, 0.055), rng.uniform(0.06, 0.13)
    lid, top = rng.uniform(0.01, 0.025), radius * rng.uniform(0.75, 1.04)
    return [
        frustum(radius * rng.uniform(0.85, 1.0), radius, height, part=0),
        frustum(top, top, lid, (0, 0, (height + lid) / 2), part=1),
    ]


def cup(rng: Random) -> list[Piece]:
    top = rng.uniform(0.03, 0.05)
    return [
        frustum(top * rng.uniform(0.6, 1.0), top, rng.uniform(0.06, 0.14), caps=LOWER_CAP, part=0)
    ]


def mug(rng: Random) -> list[Piece]:
    top, height = rng.uniform(0.032, 0.05), rng.uniform(0.07, 0.12)
    base = top * rng.uniform(0.8, 1.0)
    body = frustum(base, top, height, caps=LOWER_CAP, part=0)
    reach, thick = height * rng.uniform(0.25, 0.4), rng.uniform(0.004, 0.007)
    handle = arc(reach, thick, math.pi / 2, (0.5 * (base + top) * 0.97, 0, 0), part=1)
    return [body, turned(handle, about_x(math.pi / 2), about_itself=True)]


def bowl(rng: Random) -> list[Piece]:
    radius, depth = rng.uniform(0.05, 0.12), rng.uniform(0.35, 0.8)
    foot = radius * rng.uniform(0.4, 0.6)
    height = radius * depth
    return [
        ellipsoid((radius, radius, height), (0, 0, 0), part=0, clip=rng.uniform(-0.12, 0.0)),
        frustum(foot, foot * 0.95, height * 0.3, (0, 0, -height * 0.88), part=0),
    ]


def ball(rng: Random) -> list[Piece]:
    radius = rng.uniform(0.02, 0.08)
    return [ellipsoid((radius, radius, radius), (0, 0, 0), part=0)]


def fruit(rng: Random) -> list[Piece]:
    """Ellipsoid: fruit, bag, soft toy."""
    axes = (rng.uniform(0.025, 0.1), rng.uniform(0.025, 0.08), rng.uniform(0.02, 0.06))
    return [ellipsoid(axes, (0, 0, 0), part=0)]


def cone(rng: Random) -> list[Piece]:
    radius = rng.uniform(0.03, 0.08)
    tip = radius * rng.choice((0.0, 0.0, 0.2, 0.5))
    return [frustum(radius, max(tip, 1e-3), rng.uniform(0.06, 0.2), part=0)]


def tool(rng: Random) -> list[Piece]:
    """Handle and head, lying flat: hammer, screwdriver, brush, spoon."""
    thick, length = rng.uniform(0.007, 0.016), rng.uniform(0.08, 0.22)
    handle = capsule((0, 0, 0), (length, 0, 0), thick, part=0)
    head_kind = rng.randrange(4)
    end = length + thick
    if head_kind == 0:
        side = rng.uniform(0.06, 0.12)
        width = rng.uniform(1.2, 2.0) * thick
        return [handle, box([width * 1.2, side, width * 2], (end, 0, 0), part=1)]
    if head_kind == 1:
        blade = rng.uniform(0.05, 0.14)
        return [handle, capsule((end, 0, 0), (end + blade, 0, 0), thick * 0.35, part=1)]
    if head_kind == 2:
        wide = rng.uniform(0.03, 0.08)
        return [handle, box([wide * 1.2, wide, thick * 1.4], (end + wide * 0.6, 0, 0), part=1)]
    wide = rng.uniform(0.02, 0.04)
    return [handle, ellipsoid((wide * 1.4, wide, thick), (end + wide, 0, 0), part=1)]


def lidded_box(rng: Random) -> list[Piece]:
    width, depth, height = (
        rng.uniform(0.06, 0.24),
        rng.uniform(0.05, 0.18),
        rng.uniform(0.04, 0.14),
    )
    lid = rng.uniform(0.015, 0.04)
    over = rng.uniform(0.002, 0.012)
    return [
        box([width, depth, height], part=0),
        box([width + over, depth + over, lid], (0, 0, (height + lid) / 2), part=1),
    ]


def compound(rng: Random) -> list[Piece]:
    """Two or three blocks or cylinders grown together, as an appliance or a toy."""
    width, depth, height = (
        rng.uniform(0.07, 0.2),
        rng.uniform(0.06, 0.16),
        rng.uniform(0.04, 0.12),
    )
    pieces = [box([width, depth, height], part=0)]
    for part in range(1, rng.randint(2, 3)):
        x, y = rng.uniform(-0.25, 0.25) * width, rng.uniform(-0.25, 0.25) * depth
        tall = rng.uniform(0.02, 0.1)
        if rng.random() < 0.5:
            sides = [width * rng.uniform(0.3, 0.5), depth * rng.uniform(0.3, 0.5), tall]
            pieces.append(box(sides, (x, y, (height + tall) / 2), part=part))
        else:
            radius = min(width, depth) * rng.uniform(0.12, 0.24)
            pieces.append(
                frustum(
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
        box([width, depth, wall], (0, 0, (wall - height) / 2), part=0),
        box([width, wall, height], (0, (depth - wall) / 2, 0), part=1),
        box([width, wall, height], (0, (wall - depth) / 2, 0), part=1),
        box([wall, depth, height], ((width - wall) / 2, 0, 0), part=1),
        box([wall, depth, height], ((wall - width) / 2, 0, 0), part=1),
    ]


def roll(rng: Random) -> list[Piece]:
    """Lying tube or soft roll."""
    radius, length = rng.uniform(0.012, 0.04), rng.uniform(0.05, 0.16)
    return [capsule((0, 0, 0), (length, 0, 0), radius, part=0)]
