"""Tables, chairs, sofas and beds. Fronts look along +x, z up, feet at z = 0."""

from __future__ import annotations

import math
from random import Random

from pointsam_model.scenes.inhabitants.furniture import Board, Furniture
from pointsam_model.scenes.inhabitants.storage import drawers
from pointsam_model.scenes.shapes.objects import Piece
from pointsam_model.scenes.shapes.pieces import ball, between, box, drum, rod, slab


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
        pieces += drawers(rng, x - 0.04, side, 0.4, 0.1, tall - thick, deep - 0.1, 2)
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


def _arms(half: float, seat: float, high: float) -> list[Piece]:
    pieces = []
    for side in (-1, 1):
        y = side * (half + 0.03)
        pieces.append(rod((-half * 0.8, y, seat + high), (half * 0.6, y, seat + high), 0.025, 3))
        pieces.append(rod((half * 0.3, y, seat), (half * 0.3, y, seat + high), 0.02, 3))
    return pieces
