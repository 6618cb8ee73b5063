"""Furniture and other things of rooms. Fronts look along +x, z up, feet at z = 0."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

from pointsam_model.scenes.objects import Piece
from pointsam_model.scenes.pieces import ALONG_X, ball, between, box, drum, rod, slab
from pointsam_model.scenes.world import GLASS, Surface


@dataclass(frozen=True)
class Board:
    """A level place where things may stand, in the furniture's frame."""

    low: tuple[float, float]
    high: tuple[float, float]
    z: float
    headroom: float


@dataclass(frozen=True)
class Furniture:
    """One piece of furniture.

    Attributes:
        half: half sides of its footprint in x and y [m].
        seats: chairs may be drawn up to it.
    """

    pieces: list[Piece]
    half: tuple[float, float]
    boards: list[Board] = field(default_factory=list)
    seats: bool = False
    surfaces: dict[int, Surface] = field(default_factory=dict)


def table(rng: Random) -> Furniture:
    """Dining, writing, coffee or round table."""
    kind = rng.random()
    if kind < 0.25:
        radius, tall = rng.uniform(0.35, 0.75), rng.uniform(0.68, 0.78)
        pieces = [
            drum(radius, radius, 0.03, (0, 0, tall - 0.015)),
            drum(0.05, 0.04, tall - 0.03, (0, 0, tall / 2), 1),
            drum(radius * 0.6, 0.08, 0.05, (0, 0, 0.025), 1),
        ]
        reach = radius * 0.65
        return Furniture(
            pieces, (radius, radius), [Board((-reach, -reach), (reach, reach), tall, 0.6)], True
        )
    low = kind < 0.45
    tall = rng.uniform(0.35, 0.5) if low else rng.uniform(0.7, 0.78)
    deep, wide = rng.uniform(0.5, 0.95), rng.uniform(0.8, 1.9)
    x, y, thick = deep / 2, wide / 2, rng.uniform(0.018, 0.05)
    pieces = [between((-x, -y, tall - thick), (x, y, tall))]
    leg = rng.uniform(0.03, 0.08)
    style = rng.random()
    for u in (-1, 1):
        for v in (-1, 1):
            at = (u * (x - leg), v * (y - leg), (tall - thick) / 2)
            if style < 0.6:
                pieces.append(box([leg, leg, tall - thick], at, 1))
            elif style < 0.85:
                pieces.append(drum(leg * 0.35, leg * 0.6, tall - thick, at, 1))
        if style >= 0.85:
            pieces.append(box([deep * 0.9, 0.03, tall - thick], (0, u * (y - 0.08), tall / 2), 1))
    if style < 0.6 and rng.random() < 0.5:
        for u in (-1, 1):
            frame = (u * (x - leg), 0, tall - thick - 0.05)
            pieces.append(box([0.02, wide - 2 * leg, 0.1], frame, 1))
    if not low and rng.random() < 0.25:  # a desk with drawers on one side
        side = rng.choice((-1, 1)) * (y - 0.24)
        pieces += _drawers(rng, x - 0.04, side, 0.4, 0.1, tall - thick, deep - 0.1, 2)
    return Furniture(pieces, (x, y), [Board((-x, -y), (x, y), tall, 0.6)], not low)


