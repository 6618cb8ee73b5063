"""Things that stand in streets: people, poles, trees, fences. z is up, feet at z = 0."""

from __future__ import annotations

import math
from random import Random

from pointsam_model.scenes.inhabitants.people import body
from pointsam_model.scenes.inhabitants.vehicles import Place
from pointsam_model.scenes.shapes.pieces import ALONG_X, ball, box, drum, rod, slab
from pointsam_model.scenes.worlds.world import Material, Thing

_LEAVES = Material(leaves=0.3)
_HEDGE = Material(leaves=0.12)


def person(rng: Random, at: Place, yaw: float) -> Thing:
    """Standing or walking: legs, trunk, arms, head; some carry a bag."""
    return Thing(body(rng, rng.uniform(0.0, 0.35)), (*at, 0.0), yaw)


def pole(rng: Random, at: Place, yaw: float) -> Thing:
    """Street lamp, traffic light, sign post or bollard."""
    kind = rng.choices(("lamp", "light", "sign", "bollard"), (0.3, 0.2, 0.35, 0.15))[0]
    radius = rng.uniform(0.03, 0.1)
    if kind == "bollard":
        tall = rng.uniform(0.6, 1.1)
        return Thing([drum(radius, radius, tall, (0, 0, tall / 2))], (*at, 0.0), yaw)
    if kind == "lamp":
        tall = rng.uniform(4.0, 9.0)
        arm = rng.uniform(0.3, 2.0)
        pieces = [
            drum(radius * 1.2, radius * 0.7, tall, (0, 0, tall / 2)),
            rod((0, 0, tall), (0, arm, tall + 0.3), radius * 0.6),
            ball((0.15, 0.35, 0.1), (0, arm, tall + 0.28), part=1),
        ]
        return Thing(pieces, (*at, 0.0), yaw)
    tall = rng.uniform(2.1, 3.6)
    pieces = [drum(radius, radius, tall, (0, 0, tall / 2))]
    if kind == "light":
        pieces.append(box([0.25, 0.3, rng.uniform(0.7, 1.0)], (radius + 0.1, 0, tall - 0.3), 1))
    elif rng.random() < 0.6:
        size = rng.uniform(0.3, 0.45)
        pieces.append(drum(size, size, 0.03, (radius + 0.02, 0, tall - size), 1, ALONG_X))
    else:
        wide, high = rng.uniform(0.4, 1.6), rng.uniform(0.4, 1.0)
        pieces.append(box([0.04, wide, high], (radius + 0.02, 0, tall - high / 2), 1))
    return Thing(pieces, (*at, 0.0), yaw)


def tree(rng: Random, at: Place) -> Thing:
    """Trunk, a few boughs and a crown of clumps of leaves; some are conifers, some bare."""
    radius, fork = rng.uniform(0.07, 0.28), rng.uniform(1.6, 3.2)
    tall = fork + rng.uniform(1.5, 6.0)
    pieces = [drum(radius * 1.2, radius * 0.8, fork, (0, 0, fork / 2))]
    shape = rng.random()
    if shape < 0.15:
        low = rng.uniform(0.3, 1.2)
        wide = rng.uniform(0.9, 1.8)
        pieces.append(drum(wide, 0.1, tall - low, (0, 0, (tall + low) / 2), 1))
        return Thing(pieces, (*at, 0.0), surfaces={1: _LEAVES}, plant=True)
    spread = rng.uniform(0.8, 2.6)
    middle = (fork + tall) / 2
    for _ in range(rng.randint(3, 6)):
        angle = rng.uniform(0, 2 * math.pi)
        away = spread * rng.uniform(0.3, 0.9)
        end = (away * math.cos(angle), away * math.sin(angle), rng.uniform(fork + 0.3, tall))
        pieces.append(rod((0, 0, fork - 0.1), end, radius * 0.35))
        if shape > 0.25:
            clump = spread * rng.uniform(0.35, 0.7)
            pieces.append(ball((clump, clump, clump * rng.uniform(0.6, 1.0)), end, 1))
    if shape > 0.25:
        pieces.append(ball((spread * 0.7, spread * 0.7, (tall - fork) / 2), (0, 0, middle), 1))
    return Thing(pieces, (*at, 0.0), rng.uniform(0, 6.3), surfaces={1: _LEAVES}, plant=True)


