"""Small parts of 2 to 25 mm: screws, nuts, washers, discs, pins, chips, connectors, beads.

As they lie on a table: z is up, the middle is near the origin; sizes in metres, parts numbered
from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from pointsam_model.scenes.shapes.objects import (
    NO_CAP,
    Piece,
    about_x,
    about_y,
    about_z,
    arc,
    box,
    capsule,
    ellipsoid,
    frustum,
    moved,
    rounded,
    turned,
)

Shape = Callable[[Random], list[Piece]]
_CORNERS = 12


def disc(rng: Random) -> list[Piece]:
    """Coin, button, blank, tablet or button cell: 3 to 22 mm wide, 1 to 5 mm high."""
    radius = _length(rng, 0.0015, 0.011)
    high = min(rng.uniform(0.001, 0.005), 1.6 * radius)
    if rng.random() < 0.2:
        return [rounded((2 * radius, 2 * radius, high), part=0, vertical=0.4, horizontal=1.0)]
    pieces = [frustum(radius, radius, high, part=0)]
    if rng.random() < 0.25:
        step = (0, 0, high * 0.6)
        pieces.append(frustum(radius * 0.8, radius * 0.75, high * 0.3, step, part=1))
    return pieces


def washer(rng: Random) -> list[Piece]:
    """A flat ring with a hole."""
    outer = _length(rng, 0.0025, 0.011)
    return _flat_ring(outer, outer * rng.uniform(0.4, 0.65), rng.uniform(0.0008, 0.0025), 0)


def o_ring(rng: Random) -> list[Piece]:
    """Ring of a round section, or an open one as a circlip is."""
    ring = _length(rng, 0.003, 0.011)
    tube = ring * rng.uniform(0.1, 0.3)
    half = math.pi if rng.random() < 0.7 else rng.uniform(2.4, 2.9)
    return [arc(ring, tube, half, part=0)]


def nut(rng: Random) -> list[Piece]:
    """Hexagonal or square nut with its hole."""
    half = _length(rng, 0.002, 0.009)  # across flats
    hole = half * rng.uniform(0.5, 0.65)
    high = half * rng.uniform(0.7, 1.1)
    sides = 6 if rng.random() < 0.85 else 4
    side = 2 * half * math.tan(math.pi / sides)
    thick = half - hole * 0.95
    wall = box((thick, side, high), ((half + hole * 0.95) / 2, 0, 0), part=0)
    pieces = [turned(wall, about_z(2 * math.pi * k / sides)) for k in range(sides)]
    flange = frustum(half * 1.25, half, high * 0.2, (0, 0, -high * 0.4), part=0, caps=NO_CAP)
    return [*pieces, flange] if rng.random() < 0.2 else pieces


def screw(rng: Random) -> list[Piece]:
    """Shaft and head, lying or standing on its head; some with a washer or a socket."""
    shaft = _length(rng, 0.0008, 0.003)
    long = shaft * rng.uniform(4, 14)
    long = min(long, 0.03)
    head = shaft * rng.uniform(1.7, 2.2)
    high = shaft * rng.uniform(0.8, 2.0)
    kind = rng.random()
    pieces = [frustum(shaft, shaft * rng.choice((1.0, 1.0, 0.3)), long, (0, 0, long / 2), part=0)]
    below = (0, 0, -high / 2)
    if kind < 0.35:
        pieces.append(frustum(head, head, high, below, part=1))
    elif kind < 0.6:  # countersunk
        pieces.append(frustum(head, shaft, high, below, part=1))
    elif kind < 0.8:
        pieces.append(ellipsoid((head, head, high), (0, 0, -high * 0.4), part=1))
    else:
        side = head * 2 / math.sqrt(3)
        for k in range(3):
            bar = box((head * 1.73, side * 0.866, high), below, part=1)
            pieces.append(turned(bar, about_z(math.pi * k / 3)))
    if rng.random() < 0.1:
        pieces += [
            moved(p, (0, 0, long * 0.2)) for p in _flat_ring(head * 1.3, shaft, shaft * 0.5, 2)
        ]
    if rng.random() < 0.15:
        return pieces
    # Lying, the head's rim and the tip touch the table.
    lean = math.atan2(head - shaft, long + high / 2)
    return [turned(piece, about_y(math.pi / 2 + lean)) for piece in pieces]


def pin(rng: Random) -> list[Piece]:
    """Dowel, needle, sleeve or nail, lying."""
    radius = _length(rng, 0.0007, 0.004)
    long = min(max(radius * rng.uniform(2.5, 14), 0.004), 0.03)
    lying = about_y(math.pi / 2)
    draw = rng.random()
    if draw < 0.5:
        return [turned(frustum(radius, radius, long, part=0), lying)]
    if draw < 0.75:
        return [turned(piece, lying) for piece in _tube(radius, radius * 0.7, long, 0)]
    return [capsule((-long / 2, 0, 0), (long / 2, 0, 0), radius, part=0)]


def bead(rng: Random) -> list[Piece]:
    """Ball, bead or pill."""
    radius = _length(rng, 0.0012, 0.007)
    if rng.random() < 0.6:
        return [ellipsoid((radius, radius, radius), (0, 0, 0), part=0)]
    return [ellipsoid((radius * rng.uniform(1.2, 2.2), radius, radius * 0.9), (0, 0, 0), part=0)]


def chip(rng: Random) -> list[Piece]:
    """Integrated circuit: a flat body, legs on two or four sides."""
    wide, deep = _length(rng, 0.003, 0.018), _length(rng, 0.003, 0.012)
    high = rng.uniform(0.0009, 0.0035)
    pieces = [box((wide, deep, high), part=0)]
    pitch = rng.choice((0.00127, 0.00254))
    for k in range(min(12, max(1, int(wide / pitch)))):
        x = (k + 0.5) * pitch - 0.5 * pitch * max(1, int(wide / pitch))
        for side in (-1, 1):
            leg = (pitch * 0.4, 0.0016, 0.0005)
            pieces.append(box(leg, (x, side * (deep / 2 + 0.0006), -high * 0.4), part=1))
    if rng.random() < 0.3:
        pieces.append(frustum(0.0006, 0.0006, 0.0002, (wide * 0.35, deep * 0.3, high / 2), part=2))
    return pieces


def component(rng: Random) -> list[Piece]:
    """Resistor with wires, bare chip resistor, capacitor or light-emitting diode."""
    kind = rng.random()
    if kind < 0.3:
        long = rng.uniform(0.002, 0.007)
        body = (long, long * rng.uniform(0.45, 0.8), long * rng.uniform(0.25, 0.5))
        ends = [
            box((long * 0.2, body[1] * 1.02, body[2] * 1.05), (s * long * 0.42, 0, 0), part=1)
            for s in (-1, 1)
        ]
        return [box(body, part=0), *ends]
    radius, long = rng.uniform(0.001, 0.004), rng.uniform(0.004, 0.012)
    if kind < 0.55:  # standing can
        top = ellipsoid((radius, radius, radius * 0.3), (0, 0, long / 2), part=1)
        return [frustum(radius, radius, long, part=0), top]
    if kind < 0.75:
        dome = ellipsoid((radius, radius, radius), (0, 0, long / 2), part=0)
        pieces = [frustum(radius, radius, long, part=0), dome]
        pieces.append(frustum(radius * 1.2, radius * 1.2, 0.001, (0, 0, -long / 2), part=0))
        legs = [
            box((0.0005, 0.0005, long), (s * radius * 0.5, 0, -long), part=1) for s in (-1.0, 1.0)
        ]
        return [turned(piece, about_y(math.pi / 2)) for piece in (*pieces, *legs)]
    wire = rng.uniform(0.004, 0.01)
    pieces = [capsule((-long / 2, 0, 0), (long / 2, 0, 0), min(radius, 0.002), part=0)]
    pieces.append(
        capsule((-long / 2 - wire, 0, 0), (long / 2 + wire, 0, 0), 0.0004, part=1),
    )
    return pieces


def connector(rng: Random) -> list[Piece]:
    """Plug or socket: a body with a cavity or pins, a pin header, a terminal block."""
    wide, deep, high = (
        rng.uniform(0.005, 0.022),
        rng.uniform(0.004, 0.012),
        rng.uniform(0.003, 0.012),
    )
    kind = rng.random()
    if kind < 0.35:
        wall = min(wide, deep) * 0.12
        pieces = [box((wide, deep, high * 0.3), (0, 0, -high * 0.35), part=0)]
        for side in (-1, 1):
            pieces.append(box((wide, wall, high), (0, side * (deep - wall) / 2, 0), part=0))
            pieces.append(box((wall, deep, high), (side * (wide - wall) / 2, 0, 0), part=0))
        step = rng.uniform(0.002, 0.0035)
        for k in range(max(1, int((wide - 2 * wall) / step))):
            x = (k + 0.5) * step - (wide - 2 * wall) / 2
            pieces.append(box((0.0008, 0.0008, high * 0.8), (x, 0, -high * 0.1), part=1))
        return pieces
    if kind < 0.65:
        count = rng.randint(2, 8)
        step = 0.00254
        pieces = [box((count * step, step, 0.0025), part=0)]
        for k in range(count):
            x = (k + 0.5 - count / 2) * step
            pieces.append(box((0.0007, 0.0007, 0.010), (x, 0, 0.002), part=1))
        return [turned(p, about_x(math.pi / 2)) for p in pieces] if rng.random() < 0.5 else pieces
    pieces = [box((wide, deep, high), part=0)]
    nose = (wide * 0.75, deep * 0.7, high * 0.6)
    pieces.append(box(nose, (0, deep * 0.8, -high * 0.15), part=1))
    return pieces


def bracket(rng: Random) -> list[Piece]:
    """Bent sheet: an L, a U or a Z, standing or lying."""
    a, b, wide = (_length(rng, 0.006, 0.022) for _ in range(3))
    thick = rng.uniform(0.0008, 0.0022)
    pieces = [box((a, wide, thick), part=0)]
    pieces.append(box((thick, wide, b), ((a - thick) / 2, 0, (b - thick) / 2), part=1))
    kind = rng.random()
    if kind < 0.3:
        pieces.append(box((thick, wide, b), ((thick - a) / 2, 0, (b - thick) / 2), part=1))
    elif kind < 0.5:
        pieces.append(box((a * 0.6, wide, thick), (a * 0.8, 0, b - thick), part=1))
    if kind > 0.75:
        return [turned(piece, about_x(math.pi / 2)) for piece in pieces]
    return pieces


def gear(rng: Random) -> list[Piece]:
    """Disc with teeth and a hub."""
    radius, high = _length(rng, 0.003, 0.011), rng.uniform(0.0015, 0.005)
    pieces = [frustum(radius * 0.85, radius * 0.85, high, part=0)]
    for k in range(8):
        tooth = box((radius * 0.3, radius * 0.28, high), (radius * 0.88, 0, 0), part=0)
        pieces.append(turned(tooth, about_z(2 * math.pi * k / 8)))
    hub = radius * rng.uniform(0.25, 0.5)
    pieces.append(frustum(hub, hub, high * 0.8, (0, 0, high * 0.6), part=1))
    return pieces


def spring(rng: Random) -> list[Piece]:
    """Coil spring, lying: rings one after the other."""
    ring, turns = _length(rng, 0.0015, 0.004), rng.randint(4, 8)
    wire = ring * rng.uniform(0.15, 0.25)
    step = wire * rng.uniform(2.2, 3.2)
    lying = about_y(math.pi / 2)
    coils = [turned(arc(ring, wire, part=0), lying) for _ in range(turns)]
    return [moved(c, ((k - turns / 2) * step, 0, 0)) for k, c in enumerate(coils)]


def brick(rng: Random) -> list[Piece]:
    """Toy brick or housing with studs."""
    nx, ny = rng.randint(1, 4), rng.randint(1, 2)
    step, high = rng.uniform(0.003, 0.008), rng.uniform(0.003, 0.009)
    pieces = [box((nx * step, ny * step, high), part=0)]
    for i in range(nx):
        for j in range(ny):
            at = ((i + 0.5 - nx / 2) * step, (j + 0.5 - ny / 2) * step, high / 2 + step * 0.1)
            pieces.append(frustum(step * 0.3, step * 0.3, step * 0.2, at, part=1))
    return pieces


SMALL_PARTS: dict[Shape, float] = {
    disc: 0.2,
    washer: 0.1,
    o_ring: 0.04,
    nut: 0.12,
    screw: 0.17,
    pin: 0.08,
    bead: 0.05,
    chip: 0.07,
    component: 0.06,
    connector: 0.05,
    bracket: 0.04,
    gear: 0.03,
    spring: 0.02,
    brick: 0.04,
}


def draw_part(rng: Random) -> list[Piece]:
    """A random small part, as it lies or stands."""
    return rng.choices(list(SMALL_PARTS), list(SMALL_PARTS.values()))[0](rng)


def _length(rng: Random, low: float, high: float) -> float:
    """Small ones are as likely as large ones: log-uniform."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _tube(outer: float, inner: float, high: float, part: int) -> list[Piece]:
    """A tube about z: two walls, and bevelled ends between them."""
    bevel = min(0.5 * (outer - inner), 0.3 * high)
    return [
        frustum(outer, outer, high, part=part, caps=NO_CAP),
        frustum(inner, inner, high - 2 * bevel, part=part, caps=NO_CAP),
        frustum(outer, inner, bevel, (0, 0, (high - bevel) / 2), part=part, caps=NO_CAP),
        frustum(inner, outer, bevel, (0, 0, (bevel - high) / 2), part=part, caps=NO_CAP),
    ]


def _flat_ring(outer: float, inner: float, high: float, part: int) -> list[Piece]:
    """A flat ring about z, of boxes: it has _CORNERS corners."""
    side = 2 * outer * math.sin(math.pi / _CORNERS)
    apothem = outer * math.cos(math.pi / _CORNERS)
    bar = box((apothem - inner, side, high), ((apothem + inner) / 2, 0, 0), part=part)
    return [turned(bar, about_z(2 * math.pi * k / _CORNERS)) for k in range(_CORNERS)]
