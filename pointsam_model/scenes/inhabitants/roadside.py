"""Small things beside roads: cones, barriers, cabinets, hydrants, columns, shelters, prams, dogs.

z is up, feet at z = 0, metres.
"""

from __future__ import annotations

import math
from random import Random

from pointsam_model.scenes.inhabitants.vehicles import Place
from pointsam_model.scenes.shapes.pieces import ALONG_X, ALONG_Y, ball, box, drum, rod, slab
from pointsam_model.scenes.worlds.world import GLASS, Thing


def cone(rng: Random, at: Place, yaw: float) -> Thing:
    """Traffic cone or a hydrant."""
    tall = rng.uniform(0.45, 0.95)
    if rng.random() < 0.7:
        foot = tall * rng.uniform(0.4, 0.55)
        pieces = [
            box([foot, foot, 0.04], (0, 0, 0.02)),
            drum(foot * 0.4, 0.03, tall, (0, 0, tall / 2), 1),
        ]
        return Thing(pieces, (*at, 0.0), yaw)
    pieces = [drum(0.11, 0.1, tall, (0, 0, tall / 2)), ball((0.11, 0.11, 0.08), (0, 0, tall), 1)]
    pieces.append(drum(0.05, 0.05, 0.34, (0, 0, tall * 0.7), 1, ALONG_Y))
    return Thing(pieces, (*at, 0.0), yaw)


def barrier(rng: Random, at: Place, yaw: float) -> Thing:
    """Building site barrier: rails on two feet, or a solid block."""
    long, tall = rng.uniform(1.0, 2.2), rng.uniform(0.8, 1.1)
    if rng.random() < 0.3:
        pieces = [
            slab((-0.28, 0.1), (-0.08, tall), long, 0.05),
            slab((0.28, 0.1), (0.08, tall), long, 0.05),
            box([0.6, long, 0.2], (0, 0, 0.1)),
        ]
        return Thing(pieces, (*at, 0.0), yaw)
    pieces = [box([0.03, long, 0.2], (0, 0, tall - 0.1 - 0.32 * rail), 0) for rail in range(2)]
    for side in (-1, 1):
        y = side * long * 0.42
        pieces.append(box([0.05, 0.05, tall], (0, y, tall / 2), 1))
        pieces.append(box([0.7, 0.15, 0.06], (0, y, 0.03), 1))
    return Thing(pieces, (*at, 0.0), yaw)


def cabinet(rng: Random, at: Place, yaw: float) -> Thing:
    """Switch cabinet, letter box or ticket machine."""
    sides = [rng.uniform(0.3, 0.5), rng.uniform(0.4, 1.5), rng.uniform(0.9, 1.7)]
    pieces = [box(sides, (0, 0, sides[2] / 2))]
    if rng.random() < 0.5:
        pieces.append(box([sides[0] + 0.06, sides[1] + 0.06, 0.06], (0, 0, sides[2]), 1))
    return Thing(pieces, (*at, 0.0), yaw)


def column(rng: Random, at: Place, yaw: float) -> Thing:
    """Advertising column or board."""
    tall = rng.uniform(2.0, 3.2)
    if rng.random() < 0.4:
        radius = rng.uniform(0.5, 0.75)
        pieces = [
            drum(radius, radius, tall, (0, 0, tall / 2)),
            drum(radius * 1.12, radius * 0.7, 0.35, (0, 0, tall + 0.17), 1),
        ]
        return Thing(pieces, (*at, 0.0), yaw)
    wide = rng.uniform(0.9, 1.5)
    pieces = [
        box([0.2, wide, tall - 0.4], (0, 0, tall / 2 + 0.2)),
        box([0.15, wide * 0.3, 0.6], (0, 0, 0.3), 1),
    ]
    return Thing(pieces, (*at, 0.0), yaw)