def chair(rng: Random) -> Furniture:
    """Kitchen chair, swivel chair or stool."""
    tall, half = rng.uniform(0.42, 0.5), rng.uniform(0.19, 0.25)
    kind = rng.random()
    if kind < 0.15:
        pieces = [drum(half * 0.8, half * 0.8, 0.04, (0, 0, tall + 0.1))]
        for turn in range(4):
            a = turn * math.pi / 2 + 0.7
            foot = (half * math.cos(a), half * math.sin(a), 0.02)
            pieces.append(rod(foot, (foot[0] * 0.6, foot[1] * 0.6, tall + 0.1), 0.016, 1))
        return Furniture(pieces, (half, half))
    soft = rng.random() < 0.5
    seat = (
        ball((half, half, 0.06), (0, 0, tall))
        if soft and kind > 0.7
        else box([2 * half, 2 * half, rng.uniform(0.02, 0.08)], (0, 0, tall))
    )
    pieces = [seat]
    back = tall + rng.uniform(0.35, 0.55)
    lean = rng.uniform(0.02, 0.12)
    style = rng.random()
    if style < 0.6:
        low = tall + rng.choice((0.0, 0.1, 0.2))
        pieces.append(slab((-half, low), (-half - lean, back), 2 * half * 0.95, 0.03, 2))
    else:
        for k in range(3):
            z = tall + (back - tall) * (0.35 + 0.3 * k)
            pieces.append(box([0.02, 2 * half * 0.9, 0.06], (-half - 0.02, 0, z), 2))
    if kind > 0.7:  # on castors
        pieces.append(drum(0.03, 0.03, tall - 0.1, (0, 0, tall / 2 + 0.03), 1))
        for turn in range(5):
            a = turn * 2 * math.pi / 5
            foot = (0.3 * math.cos(a), 0.3 * math.sin(a), 0.06)
            pieces += [rod((0, 0, 0.1), foot, 0.022, 1), ball((0.03, 0.03, 0.03), foot, 1)]
        if rng.random() < 0.6:
            pieces += _arms(half, tall, 0.22)
        return Furniture(pieces, (half + 0.08, half + 0.08))
    for u in (-1, 1):
        for v in (-1, 1):
            at = (u * (half - 0.03), v * (half - 0.03))
            top = back if u < 0 and style >= 0.6 else tall
            pieces.append(rod((*at, 0.02), (at[0], at[1], top), 0.018, 1))
    if rng.random() < 0.2:
        pieces += _arms(half, tall, 0.2)
    return Furniture(pieces, (half + 0.06, half))


def sofa(rng: Random) -> Furniture:
    """Sofa or armchair with cushions."""
    seats = rng.choice((1, 2, 2, 3))
    soft = rng.choice((0.0, 0.25, 0.4))
    width = rng.uniform(0.55, 0.7)
    arm, deep = rng.uniform(0.1, 0.22), rng.uniform(0.75, 0.98)
    wide = seats * width + 2 * arm
    tall, back = rng.uniform(0.36, 0.46), rng.uniform(0.7, 0.95)
    x, y = deep / 2, wide / 2
    thick = rng.uniform(0.14, 0.24)
    pieces = [
        between((-x, -y, 0.06), (x, y, tall - 0.12)),
        between((-x, -y, 0.06), (-x + thick, y, back - 0.08)),
        rod(
            (-x + thick / 2, -y + 0.08, back - 0.08), (-x + thick / 2, y - 0.08, back - 0.08), 0.09
        ),
    ]
    for side in (-1, 1):
        near, far = sorted((side * y, side * (y - arm)))
        pieces.append(between((-x, near, 0.06), (x, far, tall + 0.14), 1))
        bar = side * (y - arm / 2)
        pieces.append(rod((-x + 0.05, bar, tall + 0.15), (x - 0.05, bar, tall + 0.15), arm / 2, 1))
    for seat in range(seats):
        middle = -y + arm + width * (seat + 0.5)
        pieces.append(
            between(
                (-x + thick, middle - width * 0.49, tall - 0.12),
                (x - 0.01, middle + width * 0.49, tall + 0.02),
                2,
                soft,
            )
        )
        start, end = (-x + thick + 0.12, tall), (-x + thick + 0.02, back)
        pieces.append(slab(start, end, width * 0.92, 0.13, 3, middle))
    place = Board((-x + thick + 0.2, -y + arm), (x, y - arm), tall, 0.5)
    return Furniture(pieces, (x, y), [place] if rng.random() < 0.4 else [])