def bush(rng: Random, at: Place) -> Thing:
    """A few clumps of leaves on the ground."""
    size = rng.uniform(0.3, 0.9)
    pieces = []
    for _ in range(rng.randint(2, 5)):
        own = size * rng.uniform(0.5, 1.0)
        x, y = rng.gauss(0, size * 0.5), rng.gauss(0, size * 0.5)
        pieces.append(ball((own, own, own * rng.uniform(0.6, 1.1)), (x, y, own * 0.6)))
    return Thing(pieces, (*at, 0.0), surfaces={0: _HEDGE}, plant=True)


def hedge(rng: Random, at: Place, yaw: float, long: float) -> Thing:
    """Cut straight or grown wild; background, as `fence` is."""
    tall, thick = rng.uniform(0.6, 2.0), rng.uniform(0.4, 0.9)
    pieces = [box([long, thick, tall], (0, 0, tall / 2))]
    # Hardly any is as straight as a wall.
    for _ in range(round(long * rng.uniform(0.2, 1.5))):
        size = thick * rng.uniform(0.5, 0.9)
        x, z = rng.uniform(-0.5, 0.5) * long, rng.uniform(0.4, 1.0) * tall
        pieces.append(ball((size, size, size * 0.8), (x, rng.gauss(0, 0.2) * thick, z)))
    return Thing(pieces, (*at, 0.0), yaw, background=True, surfaces={0: _HEDGE})


def fence(rng: Random, at: Place, yaw: float, long: float) -> Thing:
    """Posts with boards, rails or wire between them, or a low wall."""
    tall = rng.uniform(0.7, 1.9)
    if rng.random() < 0.3:
        wall = box([long, rng.uniform(0.15, 0.35), tall], (0, 0, tall / 2))
        return Thing([wall], (*at, 0.0), yaw, background=True)
    gap = rng.uniform(1.5, 2.6)
    posts = max(2, round(long / gap))
    pieces = []
    for post in range(posts + 1):
        x = long * (post / posts - 0.5)
        pieces.append(box([0.08, 0.08, tall], (x, 0, tall / 2)))
    if rng.random() < 0.5:
        pieces.append(box([long, 0.03, tall * 0.85], (0, 0.05, tall * 0.52), 1))
    else:
        for rail in range(rng.randint(2, 4)):
            pieces.append(box([long, 0.04, 0.09], (0, 0.05, tall * (0.3 + 0.22 * rail)), 1))
    lost = Material(lost=rng.choice((0.0, 0.0, 0.5)))
    return Thing(pieces, (*at, 0.0), yaw, background=True, surfaces={1: lost})


def bench(rng: Random, at: Place, yaw: float) -> Thing:
    long, deep = rng.uniform(1.1, 2.0), rng.uniform(0.4, 0.55)
    pieces = [box([deep, long, 0.06], (0, 0, 0.45))]
    for side in (-1, 1):
        pieces.append(box([deep, 0.08, 0.42], (0, side * long * 0.4, 0.21), 1))
    if rng.random() < 0.7:
        pieces.append(slab((-deep / 2, 0.5), (-deep / 2 - 0.12, 0.9), long, 0.05, 2))
    return Thing(pieces, (*at, 0.0), yaw)


def bin_(rng: Random, at: Place, yaw: float) -> Thing:
    """Litter bin, wheeled bin or large container."""
    kind = rng.random()
    if kind < 0.4:
        radius, tall = rng.uniform(0.18, 0.3), rng.uniform(0.7, 1.1)
        return Thing([drum(radius * 0.9, radius, tall, (0, 0, tall / 2))], (*at, 0.0), yaw)
    wide = rng.uniform(0.5, 0.7) if kind < 0.8 else rng.uniform(1.2, 1.9)
    deep, tall = rng.uniform(0.5, 1.0), rng.uniform(0.9, 1.4)
    pieces = [
        box([deep, wide, tall - 0.1], (0, 0, tall / 2 + 0.03)),
        slab((-deep / 2, tall), (deep / 2 + 0.04, tall + 0.05), wide + 0.04, 0.05, 1),
    ]
    return Thing(pieces, (*at, 0.0), yaw)