def shelter(rng: Random, at: Place, yaw: float) -> Thing:
    """Bus shelter: a roof on posts, glass behind, a seat."""
    long, deep, tall = rng.uniform(2.5, 4.5), rng.uniform(1.2, 1.6), rng.uniform(2.3, 2.6)
    pieces = [
        box([deep, long, 0.1], (0, 0, tall)),
        box([0.02, long - 0.1, tall - 0.5], (-deep / 2 + 0.05, 0, tall / 2 + 0.1), 1),
        box([0.35, long * 0.6, 0.05], (-deep / 2 + 0.3, 0, 0.48), 2),
    ]
    for u in (-1, 1):
        for v in (-1, 0, 1):
            if u < 0 or v:
                corner = (u * (deep / 2 - 0.06), v * (long / 2 - 0.06))
                pieces.append(box([0.08, 0.08, tall], (*corner, tall / 2)))
    return Thing(pieces, (*at, 0.0), yaw, surfaces={1: GLASS})


def pram(rng: Random, at: Place, yaw: float) -> Thing:
    """Pram, shopping trolley or wheelchair: a box on wheels with a handle."""
    long, wide = rng.uniform(0.6, 0.9), rng.uniform(0.45, 0.6)
    low, high = rng.uniform(0.35, 0.5), rng.uniform(0.65, 0.8)
    pieces = [
        box([long, wide, high - low], (0, 0, (low + high) / 2)),
        slab((-long / 2, high), (-long / 2 - 0.25, 1.02), wide, 0.04, 1),
    ]
    if rng.random() < 0.5:
        pieces.append(ball((0.3, wide / 2, 0.3), (long / 2 - 0.25, 0, high), 2))
    radius = rng.uniform(0.09, 0.16)
    for x in (-1, 1):
        for y in (-1, 1):
            wheel = (x * long * 0.4, y * wide * 0.46, radius)
            pieces.append(drum(radius, radius, 0.05, wheel, 1, ALONG_Y))
            pieces.append(rod(wheel, (wheel[0], wheel[1], low + 0.03), 0.02, 1))
    return Thing(pieces, (*at, 0.0), yaw)


def dog(rng: Random, at: Place, yaw: float) -> Thing:
    """Trunk, head, legs and tail."""
    k = rng.uniform(0.5, 1.15)
    back = 0.5 * k
    pieces = [
        rod((-0.28 * k, 0, back), (0.28 * k, 0, back), 0.12 * k),
        rod((0.3 * k, 0, back + 0.03), (0.42 * k, 0, back + 0.2 * k), 0.07 * k, 1),
        ball((0.14 * k, 0.075 * k, 0.08 * k), (0.5 * k, 0, back + 0.24 * k), 1),
        rod((-0.36 * k, 0, back + 0.05), (-0.52 * k, 0, back + rng.uniform(-0.1, 0.25)), 0.025 * k),
    ]
    for x in (-0.25, 0.27):
        for y in (-0.07, 0.07):
            foot = (k * (x + rng.uniform(-0.08, 0.08)), k * y, 0.03)
            pieces.append(rod((k * x, k * y, back), foot, 0.035 * k, 2))
    return Thing(pieces, (*at, 0.0), yaw)


def motorcycle(rng: Random, at: Place, yaw: float) -> Thing:
    """Parked motorcycle: wheels, tank, seat, fork and bars."""
    base, radius = rng.uniform(1.25, 1.5), rng.uniform(0.28, 0.33)
    pieces = [drum(radius, radius, 0.13, (x, 0, radius), 1, ALONG_Y) for x in (-base / 2, base / 2)]
    pieces += [
        ball((0.35, 0.17, 0.17), (0.12, 0, 0.78)),
        ball((0.42, 0.15, 0.09), (-0.4, 0, 0.78), 2),
        ball((0.3, 0.18, 0.22), (0.0, 0, 0.45)),
        rod((base / 2, 0, radius), (base / 2 - 0.3, 0, 0.98), 0.05, 1),
        rod((base / 2 - 0.3, -0.36, 1.02), (base / 2 - 0.3, 0.36, 1.02), 0.02, 1),
        drum(0.09, 0.09, 0.12, (base / 2 - 0.18, 0, 0.88), 2, ALONG_X),
        rod((-0.5, 0, 0.7), (-base / 2, 0, radius), 0.04),
    ]
    if rng.random() < 0.3:
        pieces.append(box([0.3, 0.4, 0.3], (-0.75, 0, 0.98), 2))
    return Thing(pieces, (*at, 0.0), yaw + math.copysign(0.1, rng.random() - 0.5))