def cabinet(rng: Random) -> Furniture:
    """Cupboard, chest of drawers or wardrobe: body, doors or drawers with handles as parts."""
    deep = rng.uniform(0.3, 0.62)
    kind = rng.random()
    tall = rng.uniform(0.6, 1.2) if kind < 0.65 else rng.uniform(1.6, 2.2)
    columns = rng.randint(1, 3)
    wide = columns * rng.uniform(0.4, 0.75)
    x, y = deep / 2, wide / 2
    foot = rng.choice((0.0, 0.06, 0.12))
    pieces = [between((-x, -y, foot), (x - 0.02, y, tall))]
    if foot:
        pieces.append(between((-x + 0.03, -y + 0.03, 0.0), (x - 0.06, y - 0.03, foot)))
    part = 1
    for column in range(columns):
        middle = -y + wide * (column + 0.5) / columns
        if rng.random() < 0.5 and tall < 1.3:
            rows = rng.randint(2, 4)
            front = _drawers(rng, x, middle, wide / columns, foot, tall, deep, part, rows)
            part += rows
        else:
            front = _door(rng, x, middle, wide / columns, foot, tall, part)
            part += 1
        pieces += front
    boards = [Board((-x, -y), (x, y), tall, 0.6)] if tall < 1.3 else []
    return Furniture(pieces, (x + 0.04, y), boards)


def shelf(rng: Random) -> Furniture:
    """Open shelves, with or without a back."""
    deep, wide, tall = rng.uniform(0.22, 0.42), rng.uniform(0.5, 1.4), rng.uniform(0.8, 2.1)
    x, y, thick = deep / 2, wide / 2, rng.uniform(0.015, 0.035)
    rows = max(2, round(tall / rng.uniform(0.28, 0.45)))
    pieces = [
        between((-x, -y, 0.0), (x, -y + thick, tall)),
        between((-x, y - thick, 0.0), (x, y, tall)),
    ]
    if rng.random() < 0.7:
        pieces.append(between((-x, -y, 0.0), (-x + 0.01, y, tall), 1))
    boards = []
    for row in range(rows + 1):
        z = 0.05 + (tall - 0.05) * row / rows
        pieces.append(between((-x, -y, z - thick), (x, y, z), 2 + row))
        room = (tall - 0.05) / rows - thick if row < rows else 0.5
        boards.append(Board((-x + 0.02, -y + thick), (x, y - thick), z, room))
    return Furniture(pieces, (x, y), boards)


def bed(rng: Random) -> Furniture:
    """Frame, mattress, pillows, blanket; its head is at -x."""
    long, wide = rng.uniform(1.9, 2.15), rng.choice((0.9, 1.0, 1.4, 1.6, 1.8))
    tall = rng.uniform(0.25, 0.4)
    x, y = long / 2, wide / 2
    mattress = tall + rng.uniform(0.14, 0.25)
    pieces = [
        between((-x, -y, 0.08), (x, y, tall)),
        between((-x + 0.03, -y + 0.02, tall), (x - 0.03, y - 0.02, mattress), 1, 0.1),
    ]
    if rng.random() < 0.8:
        head = mattress + rng.uniform(0.1, 0.6)
        pieces.append(between((-x - 0.06, -y, 0.0), (-x, y, head)))
    for side in (-1, 1) if wide > 1.2 else (0,):
        at = (-x + 0.3, side * wide * 0.24, mattress + 0.05)
        low = (at[0] - 0.2, at[1] - 0.32, at[2] - 0.09)
        high = (at[0] + 0.2, at[1] + 0.32, at[2] + 0.09)
        pieces.append(between(low, high, part=2 + (side > 0), soft=0.6))
    if rng.random() < 0.75:
        edge = rng.uniform(-x + 0.6, x - 0.8)
        hem = rng.uniform(tall - 0.15, tall + 0.05)
        pieces.append(between((edge, -y - 0.03, hem), (x - 0.05, y + 0.03, mattress + 0.06), 4))
        fold = (edge, mattress + 0.06)
        pieces.append(rod((fold[0], -y * 0.95, fold[1]), (fold[0], y * 0.95, fold[1]), 0.05, 4))
    place = Board((-x + 0.8, -y), (x, y), mattress + 0.06, 0.6)
    return Furniture(pieces, (x + 0.05, y + 0.03), [place] if rng.random() < 0.3 else [])


def lamp(rng: Random) -> Furniture:
    """Standard lamp."""
    tall, radius = rng.uniform(1.3, 1.8), rng.uniform(0.12, 0.25)
    shade = rng.uniform(0.2, 0.35)
    pieces = [
        drum(radius, radius, 0.03, (0, 0, 0.015)),
        rod((0, 0, 0.03), (0, 0, tall), 0.015),
        drum(radius, radius * rng.uniform(0.5, 0.9), shade, (0, 0, tall), 1, caps=0.0),
    ]
    return Furniture(pieces, (radius, radius))


