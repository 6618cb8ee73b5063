"""Plans of streets, suburbs, car parks and parks: what stands where around the sensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from pointsam_model.scenes.config import Range
from pointsam_model.scenes.inhabitants.buildings import facade, ground
from pointsam_model.scenes.inhabitants.roadside import (
    barrier,
    cabinet,
    column,
    cone,
    dog,
    motorcycle,
    pram,
    shelter,
)
from pointsam_model.scenes.inhabitants.street_objects import (
    bench,
    bin_,
    bush,
    fence,
    hedge,
    person,
    pole,
    tree,
)
from pointsam_model.scenes.inhabitants.vehicles import Place, bicycle, car, truck, van
from pointsam_model.scenes.worlds.world import Thing

STYLES = ("street", "suburb", "car park", "park")


@dataclass
class Street:
    """What a street holds so far; x along it."""

    reach: float
    sensor: Place = (0.0, 0.0)
    heading: float = 0.0  # of the sensor [rad]
    things: list[Thing] = field(default_factory=list)
    taken: list[tuple[float, float, float]] = field(default_factory=list)

    def add(self, make: Callable[[], Thing], discs: Sequence[tuple[float, float, float]]) -> None:
        """Sets a thing up where its discs (x, y, radius) are free and within reach."""
        for x, y, r in discs:
            if math.hypot(x - self.sensor[0], y - self.sensor[1]) > self.reach + r:
                return
            if any((x - u) ** 2 + (y - v) ** 2 < (r + s) ** 2 for u, v, s in self.taken):
                return
        self.taken.extend(discs)
        self.things.append(make())


def draw_street(rng: Random, reach: float, sensor_height: float) -> Street:
    """What stands within `reach` [m] of a sensor, and where the sensor is."""
    style = rng.choices(STYLES, (0.45, 0.25, 0.15, 0.15))[0]
    street = Street(reach)
    road = rng.uniform(2.6, 6.5)  # half its width
    walk = rng.uniform(1.5, 4.5)
    on_road = sensor_height > 1.2 or rng.random() < 0.3
    side = rng.choice((-1, 1))
    aside = side * (
        rng.uniform(0.2, 0.7) * road if on_road else road + walk * rng.uniform(0.3, 0.9)
    )
    street.sensor = (0.0, aside)
    street.heading = rng.gauss(0, 0.15) if on_road else rng.uniform(0, 2 * math.pi)
    street.taken.append((0.0, aside, 2.2 if sensor_height > 1.2 else 0.7))
    flat = style in ("car park", "park")
    street.things.extend(ground(rng, reach + 5, 1e3 if flat else road, walk, style == "park"))
    busy = rng.uniform(0.4, 1.0)
    fill = {"street": _line, "suburb": _line, "car park": _car_park, "park": _park}[style]
    fill(rng, street, road, walk, busy)
    _people(rng, street, road, walk, busy)
    if style == "street":
        _buildings(rng, street, road + walk, (0.0, 1.5))
    elif style == "suburb":
        _gardens(rng, street, road + walk)
        _buildings(rng, street, road + walk + rng.uniform(3, 8), (0.0, 3.0))
    else:
        _buildings(rng, street, max(0.75 * reach, 12.0), (0.0, 10.0))
    return street


def _vehicle(rng: Random, street: Street, at: Place, yaw: float, small: bool = False) -> None:
    make = car if small else rng.choices((car, van, truck), (0.78, 0.14, 0.08))[0]
    length = {car: 1.4, van: 2.0, truck: 4.0}[make]
    away = [-length, 0.0, length] if make is truck else [-length, length]
    reach = {car: 1.15, van: 1.4, truck: 2.0}[make]
    cos, sin = math.cos(yaw), math.sin(yaw)
    discs = [(at[0] + d * cos, at[1] + d * sin, reach) for d in away]
    street.add(lambda: make(rng, at, yaw), discs)


def _line(rng: Random, street: Street, road: float, walk: float, busy: float) -> None:
    """Cars at the kerbs and in the lanes; posts, trees and the like on the pavements."""
    end = street.reach + 3
    for side in (-1, 1):
        parked = rng.uniform(0.2, 1.0) * busy
        across = rng.random() < 0.15 and road > 4.5  # nose to the kerb
        loosest = rng.choice((5.6, 6.5, 8.0))  # from car to car
        x = -end + rng.uniform(0, 4)
        while x < end:
            if rng.random() < parked:
                y = side * (road - (2.3 if across else 1.05) + rng.gauss(0, 0.08))
                yaw = rng.choice((0, math.pi)) + rng.gauss(0, 0.02)
                yaw += math.pi / 2 if across else 0.0
                _vehicle(rng, street, (x, y), yaw, small=across)
            x += rng.uniform(2.6, 3.2) if across else rng.uniform(5.12, loosest)
        lane = side * road * 0.35
        for _ in range(rng.randint(0, 1 + round(busy * end / 14))):
            yaw = (0.0 if side < 0 else math.pi) + rng.gauss(0, 0.03)
            _vehicle(rng, street, (rng.uniform(-end, end), lane), yaw)
        kerb = road + rng.uniform(0.4, 0.8)
        gap, first = rng.uniform(6, 18), rng.random()
        trees, poles = rng.random() < 0.5, rng.random() < 0.8
        x = -end + first * gap
        while x < end:
            at = (x, side * kerb)
            if trees and rng.random() < 0.8:
                street.add(lambda at=at: tree(rng, at), [(*at, 0.35)])  # type: ignore[misc]
            if poles and rng.random() < 0.7:
                at = (x + gap * rng.uniform(0.3, 0.7), side * kerb)
                yaw = rng.choice((0.0, math.pi)) + rng.gauss(0, 0.1)
                street.add(lambda at=at, yaw=yaw: pole(rng, at, yaw), [(*at, 0.2)])  # type: ignore[misc]
            x += gap
        for _ in range(rng.randint(2, 3 + round(6 * busy))):
            at = (rng.uniform(-end, end), side * (road + walk * rng.uniform(0.25, 0.9)))
            _small(rng, street, at, side * math.pi / 2)


def _car_park(rng: Random, street: Street, road: float, walk: float, busy: float) -> None:
    """Rows of parked cars, lamps between them; what is farther away is hidden by them."""
    end = min(street.reach + 2, 48.0)
    turn = rng.uniform(-0.5, 0.5)
    cos, sin = math.cos(turn), math.sin(turn)
    row, pitch = rng.uniform(9, 13), rng.uniform(2.5, 2.9)
    full = rng.uniform(0.25, 0.8)
    y = -end + rng.uniform(0, row)
    while y < end:
        for shift in (-2.6, 2.6):
            x = -end
            while x < end:
                if rng.random() < full:
                    u, v = x + rng.gauss(0, 0.1), y + shift
                    at = (u * cos - v * sin, u * sin + v * cos)
                    yaw = turn + rng.choice((-1, 1)) * math.pi / 2 + rng.gauss(0, 0.03)
                    _vehicle(rng, street, at, yaw, small=rng.random() < 0.8)
                x += pitch
        y += row
    for _ in range(rng.randint(4, 12)):
        at = (rng.uniform(-end, end), rng.uniform(-end, end))
        _small(rng, street, at, turn)


def _park(rng: Random, street: Street, road: float, walk: float, busy: float) -> None:
    """Trees, bushes, benches, fences on grass."""
    end = street.reach
    for _ in range(min(60, round(0.012 * end * end * rng.uniform(0.5, 1.5)) + 5)):
        at = (rng.uniform(-end, end), rng.uniform(-end, end))
        if rng.random() < 0.6:
            street.add(lambda at=at: tree(rng, at), [(*at, 0.5)])  # type: ignore[misc]
        else:
            _small(rng, street, at, rng.uniform(0, 6.3))
    for _ in range(rng.randint(0, 3)):
        _vehicle(rng, street, (rng.uniform(-end, end), rng.uniform(-end, end)), rng.uniform(0, 6.3))
    for _ in range(rng.randint(0, 4)):
        x, y, yaw = rng.uniform(-end, end), rng.uniform(-end, end), rng.uniform(0, 3.1)
        _row(rng, street, (x, y), yaw, rng.uniform(3, 12))


def _small(rng: Random, street: Street, at: Place, yaw: float) -> None:
    yaw += rng.choice((0.0, math.pi)) + rng.gauss(0, 0.15)
    makers: dict[Callable[[], Thing], tuple[float, float]] = {
        lambda: pole(rng, at, yaw): (0.2, 0.2),
        lambda: bin_(rng, at, yaw): (0.12, 0.8),
        lambda: bench(rng, at, yaw): (0.09, 1.0),
        lambda: bicycle(rng, at, yaw, ridden=False): (0.12, 0.6),
        lambda: motorcycle(rng, at, yaw): (0.06, 0.8),
        lambda: bush(rng, at): (0.14, 0.9),
        lambda: tree(rng, at): (0.09, 0.5),
        lambda: cone(rng, at, yaw): (0.05, 0.3),
        lambda: barrier(rng, at, yaw): (0.04, 0.9),
        lambda: cabinet(rng, at, yaw): (0.06, 0.7),
        lambda: column(rng, at, yaw): (0.03, 0.8),
        lambda: shelter(rng, at, yaw): (0.02, 2.0),
    }
    make = rng.choices(list(makers), [weight for weight, _ in makers.values()])[0]
    street.add(make, [(*at, makers[make][1])])


def _people(rng: Random, street: Street, road: float, walk: float, busy: float) -> None:
    """On the pavements mostly, alone or in small groups; some ride."""
    near = min(street.reach, rng.uniform(15.0, 50.0))
    for _ in range(rng.randint(1, 3 + round(10 * busy))):
        side = rng.choice((-1, 1))
        on_walk = rng.random() < 0.75
        y = side * (road + walk * rng.random() if on_walk else road * rng.random())
        x = street.sensor[0] + rng.triangular(-near, near, 0)
        yaw = rng.choice((0, math.pi)) + rng.gauss(0, 0.6)
        if rng.random() < 0.22:
            at = (x, y)
            make = lambda at=at, yaw=yaw: bicycle(rng, at, yaw, ridden=True)  # noqa: E731
            before = len(street.things)
            street.add(make, [(x, y, 0.9)])
            if len(street.things) > before and rng.random() < 0.35:
                street.things += _apart(street.things.pop())
            continue
        close = rng.uniform(0.35, 0.9)
        for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
            at = (x + rng.gauss(0, close), y + rng.gauss(0, close))
            turn = yaw if rng.random() < 0.6 else rng.uniform(0, 2 * math.pi)
            street.add(lambda at=at, turn=turn: person(rng, at, turn), [(*at, 0.25)])  # type: ignore[misc]
        if rng.random() < 0.12:
            at = (x + 0.9 * math.cos(yaw), y + 0.9 * math.sin(yaw))
            led = rng.choice((pram, dog))
            street.add(lambda led=led, at=at, yaw=yaw: led(rng, at, yaw), [(*at, 0.35)])  # type: ignore[misc]


def _apart(cyclist: Thing) -> list[Thing]:
    """Rider and bicycle as two things, as some annotate them."""
    bike = [piece for piece in cyclist.pieces if piece.part < 2]
    rider = [piece for piece in cyclist.pieces if piece.part >= 2]
    return [replace(cyclist, pieces=bike), replace(cyclist, pieces=rider, surfaces={})]


def _gardens(rng: Random, street: Street, edge: float) -> None:
    """Hedges, fences and plants at the pavement's outer edge."""
    for side in (-1, 1):
        x = -street.reach
        while x < street.reach:
            long = rng.uniform(3, 12)
            if rng.random() < 0.75:
                _row(rng, street, (x + long / 2, side * (edge + 0.5)), 0.0, long)
            for _ in range(rng.randint(0, 2)):
                at = (x + long * rng.random(), side * (edge + rng.uniform(1.5, 4)))
                make = (
                    (lambda at=at: bush(rng, at))
                    if rng.random() < 0.6
                    else (lambda at=at: tree(rng, at))
                )  # type: ignore[misc]
                street.add(make, [(*at, 0.7)])
            x += long + rng.uniform(0.5, 4)


def _row(rng: Random, street: Street, at: Place, yaw: float, long: float) -> None:
    """A hedge or fence as a row of discs."""
    make = hedge if rng.random() < 0.5 else fence
    cos, sin = math.cos(yaw), math.sin(yaw)
    steps = max(2, round(long))
    discs = [
        (at[0] + cos * long * (k / steps - 0.5), at[1] + sin * long * (k / steps - 0.5), 0.4)
        for k in range(steps + 1)
    ]
    street.add(lambda: make(rng, at, yaw, long), discs)


def _buildings(rng: Random, street: Street, edge: float, setback: Range) -> None:
    """Rows of houses along both sides, with gaps."""
    far = street.reach + 8
    gaps = rng.uniform(0.05, 0.5)
    for side in (-1, 1):
        x = -far
        while x < far:
            wide = rng.uniform(6, 22)
            if rng.random() > gaps:
                y = side * (edge + rng.uniform(*setback))
                street.things.append(facade(rng, x, y, wide * 0.98, side))
            x += wide
