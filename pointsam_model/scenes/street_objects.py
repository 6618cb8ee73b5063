"""Things that stand in streets: vehicles, people, poles, trees. x is ahead, z up, feet at z = 0."""

from __future__ import annotations

import math
from random import Random

from pointsam_model.scenes.objects import Piece
from pointsam_model.scenes.pieces import ALONG_X, ALONG_Y, ball, between, box, drum, rod, slab
from pointsam_model.scenes.world import GLASS, Surface, Thing

Place = tuple[float, float]
_LEAVES = Surface(leaves=0.3)
_HEDGE = Surface(leaves=0.12)


def car(rng: Random, at: Place, yaw: float) -> Thing:
    """Saloon, hatchback, estate or off-roader: body, cabin of glass, wheels."""
    long, wide = rng.uniform(3.5, 4.9), rng.uniform(1.6, 1.95)
    ground, belt = rng.uniform(0.16, 0.3), rng.uniform(0.78, 1.0)
    tall = belt + rng.uniform(0.45, 0.75)
    front, rear = long / 2, -long / 2
    nose = rng.uniform(0.62, 0.92) * belt
    bonnet = front - rng.uniform(0.7, 1.25)
    roof_front = bonnet - rng.uniform(0.35, 0.8)
    boot = rng.choice((0.05, 0.1, rng.uniform(0.5, 0.9)))
    roof_rear = rear + boot + rng.uniform(0.1, 0.7)
    inner = wide - 0.16
    thick = 0.06
    # The flanks stand out below the belt; bonnet and boot slope.
    soft = rng.choice((0.0, 0.15, 0.3))
    pieces = [
        between((rear, -wide / 2, ground), (front, wide / 2, nose), soft=soft),
        between((rear + 0.04, 0.02 - wide / 2, ground), (bonnet, wide / 2 - 0.02, belt), soft=soft),
        slab((bonnet, belt), (front - 0.08, nose * 0.92), wide - 0.12, 0.12),
        slab((bonnet + 0.05, belt - 0.02), (roof_front, tall), inner, thick, part=1),
        slab((roof_front + 0.05, tall), (roof_rear, tall - 0.03), inner - 0.08, thick, part=2),
        slab((roof_rear, tall - 0.03), (rear + boot, belt - 0.02), inner, thick, part=1),
    ]
    for side in (-1, 1):
        # A window is a board that leans in; the pillars beside it are solid.
        y = side * (inner / 2 - 0.03)
        low, high = rear + boot + 0.25, bonnet - 0.2
        window = between(
            (min(low, roof_rear), y - 0.02, belt - 0.05),
            (max(high - 0.25, roof_front), y + 0.02, tall - 0.06),
            part=1,
        )
        pieces.append(window)
        middle = (roof_front + roof_rear) / 2
        pieces.append(rod((middle, y, belt), (middle, y * 0.97, tall), 0.05, part=2))
        pieces.append(rod((bonnet, y, belt), (roof_front, y * 0.97, tall), 0.05, part=2))
        pieces.append(rod((rear + boot, y, belt), (roof_rear, y * 0.97, tall), 0.05, part=2))
        mirror = (bonnet - 0.25, side * (wide / 2 + 0.08), belt + 0.05)
        pieces.append(ball((0.06, 0.1, 0.08), mirror))
    return Thing([*pieces, *_wheels(rng, long, wide, 0.62)], (*at, 0.0), yaw, surfaces={1: GLASS})


def van(rng: Random, at: Place, yaw: float) -> Thing:
    """Delivery van or minibus: one high body with a short sloping front."""
    long, wide, tall = rng.uniform(4.6, 6.6), rng.uniform(1.85, 2.1), rng.uniform(1.9, 2.7)
    ground, front, rear = 0.28, long / 2, -long / 2
    screen = front - rng.uniform(0.7, 1.1)
    belt = rng.uniform(1.05, 1.25)
    top = screen - rng.uniform(0.3, 0.7)
    pieces = [
        between((rear, -wide / 2, ground), (screen, wide / 2, belt)),
        between((rear, -wide / 2 + 0.03, belt), (top, wide / 2 - 0.03, tall)),
        between((screen - 0.1, -wide / 2 + 0.03, ground), (front, wide / 2 - 0.03, belt * 0.72)),
        slab((screen, belt), (front - 0.04, belt * 0.72), wide - 0.1, 0.12),
        slab((screen, belt), (top, tall - 0.05), wide - 0.12, 0.06, part=1),
    ]
    for side in (-1, 1):
        pieces.append(ball((0.07, 0.1, 0.16), (screen - 0.1, side * (wide / 2 + 0.12), belt + 0.2)))
        door = (top - 0.1, side * (wide / 2 - 0.02), (belt + tall) / 2)
        pieces.append(box([0.9, 0.06, (tall - belt) * 0.6], door, part=1))
    return Thing([*pieces, *_wheels(rng, long, wide, 0.66)], (*at, 0.0), yaw, surfaces={1: GLASS})


