"""What holds other things: trays and racks among the objects, crates and shelves around them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from pointsam_model.scenes.shapes.objects import Piece, box, capsule, frustum, rounded


def tray(rng: Random) -> list[Piece]:
    """Low walls, perhaps with grips, on a floor."""
    wide, deep, high = rng.uniform(0.16, 0.34), rng.uniform(0.12, 0.25), rng.uniform(0.015, 0.05)
    wall = rng.uniform(0.005, 0.01)
    pieces = _walls(wide, deep, high, wall)
    if rng.random() < 0.4:
        for side in (-1.0, 1.0):
            x, z = side * (wide / 2 + 0.015), high / 2
            pieces.append(capsule((x, -deep * 0.2, z), (x, deep * 0.2, z), 0.006, part=2))
            for end in (-0.2, 0.2):
                start = (side * wide / 2, deep * end, z - 0.005)
                pieces.append(capsule(start, (x, deep * end, z), 0.005, part=2))
    return pieces


def rack(rng: Random) -> list[Piece]:
    """Dish or file rack: a base and upright bars or boards."""
    long, deep, high = rng.uniform(0.12, 0.3), rng.uniform(0.08, 0.2), rng.uniform(0.05, 0.13)
    base = rng.uniform(0.006, 0.02)
    count = rng.randint(3, 7)
    pieces = [box((long, deep, base), part=0)]
    bars = rng.random() < 0.5
    for k in range(count):
        x = (k / (count - 1) - 0.5) * (long - 0.02)
        if bars:
            for y in (-0.42 * deep, 0.42 * deep):
                pieces.append(capsule((x, y, 0), (x, y, high), 0.004, part=1))
        else:
            pieces.append(box((0.004, deep, high), (x, 0, (base + high) / 2), part=1))
    return pieces


def block_of_holes(rng: Random) -> list[Piece]:
    """Holder with things standing in it: pens in a pot, tubes or knives in a block."""
    radius, high = rng.uniform(0.028, 0.05), rng.uniform(0.07, 0.12)
    if rng.random() < 0.5:
        pieces = [frustum(radius, radius, high, caps=1.0, part=0)]
        inner = radius * 0.6
    else:
        pieces = [rounded((2.4 * radius, 1.6 * radius, high), part=0, vertical=0.15)]
        inner = radius * 0.55
    for part in range(1, rng.randint(3, 6)):
        x, y = rng.uniform(-inner, inner), rng.uniform(-inner, inner)
        lean = 0.5 * high * (high / radius) ** 0.5 * 0.25
        top = (
            x + rng.uniform(-lean, lean),
            y + rng.uniform(-lean, lean),
            high * rng.uniform(0.8, 1.4),
        )
        pieces.append(capsule((x, y, 0.0), top, rng.uniform(0.003, 0.006), part=part))
    return pieces


@dataclass(frozen=True)
class Holder:
    """A fixed thing with room for objects; its frame stands on the table, z = 0 is the table."""

    pieces: list[Piece]
    boards: list[float]  # heights [m] on which objects lie
    half: tuple[float, float]  # half sides [m] of the room on them
    headroom: float  # m above the boards but the last


def crate(rng: Random) -> Holder:
    """Bin, drawer or carton without a lid."""
    wide, deep, high = rng.uniform(0.25, 0.6), rng.uniform(0.2, 0.4), rng.uniform(0.06, 0.22)
    return walled(wide, deep, high, rng.uniform(0.009, 0.018))


def walled(wide: float, deep: float, high: float, wall: float) -> Holder:
    """A floor and four walls of whole sides [m].

    wall [m]: no thinner than a cell of the height map, or things would fall through.
    """
    pieces = _walls(wide, deep, high, wall)
    up = [Piece(p.kind, p.size, (*p.centre[:2], p.centre[2] + high / 2), p.part) for p in pieces]
    return Holder(up, [wall], (wide / 2 - wall, deep / 2 - wall), 2.0)


def shelf(rng: Random) -> Holder:
    """Boards over each other between sides or posts, open in front and behind."""
    wide, deep = rng.uniform(0.35, 0.8), rng.uniform(0.18, 0.32)
    count, gap = rng.randint(2, 3), rng.uniform(0.15, 0.28)
    board = rng.uniform(0.012, 0.025)
    high = (count - 1) * gap + board
    boards, pieces = [], []
    for k in range(count):
        z = k * gap + board / 2
        pieces.append(box((wide, deep, board), (0, 0, z), part=0))
        boards.append(k * gap + board)
    if rng.random() < 0.5:
        for side in (-1.0, 1.0):
            pieces.append(
                box((board, deep, high), (side * (wide + board) / 2, 0, high / 2), part=1)
            )
    else:
        post = rng.uniform(0.01, 0.02)
        for x in (-1.0, 1.0):
            for y in (-1.0, 1.0):
                place = (x * (wide / 2 - post), y * (deep / 2 - post), high / 2)
                pieces.append(box((2 * post, 2 * post, high), place, part=1))
    return Holder(pieces, boards, (wide / 2 - 0.02, deep / 2 - 0.01), gap - board)


def _walls(wide: float, deep: float, high: float, wall: float) -> list[Piece]:
    """A floor and four walls around the origin: parts 0 and 1."""
    return [
        box((wide, deep, wall), (0, 0, (wall - high) / 2), part=0),
        box((wide, wall, high), (0, (deep - wall) / 2, 0), part=1),
        box((wide, wall, high), (0, (wall - deep) / 2, 0), part=1),
        box((wall, deep, high), ((wide - wall) / 2, 0, 0), part=1),
        box((wall, deep, high), ((wall - wide) / 2, 0, 0), part=1),
    ]
