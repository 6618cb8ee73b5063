"""People, standing, walking or in the saddle. They look along +x, z up, feet at z = 0."""

from __future__ import annotations

from random import Random

from pointsam_model.scenes.shapes.objects import Piece
from pointsam_model.scenes.shapes.pieces import ball, rod


def body(rng: Random, stride: float, hips: float = 0.0) -> list[Piece]:
    """A person; `hips` lifts the seat of a cyclist above the ground [m], legs bent forward."""
    tall = rng.uniform(1.5, 1.92) if hips or rng.random() < 0.9 else rng.uniform(1.0, 1.5)
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