def truck(rng: Random, at: Place, yaw: float) -> Thing:
    """Lorry or bus: a cab and a box, or a tank, or a flat bed on wheels."""
    long, wide, tall = rng.uniform(6.0, 11.5), rng.uniform(2.3, 2.55), rng.uniform(2.7, 3.8)
    front, rear = long / 2, -long / 2
    if rng.random() < 0.3:  # a bus
        body = [
            between((rear, -wide / 2, 0.32), (front, wide / 2, 1.2)),
            between((rear, -wide / 2 + 0.03, 2.2), (front - 0.1, wide / 2 - 0.03, tall * 0.9)),
            between((rear + 0.05, -wide / 2 + 0.05, 1.2), (front - 0.05, wide / 2 - 0.05, 2.2), 1),
        ]
        return Thing(
            [*body, *_wheels(rng, long, wide, 0.6, 0.48)], (*at, 0.0), yaw, surfaces={1: GLASS}
        )
    cab = rng.uniform(1.6, 2.3)
    pieces = [
        between((front - cab, -wide / 2 + 0.05, 0.45), (front, wide / 2 - 0.05, 2.6)),
        box([0.04, wide - 0.3, 0.8], (front + 0.01, 0.0, 2.0), part=1),
        between((rear, -0.4, 0.6), (front, 0.4, 0.95), part=2),
    ]
    load = rng.random()
    middle = (rear + front - cab - 0.2) / 2
    length = long - cab - 0.2
    if load < 0.6:
        pieces.append(between((rear, -wide / 2, 0.95), (rear + length, wide / 2, tall), part=3))
    elif load < 0.75:
        radius = wide / 2 - 0.1
        pieces.append(drum(radius, radius, length, (middle, 0.0, 0.95 + radius), 3, ALONG_X))
    else:
        pieces.append(between((rear, -wide / 2, 0.95), (rear + length, wide / 2, 1.1), part=3))
        for side in (-1, 1):
            wall = (middle, side * (wide / 2 - 0.02), 1.35)
            pieces.append(box([length, 0.04, 0.5], wall, part=3))
    return Thing(
        [*pieces, *_wheels(rng, long, wide, 0.7, 0.48)], (*at, 0.0), yaw, surfaces={1: GLASS}
    )


def person(rng: Random, at: Place, yaw: float) -> Thing:
    """Standing or walking: legs, trunk, arms, head; some carry a bag."""
    return Thing(body(rng, rng.uniform(0.0, 0.35)), (*at, 0.0), yaw)


def body(rng: Random, stride: float, hips: float = 0.0) -> list[Piece]:
    """A person; `hips` lifts the seat of a cyclist above the ground [m], legs bent forward."""
    tall = rng.uniform(1.5, 1.92)
    k = tall / 1.75
    leg, broad = 0.84 * k, rng.uniform(0.17, 0.22) * k
    seat = hips or leg
    lean = rng.uniform(0.0, 0.12) if not hips else rng.uniform(0.1, 0.45)
    shoulder = (lean * 0.55 * k, 0.0, seat + 0.52 * k)
    thick = rng.uniform(0.06, 0.085) * k
    pieces = [
        ball((0.13 * k, broad + 0.02, 0.17 * k), (0.0, 0.0, seat + 0.06 * k), part=1),
        rod((0.0, 0.0, seat + 0.1 * k), shoulder, 0.13 * k, part=1),
        ball((0.12 * k, broad + 0.05, 0.12 * k), shoulder, part=1),
        ball((0.1 * k, 0.08 * k, 0.12 * k), (shoulder[0] + 0.03, 0.0, seat + 0.79 * k), part=2),
    ]
    for side in (-1, 1):
        swing = side * stride
        hip = (0.0, side * 0.09 * k, seat)
        if hips:
            knee = (0.38 * k, side * 0.12 * k, seat - 0.12 + 0.12 * side)
            foot = (0.2 * k, side * 0.12 * k, knee[2] - 0.42 * k)
        else:
            knee = (swing * 0.5, side * 0.1 * k, leg * 0.52)
            foot = (swing * 0.9 - 0.05, side * 0.1 * k, 0.08)
        pieces += [rod(hip, knee, thick * 1.15), rod(knee, foot, thick)]
        pieces.append(ball((0.13 * k, 0.05, 0.045), (foot[0] + 0.06, foot[1], foot[2] - 0.03)))
        top = (shoulder[0], side * (broad + 0.03), shoulder[2])
        if hips:
            hand = (0.5 * k, side * 0.25, seat + 0.12)
            pieces.append(rod(top, hand, 0.05 * k, part=1))
        else:
            elbow = (top[0] - swing * 0.4, side * (broad + 0.08), top[2] - 0.28 * k)
            hand = (elbow[0] - swing * 0.3 + 0.1, elbow[1], elbow[2] - 0.24 * k)
            pieces += [rod(top, elbow, 0.05 * k, 1), rod(elbow, hand, 0.04 * k, 1)]
    if rng.random() < 0.25 and not hips:
        pieces.append(ball((0.12, 0.16, 0.22), (-0.2 * k, 0.0, seat + 0.32 * k), part=3))
    return pieces


