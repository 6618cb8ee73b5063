"""Furniture: what it is made of and carries; and the lamps, plants, doors and boxes of rooms.

Fronts look along +x, z up, feet at z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from pointsam_model.scenes.shapes.objects import LOWER_CAP, NO_CAP, Piece
from pointsam_model.scenes.shapes.pieces import ALONG_X, ball, between, box, drum, rod, slab
from pointsam_model.scenes.worlds.world import GLASS, Material


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
    surfaces: dict[int, Material] = field(default_factory=dict)


def lamp(rng: Random) -> Furniture:
    """Standard lamp."""
    tall, radius = rng.uniform(1.3, 1.8), rng.uniform(0.12, 0.25)
    shade = rng.uniform(0.2, 0.35)
    pieces = [
        drum(radius, radius, 0.03, (0, 0, 0.015)),
        rod((0, 0, 0.03), (0, 0, tall), 0.015),
        drum(radius, radius * rng.uniform(0.5, 0.9), shade, (0, 0, tall), 1, caps=NO_CAP),
    ]
    return Furniture(pieces, (radius, radius))


def carton(rng: Random) -> Furniture:
    """Box, basket, bag or bin on the floor."""
    kind = rng.random()
    if kind < 0.25:
        radius, tall = rng.uniform(0.1, 0.2), rng.uniform(0.25, 0.5)
        pieces = [drum(radius * 0.85, radius, tall, (0, 0, tall / 2), caps=LOWER_CAP)]
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
    return Furniture(pieces, (0.3, 0.3), surfaces={1: Material(leaves=0.1)})


def screen(rng: Random) -> Furniture:
    """Television or monitor on a foot, to stand on a board."""
    wide = rng.uniform(0.45, 1.2)
    high = wide * rng.uniform(0.55, 0.65)
    pieces = [
        box([0.035, wide, high], (0, 0, high / 2 + 0.1)),
        box([0.03, 0.05, 0.12], (-0.02, 0, 0.06), 1),
        box([0.2, wide * 0.35, 0.015], (0, 0, 0.008), 1),
    ]
    return Furniture(pieces, (0.1, wide / 2), surfaces={0: Material(lost=0.3)})


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
