"""Tabletops that a robot looked at from several sides, as one cloud."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import torch
from torch import Tensor

from pointsam_model.scenes.config import SceneConfig
from pointsam_model.scenes.places.tabletop import Tabletops, set_tables
from pointsam_model.scenes.scene import Scene
from pointsam_model.scenes.sensors.camera import poses
from pointsam_model.scenes.sensors.fused import fuse
from pointsam_model.scenes.streams import stream

_VIEWS = (2, 4)


def generate_fused_tables(
    seeds: Sequence[int], config: SceneConfig | None = None, device: str | torch.device = "cpu"
) -> list[Scene]:
    """Tabletop scenes fused from 2 to 4 views; only its own seed decides on a scene."""
    if not len(seeds):
        return []
    config = config or SceneConfig()
    tables = set_tables(seeds, config)
    scenes = []
    for row, seed in enumerate(seeds):
        rng = stream("fused views", seed)
        views = rng.randint(*_VIEWS)
        span = rng.uniform(0.5, 2 * math.pi * (views - 1) / views)
        first = tables.cameras[row]
        cameras = [
            replace(
                first,
                azimuth=first.azimuth + span * k / (views - 1) + rng.gauss(0, 0.1),
                elevation=min(1.35, max(0.2, first.elevation + rng.gauss(0, 0.2))),
            )
            for k in range(views)
        ]
        small = math.sqrt(1.6 / views)
        image = replace(
            config, width=round(config.width * small), height=round(config.height * small)
        )
        target = tables.target[row].expand(views, -1)
        radius = tables.radius[row].expand(views)
        rotation, position = poses(cameras, target, radius, image)
        kept = _crop(rng, tables, row, config)
        scene = fuse(
            tables.world.only(row),
            cameras,
            rotation,
            position,
            rng,
            image,
            torch.device(device),
            int(seed),
            kept,
        )
        scenes.append(scene)
    return scenes


def _crop(
    rng: Random, tables: Tabletops, row: int, config: SceneConfig
) -> Callable[[Tensor, Tensor], Tensor]:
    """What the user keeps: all within reach, the table and what is on it, or a circle."""
    draw = rng.random()
    middle, radius = tables.target[row, :2], float(tables.radius[row]) + 0.05
    half_x, half_y = tables.layouts[row].table_half
    wide = radius * rng.uniform(1.0, 2.5)

    def kept(depth: Tensor, world: Tensor) -> Tensor:
        x, y, z = world.unbind(-1)
        if draw < config.crop_to_table_share:
            return (x.abs() < half_x) & (y.abs() < half_y) & (z > -0.025)
        if draw < config.crop_to_table_share + config.crop_to_objects_share:
            return ((world[..., :2] - middle.to(world.device)).norm(dim=-1) < wide) & (z > -0.1)
        return depth < 3.0

    return kept
