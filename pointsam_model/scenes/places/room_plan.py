"""Plans of rooms: walls, furniture along them and in the middle, and what lies on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from pointsam_model.scenes.inhabitants.furniture import (
    Board,
    Furniture,
    carton,
    door,
    lamp,
    picture,
    plant,
    screen,
    window,
)
from pointsam_model.scenes.inhabitants.people import body
from pointsam_model.scenes.inhabitants.seating import bed, chair, sofa, table
from pointsam_model.scenes.inhabitants.storage import cabinet, shelf
from pointsam_model.scenes.shapes.catalogue import draw_object
from pointsam_model.scenes.shapes.objects import Piece
from pointsam_model.scenes.shapes.pieces import between, box
from pointsam_model.scenes.worlds.world import Thing, bounds

_CLEAR = 0.45  # radius that a sensor needs to itself [m]
_MOST_CLUTTER = 36
_MOST_IN_ROW = 14
_WALL_FURNITURE = {
    cabinet: 0.27,
    shelf: 0.2,
    sofa: 0.14,
    bed: 0.1,
    table: 0.15,
    lamp: 0.05,
    plant: 0.06,
    chair: 0.03,
}


@dataclass
class Plan:
    """A room: x and y from -half to half [m], floor at z = 0."""

    half: tuple[float, float]
    things: list[Thing] = field(default_factory=list)
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)  # x, y, half x, y

    def free(self, x: float, y: float, half_x: float, half_y: float) -> bool:
        """Whether a rectangle is inside and touches no furniture."""
        if abs(x) + half_x > self.half[0] or abs(y) + half_y > self.half[1]:
            return False
        return all(
            abs(x - u) >= half_x + a or abs(y - v) >= half_y + b for u, v, a, b in self.taken
        )

    def put(self, furniture: Furniture, x: float, y: float, yaw: float) -> bool:
        """Sets furniture up where there is room for it."""
        cos, sin = abs(math.cos(yaw)), abs(math.sin(yaw))
        half_x = cos * furniture.half[0] + sin * furniture.half[1]
        half_y = sin * furniture.half[0] + cos * furniture.half[1]
        if not self.free(x, y, half_x, half_y):
            return False
        self.taken.append((x, y, half_x, half_y))
        self.things.append(Thing(furniture.pieces, (x, y, 0.0), yaw, surfaces=furniture.surfaces))
        return True

    def free_place(self, rng: Random) -> tuple[float, float]:
        """Where a sensor may stand."""
        for radius in (_CLEAR, _CLEAR / 2, 0.05):
            for _ in range(30):
                x = rng.uniform(-self.half[0], self.half[0])
                y = rng.uniform(-self.half[1], self.half[1])
                if self.free(x, y, radius, radius):
                    return x, y
        return 0.0, 0.0

    def free_place_near(
        self, rng: Random, target: tuple[float, float, float], away: float
    ) -> tuple[float, float]:
        """Where a sensor may stand, of some such places the one most nearly `away` [m] of it."""
        places = [self.free_place(rng) for _ in range(8)]
        for _ in range(12):
            angle = rng.uniform(0, 2 * math.pi)
            x, y = target[0] + away * math.cos(angle), target[1] + away * math.sin(angle)
            if self.free(x, y, 0.15, 0.15):
                places.append((x, y))
        return min(places, key=lambda p: abs(math.hypot(p[0] - target[0], p[1] - target[1]) - away))

    def interest(self, rng: Random, away_from: tuple[float, float]) -> tuple[float, float, float]:
        """A point (x, y, z) [m] to look at: some thing that is not too near."""
        things = [thing for thing in self.things if not thing.background]
        for _ in range(12):
            if not things:
                break
            thing = rng.choice(things)
            x, y, z = thing.position
            if math.hypot(x - away_from[0], y - away_from[1]) > 1.1:
                return x, y, max(z, 0.5)
        return 0.0, 0.0, 0.6


def draw_plan(rng: Random, furnished: bool = True) -> Plan:
    """A room with everything in it, or with nothing."""
    half = (rng.uniform(1.4, 3.8), rng.uniform(1.4, 3.8))
    plan = Plan(half)
    plan.things.extend(_shell(rng, half))
    if not furnished:
        return plan
    standing: list[tuple[Furniture, Thing]] = []

    def put(furniture: Furniture, x: float, y: float, yaw: float) -> bool:
        done = plan.put(furniture, x, y, yaw)
        if done:
            standing.append((furniture, plan.things[-1]))
        return done

    for make in (door, window, picture, window, picture, picture):
        if rng.random() < 0.7:
            _on_wall(rng, plan, make)
    area = 4 * half[0] * half[1]
    for _ in range(rng.randint(3, 5 + round(area / 4))):
        make = rng.choices(list(_WALL_FURNITURE), list(_WALL_FURNITURE.values()))[0]
        furniture = make(rng)
        for _ in range(6):
            if put(furniture, *_along_wall(rng, half, furniture)):
                break
    for _ in range(rng.randint(1, 2 + round(area / 9))):
        furniture = rng.choices((table(rng), sofa(rng), chair(rng)), (0.6, 0.2, 0.2))[0]
        x, y = rng.uniform(-half[0], half[0]), rng.uniform(-half[1], half[1])
        yaw = rng.choice((0, 1, 2, 3)) * math.pi / 2 + rng.choice((0.0, rng.gauss(0, 0.3)))
        put(furniture, x, y, yaw)
    _chairs(rng, plan, standing, put)
    for _ in range(rng.randint(0, 6)):
        x, y = rng.uniform(-half[0], half[0]), rng.uniform(-half[1], half[1])
        put(carton(rng), x, y, rng.uniform(0, 6.3))
    for _ in range(rng.choices((0, 1, 2, 3), (0.6, 0.2, 0.12, 0.08))[0]):
        person = Furniture(body(rng, rng.uniform(0, 0.3)), (0.28, 0.28))
        x, y = rng.uniform(-half[0], half[0]), rng.uniform(-half[1], half[1])
        put(person, x, y, rng.uniform(0, 6.3))
    plan.things.extend(_clutter(rng, standing))
    return plan


def _shell(rng: Random, half: tuple[float, float]) -> list[Thing]:
    """Floor, four walls, ceiling; skirting on some. The floor comes first."""
    x, y = half
    tall = rng.uniform(2.3, 3.2)
    sheets = [
        [between((-x - 0.2, -y - 0.2, -0.1), (x + 0.2, y + 0.2, 0.0))],
        [
            between((-x - 0.2, -y - 0.2, 0.0), (-x, y + 0.2, tall)),
            between((x, -y - 0.2, 0.0), (x + 0.2, y + 0.2, tall)),
            between((-x, -y - 0.2, 0.0), (x, -y, tall)),
            between((-x, y, 0.0), (x, y + 0.2, tall)),
        ],
        [between((-x, -y, tall), (x, y, tall + 0.2))],
    ]
    if rng.random() < 0.25:  # a column or a chimney breast
        wide, deep = rng.uniform(0.3, 1.2), rng.uniform(0.2, 0.5)
        at = rng.uniform(-x, x)
        sheets[1].append(box([wide, 2 * deep, tall], (at, y, tall / 2)))
    return [Thing(pieces, (0.0, 0.0, 0.0), background=True) for pieces in sheets]


def _on_wall(rng: Random, plan: Plan, make: Callable[[Random], Furniture]) -> None:
    thing = make(rng)
    x, y, yaw = _along_wall(rng, plan.half, thing, gap=-thing.half[0])
    here = (x, y)
    clash = any(
        math.hypot(here[0] - u, here[1] - v) < 1.1
        for u, v, a, b in plan.taken
        if a < 0.1 or b < 0.1
    )
    if clash:
        return
    plan.things.append(Thing(thing.pieces, (x, y, 0.0), yaw, surfaces=thing.surfaces))
    if make is door:  # nothing stands before a door
        plan.taken.append((x, y, 0.6, 0.6))
    else:
        plan.taken.append((x, y, 0.01, 0.01))


def _along_wall(
    rng: Random, half: tuple[float, float], furniture: Furniture, gap: float | None = None
) -> tuple[float, float, float]:
    """x, y, yaw of furniture with its back to a wall; `gap` [m] behind it."""
    wall = rng.randrange(4)
    gap = rng.uniform(0.0, 0.06) if gap is None else gap
    yaw = wall * math.pi / 2
    # Wall 0 lies at -x; its furniture looks along +x.
    across = half[0] if wall % 2 == 0 else half[1]
    along = half[1] if wall % 2 == 0 else half[0]
    away = -(across - furniture.half[0] - gap - 0.001)
    room = max(along - furniture.half[1] - 0.01, 0.0)
    slide = rng.uniform(-room, room)
    cos, sin = round(math.cos(yaw)), round(math.sin(yaw))
    return away * cos - slide * sin, away * sin + slide * cos, yaw


def _chairs(
    rng: Random,
    plan: Plan,
    standing: list[tuple[Furniture, Thing]],
    put: Callable[[Furniture, float, float, float], bool],
) -> None:
    """Chairs drawn up to tables, some pushed under."""
    for furniture, thing in list(standing):
        if not furniture.seats:
            continue
        model = rng.getrandbits(32)
        for side in range(4):
            if rng.random() < 0.4:
                continue
            seat = chair(Random(model))
            yaw = thing.yaw + side * math.pi / 2
            reach = furniture.half[side % 2]
            under = rng.uniform(-0.15, 0.35)
            away = reach + seat.half[0] - min(under, reach - 0.1)
            x = thing.position[0] + math.cos(yaw) * away
            y = thing.position[1] + math.sin(yaw) * away
            # Under the table the footprints overlap: the table's is put aside meanwhile.
            own = next(k for k, r in enumerate(plan.taken) if (r[0], r[1]) == thing.position[:2])
            footprint = plan.taken.pop(own)
            put(seat, x, y, yaw + math.pi + rng.gauss(0, 0.15))
            plan.taken.insert(own, footprint)


def _clutter(rng: Random, standing: list[tuple[Furniture, Thing]]) -> list[Thing]:
    """Things on tables, shelves, beds and boxes, none in another."""
    places: list[tuple[Thing, Board]] = []
    for furniture, thing in standing:
        places += [(thing, board) for board in furniture.boards if rng.random() < 0.65]
    rng.shuffle(places)
    drawn: list[list[Piece]] = []
    wishes: list[tuple[Thing, Board]] = []
    rows: list[Thing] = []
    for thing, board in places:
        if board.headroom < 0.5 and rng.random() < 0.4:
            rows += row_on(rng, thing, board)
            continue
        area = (board.high[0] - board.low[0]) * (board.high[1] - board.low[1])
        for _ in range(rng.randint(1, 2 + round(min(10 * area, 9)))):
            if len(drawn) < _MOST_CLUTTER:
                big = rng.random() < 0.08 and board.headroom > 0.5
                drawn.append(screen(rng).pieces if big else draw_object(rng, rng.uniform(0.9, 1.5)))
                wishes.append((thing, board))
    things: list[Thing] = rows
    used: dict[tuple[int, float], list[tuple[float, float, float]]] = {}
    for pieces, (low, high), (thing, board) in zip(drawn, bounds(drawn), wishes, strict=True):
        radius = 0.5 * math.hypot(high[0] - low[0], high[1] - low[1])
        inset = 0.5 * min(high[0] - low[0], high[1] - low[1])
        if high[2] - low[2] > board.headroom or any(
            board.high[k] - board.low[k] < 2 * inset for k in (0, 1)
        ):
            continue
        here = used.setdefault((id(thing), board.z), [])
        for _ in range(5):
            u = rng.uniform(board.low[0] + inset, board.high[0] - inset)
            v = rng.uniform(board.low[1] + inset, board.high[1] - inset)
            if all(math.hypot(u - a, v - b) > 0.8 * (radius + r) for a, b, r in here):
                here.append((u, v, radius))
                cos, sin = math.cos(thing.yaw), math.sin(thing.yaw)
                x, y, z = thing.position
                at = (x + u * cos - v * sin, y + u * sin + v * cos, z + board.z - low[2])
                things.append(Thing(pieces, at, rng.uniform(0, 6.3)))
                break
    return things


def row_on(rng: Random, shelf: Thing, board: Board) -> list[Thing]:
    """Books, files or boxes side by side along a board, a few leaning or missing."""
    things: list[Thing] = []
    tall = board.headroom * rng.uniform(0.55, 0.9)
    deep = (board.high[0] - board.low[0]) * rng.uniform(0.5, 0.9)
    thick = rng.choice((0.03, 0.05, 0.08))
    y, end = (
        board.low[1] + 0.01,
        board.low[1] + rng.uniform(0.4, 1.0) * (board.high[1] - board.low[1]),
    )
    cos, sin = math.cos(shelf.yaw), math.sin(shelf.yaw)
    while len(things) < _MOST_IN_ROW:
        wide, high = thick * rng.uniform(0.6, 1.4), tall * rng.uniform(0.8, 1.0)
        if y + wide > end - 0.01:
            break
        if rng.random() < 0.9:
            front = board.high[0] - 0.01 - rng.uniform(0, 0.02)
            u, v = front - deep / 2, y + wide / 2
            sx, sy, sz = shelf.position
            at = (sx + u * cos - v * sin, sy + u * sin + v * cos, sz + board.z + high / 2)
            things.append(Thing([box([deep, wide * 0.97, high], (0, 0, 0))], at, shelf.yaw))
        y += wide
    return things
