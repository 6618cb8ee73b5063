"""Scenes without any object: bare tables, rooms and roads, through every kind of sensor.

They teach what is nothing. Whoever needs an object to click on has to leave them out: every label
is 0, or -1 where nothing is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from pointsam_model.scenes.config import SceneConfig
from pointsam_model.scenes.places.fused_tables import generate_fused_tables
from pointsam_model.scenes.places.rooms import RoomConfig, generate_rooms
from pointsam_model.scenes.places.small_parts import PartsConfig, generate_parts
from pointsam_model.scenes.places.street import StreetConfig, generate_streets
from pointsam_model.scenes.scene import Scene, generate_scenes
from pointsam_model.scenes.streams import stream

_SHARES = {"table": 0.35, "fused table": 0.08, "close": 0.15, "room": 0.25, "street": 0.17}


def generate_empty(
    seeds: Sequence[int],
    tabletop: SceneConfig,
    parts: PartsConfig,
    room: RoomConfig,
    street: StreetConfig,
    device: str | torch.device = "cpu",
) -> list[Scene]:
    """One scene without objects for each seed, as if made alone; configs as of the other kinds."""
    scenes = []
    for seed in seeds:
        rng = stream("empty", seed)
        what = rng.choices(list(_SHARES), list(_SHARES.values()))[0]
        own = [int(seed)]
        # Without objects nothing says from how far to look at a table.
        low, high = tabletop.distance
        away = rng.uniform(low, high)
        bare = replace(
            tabletop, objects=(0, 0), crate_share=0.0, shelf_share=0.0, distance=(away, away)
        )
        if what == "table":
            scenes += generate_scenes(own, bare, device)
        elif what == "fused table":
            scenes += generate_fused_tables(own, bare, device)
        elif what == "close":
            scenes += generate_parts(own, replace(parts, parts=(0, 0)), device)
        elif what == "room":
            scenes += generate_rooms(own, replace(room, furnished=False), device)
        else:
            scenes += generate_streets(own, replace(street, bare=True), device)
    return scenes