def carton(rng: Random) -> Furniture:
    """Box, basket, bag or bin on the floor."""
    kind = rng.random()
    if kind < 0.25:
        radius, tall = rng.uniform(0.1, 0.2), rng.uniform(0.25, 0.5)
        pieces = [drum(radius * 0.85, radius, tall, (0, 0, tall / 2), caps=1.0)]
        return Furniture(pieces, (radius, radius))
    sides = [rng.uniform(0.2, 0.55), rng.uniform(0.2, 0.6), rng.uniform(0.15, 0.55)]
    pieces = [box(sides, (0, 0, sides[2] / 2))]
    boards = []
    if kind < 0.5:
        flap = sides[0] * 0.45
        for side in (-1, 1):
            start = (side * sides[0] / 2, sides[2])
            end = (start[0] + side * flap * 0.7, sides[2] + flap * 0.5)
            pieces.append(slab(start, end, sides[1], 0.006, 1))
    elif kind < 0.7:
        pieces = [ball((sides[0] / 2, sides[1] / 2, sides[2] / 2), (0, 0, sides[2] / 2))]
        pieces.append(rod((0, -0.08, sides[2]), (0, 0.08, sides[2]), 0.02, 1))
    else:
        x, y = sides[0] / 2, sides[1] / 2
        boards = [Board((-x, -y), (x, y), sides[2], 0.5)]
    return Furniture(pieces, (sides[0] / 2, sides[1] / 2), boards)


def plant(rng: Random) -> Furniture:
    """Pot with leaves."""
    radius, pot = rng.uniform(0.1, 0.22), rng.uniform(0.15, 0.4)
    pieces = [drum(radius * 0.7, radius, pot, (0, 0, pot / 2))]
    tall = rng.uniform(0.4, 1.4)
    for _ in range(rng.randint(2, 5)):
        size = rng.uniform(0.12, 0.3)
        at = (rng.gauss(0, 0.12), rng.gauss(0, 0.12), pot + rng.uniform(0.1, tall))
        pieces += [ball((size, size, size * 0.8), at, 1), rod((0, 0, pot), at, 0.012, 1)]
    return Furniture(pieces, (0.3, 0.3), surfaces={1: Surface(leaves=0.1)})


def screen(rng: Random) -> Furniture:
    """Television or monitor on a foot, to stand on a board."""
    wide = rng.uniform(0.45, 1.2)
    high = wide * rng.uniform(0.55, 0.65)
    pieces = [
        box([0.035, wide, high], (0, 0, high / 2 + 0.1)),
        box([0.03, 0.05, 0.12], (-0.02, 0, 0.06), 1),
        box([0.2, wide * 0.35, 0.015], (0, 0, 0.008), 1),
    ]
    return Furniture(pieces, (0.1, wide / 2), surfaces={0: Surface(lost=0.3)})


def door(rng: Random) -> Furniture:
    """Door leaf, frame and handle, standing before a wall at x = 0."""
    wide, tall = rng.uniform(0.75, 1.0), rng.uniform(1.95, 2.1)
    pieces = [
        between((0.0, -wide / 2, 0.0), (0.04, wide / 2, tall)),
        between((0.0, -wide / 2 - 0.07, 0.0), (0.07, -wide / 2, tall + 0.07), 1),
        between((0.0, wide / 2, 0.0), (0.07, wide / 2 + 0.07, tall + 0.07), 1),
        between((0.0, -wide / 2, tall), (0.07, wide / 2, tall + 0.07), 1),
        rod((0.09, wide / 2 - 0.08, 1.02), (0.09, wide / 2 - 0.2, 1.02), 0.012, 2),
    ]
    return Furniture(pieces, (0.1, wide / 2 + 0.1))