def bicycle(rng: Random, at: Place, yaw: float, ridden: bool) -> Thing:
    """Bicycle or scooter, alone or with its rider as one thing."""
    radius, base = rng.uniform(0.31, 0.36), rng.uniform(0.98, 1.1)
    if rng.random() < 0.3:
        pieces = [
            rod((-0.7, 0, 0.45), (-0.05, 0, 0.4), 0.16),
            rod((0.45, 0, 0.4), (0.3, 0, 1.0), 0.09),
            ball((0.4, 0.16, 0.12), (-0.35, 0, 0.78)),
            box([0.6, 0.25, 0.08], (0.1, 0, 0.3)),
        ]
        radius, base = 0.24, 1.25
    else:
        pieces = [
            rod((-base / 2, 0, radius), (-0.15, 0, 0.85), 0.02),
            rod((-0.1, 0, 0.3), (-0.18, 0, 0.92), 0.02),
            rod((-0.1, 0, 0.3), (0.35, 0, 0.85), 0.025),
            rod((-0.17, 0, 0.8), (0.36, 0, 0.82), 0.025),
            rod((base / 2, 0, radius), (0.34, 0, 0.98), 0.02),
            ball((0.13, 0.07, 0.04), (-0.19, 0, 0.95)),
        ]
    pieces.append(rod((0.32, -0.28, 1.0), (0.32, 0.28, 1.0), 0.018))
    for x in (-base / 2, base / 2):
        pieces.append(drum(radius, radius, 0.05, (x, 0, radius), 1, ALONG_Y))
    if ridden:
        own = body(rng, 0.0, hips=0.95)
        pieces += [Piece(p.kind, p.size, _shifted(p, -0.15), p.part + 2, p.rotation) for p in own]
    # Rays go through spokes.
    return Thing(pieces, (*at, 0.0), yaw, surfaces={1: Surface(lost=0.1, leaves=0.08)})


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
        return Thing(pieces, (*at, 0.0), surfaces={1: _LEAVES})
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
    return Thing(pieces, (*at, 0.0), rng.uniform(0, 6.3), surfaces={1: _LEAVES})


def bush(rng: Random, at: Place) -> Thing:
    """A few clumps of leaves on the ground."""
    size = rng.uniform(0.3, 0.9)
    pieces = []
    for _ in range(rng.randint(2, 5)):
        own = size * rng.uniform(0.5, 1.0)
        x, y = rng.gauss(0, size * 0.5), rng.gauss(0, size * 0.5)
        pieces.append(ball((own, own, own * rng.uniform(0.6, 1.1)), (x, y, own * 0.6)))
    return Thing(pieces, (*at, 0.0), surfaces={0: _HEDGE})


def hedge(rng: Random, at: Place, yaw: float, long: float) -> Thing:
    tall, thick = rng.uniform(0.6, 2.0), rng.uniform(0.4, 0.9)
    return Thing(
        [box([long, thick, tall], (0, 0, tall / 2))], (*at, 0.0), yaw, surfaces={0: _HEDGE}
    )


def fence(rng: Random, at: Place, yaw: float, long: float) -> Thing:
    """Posts with boards, rails or wire between them, or a low wall."""
    tall = rng.uniform(0.7, 1.9)
    if rng.random() < 0.3:
        return Thing([box([long, 0.2, tall], (0, 0, tall / 2))], (*at, 0.0), yaw)
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
    lost = Surface(lost=rng.choice((0.0, 0.0, 0.5)))
    return Thing(pieces, (*at, 0.0), yaw, surfaces={1: lost})


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


def _wheels(rng: Random, long: float, wide: float, base: float, radius: float = 0.0) -> list[Piece]:
    radius = radius or rng.uniform(0.29, 0.37)
    return [
        drum(radius, radius, 0.2, (x * long * base / 2, y * (wide / 2 - 0.1), radius), 4, ALONG_Y)
        for x in (-1, 1)
        for y in (-1, 1)
    ]


def _shifted(piece: Piece, x: float) -> tuple[float, float, float]:
    return (piece.centre[0] + x, piece.centre[1], piece.centre[2])
