"""Which objects lie on tables, how often, and on which side."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from pointsam_model.scenes.shapes import basic, holders, jointed, tools
from pointsam_model.scenes.shapes import rounded as soft
from pointsam_model.scenes.shapes.objects import (
    IDENTITY,
    Matrix,
    Piece,
    about_x,
    scaled,
    turned,
)

Shape = Callable[[Random], list[Piece]]

TABLETOP: dict[Shape, float] = {
    basic.block: 0.12,
    basic.carton: 0.10,
    basic.flat_box: 0.12,
    basic.book: 0.10,
    basic.plate: 0.03,
    basic.can: 0.06,
    basic.tin: 0.035,
    basic.bottle: 0.05,
    basic.spray: 0.02,
    basic.jar: 0.03,
    basic.cup: 0.03,
    basic.mug: 0.05,
    basic.bowl: 0.045,
    basic.ball: 0.025,
    basic.fruit: 0.03,
    basic.cone: 0.02,
    basic.tool: 0.03,
    basic.lidded_box: 0.035,
    basic.compound: 0.035,
    basic.open_box: 0.025,
    basic.roll: 0.01,
    soft.rounded_block: 0.06,
    soft.soap: 0.02,
    soft.odd_solid: 0.015,
    soft.ring: 0.012,
    soft.bag: 0.015,
    soft.sack: 0.01,
    soft.shoe: 0.015,
    soft.cloth: 0.015,
    soft.sheet: 0.012,
    soft.pot: 0.02,
    soft.teapot: 0.008,
    soft.bucket: 0.008,
    tools.scissors: 0.008,
    tools.pliers: 0.008,
    tools.wrench: 0.006,
    tools.drill: 0.012,
    tools.grinder: 0.006,
    tools.knife: 0.006,
    tools.flashlight: 0.006,
    tools.headset: 0.006,
    jointed.drawers: 0.012,
    jointed.hinged_box: 0.015,
    jointed.laptop: 0.012,
    jointed.open_book: 0.012,
    jointed.device: 0.012,
    holders.tray: 0.012,
    holders.rack: 0.008,
    holders.block_of_holes: 0.008,
}
VESSELS: dict[Shape, float] = {
    basic.bowl: 0.30,
    soft.pot: 0.16,
    basic.mug: 0.10,
    basic.cup: 0.10,
    basic.open_box: 0.10,
    basic.plate: 0.08,
    holders.tray: 0.06,
    soft.bucket: 0.05,
    basic.jar: 0.03,
    soft.ring: 0.02,
}
_LIES_TOO = {basic.can, basic.bottle, basic.spray, basic.cone, basic.jar, basic.carton, soft.bag}


def draw_object(rng: Random, scale: float, vessel_share: float = 0.0) -> list[Piece]:
    """A random object as it would lie or stand on a table; `scale` multiplies its size.

    vessel_share: how many of the objects are hollow and open, beside those that are so anyway.
    """
    vessel = vessel_share > 0 and rng.random() < vessel_share
    kinds = VESSELS if vessel else TABLETOP
    shape = rng.choices(list(kinds), list(kinds.values()))[0]
    pieces = shape(rng)
    if scale != 1.0:
        pieces = [scaled(piece, scale) for piece in pieces]
    turn = _resting_turn(rng, shape)
    return pieces if turn is IDENTITY else [turned(piece, turn) for piece in pieces]


def _resting_turn(rng: Random, shape: Shape) -> Matrix:
    """Some things also lie on their side, stand on an edge or upside down."""
    draw = rng.random()
    if shape in _LIES_TOO and draw < 0.3:
        return about_x(math.pi / 2)
    if shape is basic.book and draw < 0.15:
        return about_x(math.pi / 2)
    if shape in (basic.mug, basic.cup) and draw < 0.12:
        return about_x(math.pi / 2)
    if shape in (basic.mug, basic.cup, basic.bowl) and draw < 0.22:
        return about_x(math.pi)
    return IDENTITY
