"""Crops as a user makes them: to the table, or around the objects."""

from __future__ import annotations

from random import Random

import torch
from torch import Tensor

from pointsam_model.scenes.config import TabletopConfig
from pointsam_model.scenes.solids.primitives import rotate
from pointsam_model.scenes.worlds.arrangement import Layout


def crop(
    xyz: Tensor,
    streams: list[Random],
    layouts: list[Layout],
    target: Tensor,
    radius: Tensor,
    rotation: Tensor,
    position: Tensor,
    config: TabletopConfig,
) -> Tensor:
    """Drops what a user would have cropped: all but the table, or all but a circle of objects."""
    rows = []
    for rng, layout in zip(streams, layouts, strict=True):
        draw = rng.random()
        on_table = draw < config.crop_to_table_share
        around = not on_table and draw < config.crop_to_table_share + config.crop_to_objects_share
        rim, reach = rng.uniform(0.0, 0.06), rng.uniform(1.0, 2.5)
        half = layout.table_half
        rows.append([*half, rim, reach, float(layout.round_table), float(on_table), float(around)])
    values = torch.tensor(rows, device=xyz.device)[:, None, None]
    half_x, half_y, rims, wide, disc, to_table, to_objects = values.unbind(-1)
    back = rotation.transpose(1, 2)[:, None, None]
    world = rotate(back, xyz) + position[:, None, None]
    x, y, z = world.unbind(-1)
    aside = torch.maximum(x.abs() - half_x, y.abs() - half_y)
    aside = torch.where(disc > 0, torch.hypot(x, y) - torch.minimum(half_x, half_y), aside)
    off_table = (aside > -rims) | (z < -0.025)
    away = (world - target[:, None, None])[..., :2].norm(dim=-1) > wide * (
        radius[:, None, None] + 0.05
    )
    drop = ((to_table > 0) & off_table) | ((to_objects > 0) & (away | (z < -0.1)))
    return torch.where(drop[..., None], torch.nan, xyz)
