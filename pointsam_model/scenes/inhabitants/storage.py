"""Cabinets and shelves; their doors and drawers are parts. Fronts look along +x, z up."""

from __future__ import annotations

import math
from random import Random

from pointsam_model.scenes.inhabitants.furniture import Board, Furniture
from pointsam_model.scenes.shapes.objects import Piece
from pointsam_model.scenes.shapes.pieces import between, box, rod


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
            front = drawers(rng, x, middle, wide / columns, foot, tall, deep, part, rows)
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


def drawers(
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
    """Drawers above each other, parts `part` and on: fronts with handles at x, some drawn out."""
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
