"""What surrounds the objects: table, floor, wall; and the looks of everything in a scene."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import torch
from torch import Tensor

from pointsam_model.scenes.config import AppearanceConfig, TabletopConfig
from pointsam_model.scenes.sensors.camera import Camera
from pointsam_model.scenes.shapes.objects import IDENTITY
from pointsam_model.scenes.solids.primitives import BOX, FRUSTUM, Primitives
from pointsam_model.scenes.worlds.appearance import draw_light, draw_looks
from pointsam_model.scenes.worlds.arrangement import Layout, Placed

_TABLE_THICKNESS = 0.03  # m


def with_room(
    placed: Placed,
    layouts: list[Layout],
    streams: list[Random],
    cameras: list[Camera],
    config: TabletopConfig,
) -> tuple[Primitives, Tensor, Tensor, Tensor]:
    """All primitives of the batch, each scene's table, floor and wall before its objects."""
    kind, size, turn, centre, rooms = [], [], [], [], []
    for layout, rng, camera in zip(layouts, streams, cameras, strict=True):
        half_x, half_y = layout.table_half
        z = -_TABLE_THICKNESS / 2
        kind.append(FRUSTUM if layout.round_table else BOX)
        radius = min(half_x, half_y)
        size.append((radius, radius, -z, 3.0) if layout.round_table else (half_x, half_y, -z, 0.0))
        centre.append((0.0, 0.0, z))
        turn.append(IDENTITY)
        rooms.append(1)
        if rng.random() >= config.room_share:
            continue
        rooms[-1] += 1
        kind.append(BOX)
        size.append((4.0, 4.0, 0.05, 0.0))
        centre.append((0.0, 0.0, -rng.uniform(0.4, 0.9) - 0.05))
        turn.append(IDENTITY)
        if rng.random() >= 0.5:
            continue
        rooms[-1] += 1
        # The wall stands across the camera's view, behind the table.
        heading = camera.azimuth + math.pi + rng.uniform(-0.4, 0.4)
        away = max(half_x, half_y) * 1.45 + rng.uniform(0.0, 0.8)
        cos, sin = math.cos(heading), math.sin(heading)
        kind.append(BOX)
        size.append((0.05, 4.0, 3.0, 0.0))
        centre.append((cos * (away + 0.05), sin * (away + 0.05), 0.0))
        turn.append(((cos, -sin, 0.0), (sin, cos, 0.0), (0.0, 0.0, 1.0)))
    b = len(layouts)
    objects = placed.primitives
    scene = torch.cat([torch.arange(b).repeat_interleave(torch.tensor(rooms)), placed.scene])
    order = torch.argsort(scene, stable=True)
    none = torch.zeros(sum(rooms), dtype=torch.int64)
    joined = Primitives(
        torch.cat([torch.tensor(kind), objects.kind]),
        torch.cat([torch.tensor(size), objects.size]),
        torch.cat([torch.tensor(turn), objects.rotation]),
        torch.cat([torch.tensor(centre), objects.centre]),
    )
    instance = torch.cat([none, placed.instance])
    part = torch.cat([none, placed.part])
    return joined.rows(order), scene[order], instance[order], part[order]


def look_tables(
    streams: list[Random], scene: Tensor, instance: Tensor, part: Tensor, config: AppearanceConfig
) -> tuple[Tensor, Tensor]:
    """Rows of `Look` (n,15) for each primitive and of `Light` (b,14) for each scene."""
    look_rows: list[list[float]] = []
    lights = []
    labels = np.stack([scene.numpy(), instance.numpy(), part.numpy()], 1)
    starts = np.searchsorted(labels[:, 0], np.arange(len(streams) + 1))
    for i, rng in enumerate(streams):
        everything = labels[starts[i] : starts[i + 1]]
        own = everything[everything[:, 1] > 0]
        # Parts are numbered through all objects of a scene: the part's look is found by number.
        owner = {int(p): int(o) for _, o, p in own}
        numbers = sorted(owner)
        objects = [owner[p] for p in numbers]
        counts = [objects.count(o) for o in sorted(set(objects))]
        looks, room = draw_looks(rng, counts, config)
        by_part = {p: look.row() for p, look in zip(numbers, looks, strict=True)}
        look_rows.extend(look.row() for look in room[: len(everything) - len(own)])
        look_rows.extend(by_part[int(p)] for p in own[:, 2])
        lights.append(draw_light(rng, config).row())
    return torch.tensor(look_rows), torch.tensor(lights)
