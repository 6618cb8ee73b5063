"""Cartons on pallets and in stacks: close to each other, of one size or of many."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import torch

from pointsam_model.scenes.config import SceneConfig
from pointsam_model.scenes.scene import Scene
from pointsam_model.scenes.sensors.camera import draw_camera
from pointsam_model.scenes.sensors.views import photographed
from pointsam_model.scenes.shapes.objects import Piece, Vector
from pointsam_model.scenes.shapes.pieces import between
from pointsam_model.scenes.streams import stream
from pointsam_model.scenes.worlds.world import Thing

_MOST_BOXES = 60
_TALLEST = 1.8  # m
Cell = tuple[float, float, float, float]  # low x, low y, high x, high y [m]


def generate_pallet(seed: int, image: SceneConfig, device: torch.device) -> Scene:
    """One pallet, stack or wall of cartons through a depth camera; see `Scene`.

    image: the camera; it stands back far enough to see the pallet, or part of it.
    """
    rng = stream("pallet", seed)
    things, middle, radius = draw_stack(rng)
    camera = draw_camera(stream("pallet camera", seed), image)
    if sum(thing.background for thing in things) > 1:  # not from behind the wall
        camera = replace(camera, azimuth=rng.uniform(-1.1, 1.1))
    # From outside of the stack, on all of it or on a part.
    outside = 1.2 * math.hypot(radius, middle[2]) + 0.3
    if rng.random() < 0.4:
        radius *= rng.uniform(0.4, 0.7)
    lowest = rng.choice((15.0, 35.0, 60.0))
    far = replace(
        image,
        elevation=(lowest, 89.0),
        distance=(outside, max(outside, 3.2)),
        twin_share=rng.choice((0.1, 0.6, 0.98)),
    )
    return photographed(
        things, "pallet", seed, camera, middle, radius, far, device, rng.uniform(3.0, 6.0)
    )


def draw_stack(rng: Random) -> tuple[list[Thing], Vector, float]:
    """Floor, perhaps a wall, pallet and cartons; their middle [m] and radius [m]."""
    kind = rng.choices(("pallet", "wall", "floor"), (0.6, 0.2, 0.2))[0]
    half = {
        "pallet": (rng.choice((0.6, 0.5, 0.4)), rng.choice((0.4, 0.4, 0.3))),
        "wall": (rng.uniform(0.18, 0.3), rng.uniform(0.6, 1.1)),
        "floor": (rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.6)),
    }[kind]
    things = [_background(-4.0, -4.0, -0.2, 4.0, 4.0, 0.0)]
    if kind == "wall" or rng.random() < 0.3:
        things.append(
            _background(-half[0] - 1.2, -4.0, 0.0, -half[0] - rng.uniform(0, 1), 4.0, 3.0)
        )
    height = 0.0
    if kind == "pallet":
        things.append(Thing(_pallet(half), (0.0, 0.0, 0.0)))
        height = 0.144
    top = rng.uniform(0.3, 0.9 if kind == "floor" else _TALLEST)
    boxes = (
        _like(rng, half, height, top) if rng.random() < 0.55 else _unlike(rng, half, height, top)
    )
    things += boxes
    tallest = max((thing.position[2] for thing in boxes), default=height)
    # Looked at from above and before it: the middle is at 0.4 of the height, as on tables.
    return things, (0.0, 0.0, 0.4 * (2 * tallest)), math.hypot(*half)


def _background(*corners: float) -> Thing:
    a, b, c, d, e, f = corners
    return Thing([between((a, b, c), (d, e, f))], (0.0, 0.0, 0.0), background=True)


def _pallet(half: tuple[float, float]) -> list[Piece]:
    """Boards on blocks, 14 cm high, one thing."""
    x, y = half
    pieces = []
    for k in range(5):
        at = -y + 0.06 + k * (2 * y - 0.12) / 4
        pieces.append(between((-x, at - 0.06, 0.122), (x, at + 0.06, 0.144)))
    for u in (-1, 0, 1):
        for v in (-1, 0, 1):
            a, b = u * (x - 0.07), v * (y - 0.05)
            pieces.append(between((a - 0.07, b - 0.05, 0.02), (a + 0.07, b + 0.05, 0.1), 1))
        pieces.append(
            between((u * (x - 0.07) - 0.07, -y, 0.1), (u * (x - 0.07) + 0.07, y, 0.122), 1)
        )
    for v in (-1, 0, 1):
        pieces.append(
            between((-x, v * (y - 0.05) - 0.05, 0.0), (x, v * (y - 0.05) + 0.05, 0.02), 1)
        )
    return pieces


def _like(rng: Random, half: tuple[float, float], height: float, top: float) -> list[Thing]:
    """Layers of one carton; the last is not full, and every other one may be turned."""
    x, y = half
    columns, rows = (
        rng.randint(1, max(1, round(2 * x / 0.22))),
        rng.randint(1, max(1, round(2 * y / 0.2))),
    )
    tall = rng.uniform(0.1, 0.4)
    layers = max(1, min(round((top - height) / tall), _MOST_BOXES // (columns * rows)))
    gap = rng.choice((0.0, rng.uniform(0, 0.006), rng.uniform(0, 0.03)))
    soft = rng.uniform(0.15, 0.5) if rng.random() < 0.2 else 0.0
    missing = rng.uniform(0, 0.7)
    things = []
    for layer in range(layers):
        a, b = (columns, rows) if layer % 2 == 0 or rng.random() < 0.5 else (rows, columns)
        for i in range(a):
            for j in range(b):
                if layer == layers - 1 and rng.random() < missing:
                    continue
                cell = (
                    -x + 2 * x * i / a,
                    -y + 2 * y * j / b,
                    -x + 2 * x * (i + 1) / a,
                    -y + 2 * y * (j + 1) / b,
                )
                things.append(_carton(rng, cell, height + layer * tall, tall, gap, soft))
    return things


def _unlike(rng: Random, half: tuple[float, float], height: float, top: float) -> list[Thing]:
    """Columns of unlike cartons beside each other."""
    cells: list[Cell] = [(-half[0], -half[1], half[0], half[1])]
    for _ in range(rng.randint(2, 14)):
        cells.sort(key=lambda c: (c[2] - c[0]) * (c[3] - c[1]))
        a, b, c, d = cells.pop()
        at = rng.uniform(0.35, 0.65)
        if c - a > d - b:
            middle = a + at * (c - a)
            cells += [(a, b, middle, d), (middle, b, c, d)]
        else:
            middle = b + at * (d - b)
            cells += [(a, b, c, middle), (a, middle, c, d)]
    gap = rng.uniform(0, 0.02)
    things: list[Thing] = []
    for cell in cells:
        z, own = height, height + (top - height) * rng.uniform(0.2, 1.0)
        while z < own and len(things) < _MOST_BOXES:
            tall = rng.uniform(0.08, 0.4)
            soft = rng.uniform(0.15, 0.5) if rng.random() < 0.1 else 0.0
            things.append(_carton(rng, cell, z, tall, gap, soft))
            z += tall
    return things


def _carton(rng: Random, cell: Cell, z: float, tall: float, gap: float, soft: float) -> Thing:
    """One carton or sack in a cell of its layer, a little smaller, moved and turned by the gap."""
    wide, deep = cell[2] - cell[0] - gap, cell[3] - cell[1] - gap
    x, y = (cell[0] + cell[2]) / 2, (cell[1] + cell[3]) / 2
    if soft == 0.0 and gap > 0.01 and rng.random() < 0.3:
        wide, deep = wide * rng.uniform(0.75, 1), deep * rng.uniform(0.75, 1)
    low, high = (-wide / 2, -deep / 2, -tall / 2), (wide / 2, deep / 2, tall / 2 - 0.001)
    pieces = [between(low, high, 0, soft)]
    if soft == 0.0 and rng.random() < 0.3:  # a strip of tape, a label
        tape = rng.uniform(0.02, 0.04)
        pieces.append(between((low[0], -tape, high[2]), (high[0], tape, high[2] + 0.0006), 1))
    shift = 0.5 * gap
    at = (x + rng.uniform(-shift, shift), y + rng.uniform(-shift, shift), z + tall / 2)
    # A turned box needs half its gap at the corners.
    turn = rng.uniform(-0.5, 0.5) * gap / max(wide, deep, 0.1)
    return Thing(pieces, at, turn)
