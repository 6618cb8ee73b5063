"""Tables with small parts, through a depth camera that resolves them.

The image is the part of a large sensor's image that somebody looks at: pixels are 0.15 to 1.5 mm
wide on the table, so a part of 5 mm has tens to a thousand of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random

import torch

from pointsam_model.scenes.config import Range, SceneConfig, check
from pointsam_model.scenes.scene import Scene
from pointsam_model.scenes.sensors.camera import draw_camera
from pointsam_model.scenes.sensors.views import photographed
from pointsam_model.scenes.shapes.catalogue import draw_object
from pointsam_model.scenes.shapes.objects import Piece
from pointsam_model.scenes.shapes.parts import draw_part
from pointsam_model.scenes.shapes.pieces import between, drum
from pointsam_model.scenes.streams import stream
from pointsam_model.scenes.worlds.world import Thing, bounds

Room = tuple[float, float, float, float]  # low x, low y, high x, high y [m]


def _fine_camera() -> SceneConfig:
    """Structured light or stereo for inspection and picking."""
    return SceneConfig(
        width=224,
        height=168,
        elevation=(40.0, 89.0),
        distance=(0.25, 1.2),
        kinect_fov_share=0.0,
        axial_sigma=(0.00003, 0.0005),
        warp_sigma=(0.0, 0.0006),
        lateral_sigma_px=(0.1, 0.8),
        quantised_share=0.3,
        stereo_share=0.12,
        stereo_axial_sigma=(0.0001, 0.0006),
        stereo_window_px=(3.0, 9.0),
        time_of_flight_share=0.0,
        shiny_share=0.08,
        uniform_share=0.05,
        same_colour_share=0.2,
        table_colour_share=0.06,
    )


@dataclass(frozen=True)
class PartsConfig:
    """Ranges (low, high) from which every table of small parts draws its own values."""

    camera: SceneConfig = field(default_factory=_fine_camera)
    pixel: Range = (0.00015, 0.0015)  # width of a pixel on the table [m], log-uniform
    table_half_size: Range = (0.1, 0.5)  # m
    parts: tuple[int, int] = (1, 40)

    def __post_init__(self) -> None:
        check(self, positive=("pixel", "table_half_size"), not_negative=("parts",))


def generate_parts(
    seeds: Sequence[int], config: PartsConfig | None = None, device: str | torch.device = "cpu"
) -> list[Scene]:
    """A table with loose small parts for each seed, as if made alone; see `Scene`.

    Parts are instances, and so are mats, boards and trays under them; the table is background.
    """
    config = config or PartsConfig()
    return [_scene(int(seed), config, torch.device(device)) for seed in seeds]


def _scene(seed: int, config: PartsConfig, device: torch.device) -> Scene:
    rng = stream("parts", seed)
    image = config.camera
    low, high = config.pixel
    pixel = math.exp(rng.uniform(math.log(low), math.log(high)))
    view = 0.5 * pixel * image.width, 0.5 * pixel * image.height
    things, middle = draw_table(rng, view, config)
    # Far enough for its field of view to be no wider than a camera's.
    nearest = max(image.distance[0], 2.2 * view[0])
    distance = rng.uniform(nearest, max(image.distance[1], nearest))
    fov = 2 * math.atan(view[0] / distance)
    radius = max(view[0], 0.1)
    camera = replace(
        draw_camera(stream("parts camera", seed), image),
        fov=fov,
        zoom=radius / (math.tan(fov / 2) * distance),
        offset=(0.0, 0.0),
    )
    wide = replace(image, distance=(distance, distance))
    return photographed(things, "parts", seed, camera, (*middle, 0.0), radius, wide, device)


def draw_table(
    rng: Random, view: tuple[float, float], config: PartsConfig
) -> tuple[list[Thing], tuple[float, float]]:
    """Table, floor, perhaps a tray, and parts where somebody looks; and the place looked at [m].

    view: half sides [m] of what the image shows.
    """
    half = [rng.uniform(*config.table_half_size) for _ in range(2)]
    middle = [rng.uniform(-h, h) * 0.8 for h in half]
    things = [_table(rng, half)]
    if rng.random() < 0.5:
        floor = between((-9, -9, -0.8), (9, 9, -0.7))
        things.append(Thing([floor], (0.0, 0.0, 0.0), background=True))
    # Where parts may lie: rectangles of low x, low y, high x, high y.
    x, y = (0.85 * v for v in view)
    rooms = [
        (
            max(middle[0] - x, -half[0]),
            max(middle[1] - y, -half[1]),
            min(middle[0] + x, half[0]),
            min(middle[1] + y, half[1]),
        )
    ]
    height = 0.0
    drawn = _draw_parts(rng, config)
    if rng.random() < 0.35 and drawn:
        base, height, inner = _base(rng, view)
        things.append(Thing(base, (*middle, 0.0)))  # type: ignore[arg-type]
        u, v = middle
        rooms = [(a + u, b + v, c + u, d + v) for a, b, c, d in inner]
    things += _spread(rng, drawn, rooms, height)
    return things, (middle[0], middle[1])


def _table(rng: Random, half: Sequence[float]) -> Thing:
    thick = rng.uniform(0.01, 0.04)
    if rng.random() < 0.1:
        radius = min(half) * math.sqrt(2)
        top = drum(radius, radius, thick, (0, 0, -thick / 2))
    else:
        top = between((-half[0], -half[1], -thick), (half[0], half[1], 0.0))
    return Thing([top], (0.0, 0.0, 0.0), background=True)


def _base(rng: Random, view: tuple[float, float]) -> tuple[list[Piece], float, list[Room]]:
    """Paper, mat, circuit board or a tray with compartments; its height and the room on it."""
    x, y = (v * rng.uniform(0.5, 1.1) for v in view)
    thick = rng.uniform(0.0008, 0.003)
    pieces = [between((-x, -y, 0.0), (x, y, thick))]
    if rng.random() < 0.5:
        return pieces, thick, [(-x, -y, x, y)]
    high = min(rng.uniform(0.005, 0.02), 0.35 * min(x, y))
    wall = min(rng.uniform(0.001, 0.003), 0.05 * min(x, y))
    for side in (-1, 1):
        near, far = sorted((side * x, side * (x - wall)))
        pieces.append(between((near, -y, 0.0), (far, y, high), 1))
        near, far = sorted((side * y, side * (y - wall)))
        pieces.append(between((-x, near, 0.0), (x, far, high), 1))
    count = rng.choice((1, 1, 2, 3, 4))
    edges = [-x + 2 * x * k / count for k in range(count + 1)]
    for at in edges[1:-1]:
        pieces.append(between((at - wall / 2, -y, 0.0), (at + wall / 2, y, high), 1))
    rooms = [(left + wall, wall - y, right - wall, y - wall) for left, right in pairwise(edges)]
    return pieces, thick, rooms


def _draw_parts(rng: Random, config: PartsConfig) -> list[list[Piece]]:
    """Like or unlike ones; few as often as many."""
    low, high = config.parts
    count = low + round((high - low) * rng.random() ** 1.3)
    models = [draw_part(rng) for _ in range(rng.choice((1, 2, 4, count, count)) or 1)]
    parts = [rng.choice(models) for _ in range(count)]
    # Something larger may lie about too.
    larger = bool(parts) and rng.random() < 0.2
    return [*parts, draw_object(rng, rng.uniform(0.2, 0.7))] if larger else parts


def _spread(
    rng: Random, drawn: Sequence[Sequence[Piece]], rooms: Sequence[Room], height: float
) -> list[Thing]:
    """Parts on a plane, none in another: loose, in clusters that nearly touch, or in rows."""
    style = rng.choices(("loose", "clusters", "rows"), (0.5, 0.35, 0.15))[0]
    turn = rng.uniform(0, 2 * math.pi)
    middles = [_within(rng, rng.choice(rooms)) for _ in range(rng.randint(1, 4))]
    boxes = bounds(drawn)
    pitch = 1.05 * max((2 * _radius(low, high) for low, high in boxes), default=0.0)
    placed: list[tuple[float, float, float]] = []
    things: list[Thing] = []
    for number, (pieces, (low, high)) in enumerate(zip(drawn, boxes, strict=True)):
        radius = _radius(low, high)
        for attempt in range(12):
            room = rng.choice(rooms)
            x, y = _within(rng, room)
            if style == "clusters":
                u, v = rng.choice(middles)
                away = 0.25 * attempt * radius + 0.006
                x, y = u + rng.gauss(0, away), v + rng.gauss(0, away)
            elif style == "rows":
                line = max(1, int((room[2] - room[0]) / pitch))
                place = number + attempt * len(drawn)
                x = room[0] + (place % line + 0.5) * pitch
                y = room[1] + (place // line + 0.5) * pitch
            if not any(_inside(x, y, radius, room) for room in rooms):
                continue
            if all((x - u) ** 2 + (y - v) ** 2 > (radius + r) ** 2 for u, v, r in placed):
                placed.append((x, y, radius))
                yaw = turn if style == "rows" else rng.uniform(0, 2 * math.pi)
                # Its frame may have its middle elsewhere.
                cx, cy = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2
                cos, sin = math.cos(yaw), math.sin(yaw)
                at = (x - cx * cos + cy * sin, y - cx * sin - cy * cos, height - low[2])
                things.append(Thing(pieces, at, yaw))
                break
    return things


def _radius(low: Sequence[float], high: Sequence[float]) -> float:
    """Of a circle around a part, seen from above [m]."""
    return 0.5 * math.hypot(high[0] - low[0], high[1] - low[1])


def _within(rng: Random, room: Room) -> tuple[float, float]:
    return rng.uniform(room[0], room[2]), rng.uniform(room[1], room[3])


def _inside(x: float, y: float, radius: float, room: Room) -> bool:
    return room[0] + radius < x < room[2] - radius and room[1] + radius < y < room[3] - radius