def window(rng: Random) -> Furniture:
    """Window with frame, panes and sill, before a wall at x = 0."""
    wide, tall, z = rng.uniform(0.8, 2.0), rng.uniform(0.8, 1.4), rng.uniform(0.75, 1.0)
    y, thick = wide / 2, 0.06
    pieces = [
        between((0.0, -y, z), (0.01, y, z + tall), 1),
        between((0.0, -y, z - thick), (0.05, y, z)),
        between((0.0, -y, z + tall), (0.05, y, z + tall + thick)),
        between((0.0, -y - 0.2, z - 0.1), (0.15, y + 0.2, z - thick), 2),
    ]
    for k in range(rng.randint(2, 4)):
        at = -y + k * wide / 2 if k < 3 else 0.0
        pieces.append(between((0.0, at - 0.03, z), (0.05, at + 0.03, z + tall)))
    return Furniture(pieces, (0.15, y + 0.2), surfaces={1: GLASS})


def picture(rng: Random) -> Furniture:
    """Picture, clock or board on a wall at x = 0."""
    z = rng.uniform(1.2, 1.7)
    if rng.random() < 0.2:
        radius = rng.uniform(0.12, 0.2)
        return Furniture([drum(radius, radius, 0.04, (0.02, 0, z), 0, ALONG_X)], (0.03, radius))
    wide, high = rng.uniform(0.3, 1.6), rng.uniform(0.3, 0.9)
    return Furniture([box([0.03, wide, high], (0.015, 0, z))], (0.03, wide / 2))


def _door(
    rng: Random, x: float, middle: float, wide: float, low: float, high: float, part: int
) -> list[Piece]:
    leaf = between(
        (x - 0.02, middle - wide / 2 + 0.004, low + 0.01),
        (x, middle + wide / 2 - 0.004, high - 0.01),
        part,
    )
    side = rng.choice((-1, 1)) * (wide / 2 - 0.05)
    z = min(max((low + high) / 2, 0.5), 1.1)
    if rng.random() < 0.15:  # ajar, turned about its hinge
        angle = rng.uniform(0.3, 1.4)
        cos, sin = math.cos(angle), math.sin(angle)
        sign = -1 if side > 0 else 1
        hinge = middle + sign * wide / 2
        turn = ((cos, sign * sin, 0.0), (-sign * sin, cos, 0.0), (0.0, 0.0, 1.0))
        # The leaf's middle lies half its width from the hinge.
        out = (x + sin * wide / 2, hinge - sign * cos * wide / 2, (low + high) / 2)
        return [box([0.02, wide - 0.01, high - low - 0.02], out, part, turn)]
    handle = rod(
        (x + 0.025, middle + side, z - 0.06), (x + 0.025, middle + side, z + 0.06), 0.009, part
    )
    return [leaf, handle]


def _drawers(
    rng: Random,
    x: float,
    middle: float,
    wide: float,
    low: float,
    high: float,
    deep: float,
    part: int,
    rows: int = 3,
) -> list[Piece]:
    pieces = []
    step = (high - low) / rows
    for row in range(rows):
        z = low + row * step
        out = rng.uniform(0.05, 0.3) * deep if rng.random() < 0.12 else 0.0
        left, right = middle - wide / 2 + 0.005, middle + wide / 2 - 0.005
        pieces.append(
            between(
                (x - 0.02 + out, left, z + 0.006), (x + out, right, z + step - 0.006), part + row
            )
        )
        bar = (x + out + 0.025, middle, z + step * 0.6)
        reach = wide * 0.2
        pieces.append(
            rod(
                (bar[0], bar[1] - reach, bar[2]),
                (bar[0], bar[1] + reach, bar[2]),
                0.008,
                part + row,
            )
        )
        if out:
            pieces.append(
                between(
                    (x - 0.02, left + 0.02, z + 0.02),
                    (x + out, right - 0.02, z + 0.035),
                    part + row,
                )
            )
            for side in (left + 0.01, right - 0.02):
                wall = between(
                    (x - 0.02, side, z + 0.02), (x + out, side + 0.01, z + step * 0.8), part + row
                )
                pieces.append(wall)
    return pieces


def _arms(half: float, seat: float, high: float) -> list[Piece]:
    pieces = []
    for side in (-1, 1):
        y = side * (half + 0.03)
        pieces.append(rod((-half * 0.8, y, seat + high), (half * 0.6, y, seat + high), 0.025, 3))
        pieces.append(rod((half * 0.3, y, seat), (half * 0.3, y, seat + high), 0.02, 3))
    return pieces
