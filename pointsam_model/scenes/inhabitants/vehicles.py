"""Cars, vans, lorries, buses and bicycles. x is ahead, z up, wheels at z = 0."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from pointsam_model.scenes.inhabitants.people import body
from pointsam_model.scenes.shapes.objects import Piece, moved
from pointsam_model.scenes.shapes.pieces import (
    ALONG_X,
    ALONG_Y,
    ball,
    between,
    box,
    drum,
    rod,
    slab,
)
from pointsam_model.scenes.worlds.world import GLASS, Material, Thing

Place = tuple[float, float]


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
        rider = body(rng, 0.0, hips=0.95)
        pieces += [replace(moved(piece, (-0.15, 0, 0)), part=piece.part + 2) for piece in rider]
    # Rays go through spokes.
    return Thing(pieces, (*at, 0.0), yaw, surfaces={1: Material(lost=0.1, leaves=0.08)})


def _wheels(rng: Random, long: float, wide: float, base: float, radius: float = 0.0) -> list[Piece]:
    radius = radius or rng.uniform(0.29, 0.37)
    return [
        drum(radius, radius, 0.2, (x * long * base / 2, y * (wide / 2 - 0.1), radius), 4, ALONG_Y)
        for x in (-1, 1)
        for y in (-1, 1)
    ]
