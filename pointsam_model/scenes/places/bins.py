"""Bins: piles of like or unlike parts in crates, small heaps in trays, cartons on pallets.

Heaps of small parts are piles in a world SMALLER times as large, whose cloud is shrunk: so they
come to rest as large ones do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import torch

from pointsam_model.scenes.config import SceneConfig, TabletopConfig, check
from pointsam_model.scenes.places.pallets import generate_pallet
from pointsam_model.scenes.places.tabletop import render
from pointsam_model.scenes.scene import Scene, split
from pointsam_model.scenes.shapes.catalogue import draw_object
from pointsam_model.scenes.shapes.holders import Holder, walled
from pointsam_model.scenes.shapes.objects import Piece, moved, scaled
from pointsam_model.scenes.shapes.parts import draw_part
from pointsam_model.scenes.streams import stream
from pointsam_model.scenes.worlds.arrangement import Layout, Support
from pointsam_model.scenes.worlds.settling import REACH
from pointsam_model.scenes.worlds.world import bounds

SMALLER = 8.0


def _camera() -> SceneConfig:
    """From above, as cameras over bins are."""
    return SceneConfig(
        width=192,
        height=144,
        objects=(10, 60),
        elevation=(48.0, 89.0),
        distance=(0.5, 1.6),
        tilted_share=0.6,
        table_half_size=(0.3, 0.6),
        crop_to_table_share=0.3,
        crop_to_objects_share=0.35,
        axial_sigma=(0.0002, 0.0022),
        stereo_share=0.2,
        same_colour_share=0.3,
        twin_share=0.6,  # like parts look alike
        shiny_share=0.06,
    )


@dataclass(frozen=True)
class BinConfig:
    """What bins look like. What is left of the shares are crates with things of 2 to 20 cm."""

    camera: SceneConfig = field(default_factory=_camera)
    small_share: float = 0.2  # heaps of parts of 3 to 25 mm
    pallet_share: float = 0.25

    def __post_init__(self) -> None:
        check(self, ("small_share", "pallet_share"))


def generate_bins(
    seeds: Sequence[int], config: BinConfig | None = None, device: str | torch.device = "cpu"
) -> list[Scene]:
    """A bin or a pallet for each seed, as if made alone; see `Scene`.

    The crate or pallet is an object, as all that is in or on it.
    """
    config, device = config or BinConfig(), torch.device(device)
    draws = [stream("bin", seed).random() for seed in seeds]
    made: dict[int, Scene] = {}
    small = config.small_share
    for row, draw in enumerate(draws):
        if small <= draw < small + config.pallet_share:
            made[row] = generate_pallet(int(seeds[row]), config.camera, device)
    for tiny in (False, True):
        rows = [r for r, draw in enumerate(draws) if r not in made and (draw < small) == tiny]
        own = [int(seeds[row]) for row in rows]
        made.update(zip(rows, _piles(own, config.camera, tiny, device), strict=True))
    return [made[row] for row in range(len(seeds))]


def _piles(
    seeds: Sequence[int], camera: SceneConfig, tiny: bool, device: torch.device
) -> list[Scene]:
    if not seeds:
        return []
    if not tiny:
        return split(render(seeds, camera, device, draw_bin), seeds, camera)
    low, high = camera.distance
    # A good sensor: noise of a shrunk cloud is its own over SMALLER, at SMALLER times the distance.
    fine = replace(
        camera,
        distance=(low * SMALLER * 0.6, high * SMALLER * 0.5),
        axial_sigma=(0.00001, 0.00006),
        stereo_axial_sigma=(0.00002, 0.00008),
        time_of_flight_share=0.0,
        warp_sigma=(0.0, 0.0006),
        quantised_share=0.0,
        room_share=0.0,
        kinect_fov_share=0.0,
        horizontal_fov=(7.0, 16.0),
    )
    scenes = split(render(seeds, fine, device, _draw_tray), seeds, fine)
    return [replace(scene, xyz=scene.xyz / SMALLER) for scene in scenes]


def draw_bin(rng: Random, config: TabletopConfig) -> Layout:
    """A crate, seldom only a heap on the table, with things of a few centimetres or more."""
    return _pile(rng, config, lambda: draw_part(rng) if rng.random() < 0.4 else draw_object(rng, 1))


def _draw_tray(rng: Random, config: TabletopConfig) -> Layout:
    """A tray of small parts, SMALLER times as large."""
    return _pile(rng, config, lambda: draw_part(rng))


def _pile(rng: Random, config: TabletopConfig, draw: Callable[[], list[Piece]]) -> Layout:
    """Things of what `draw` gives, in sizes that fit a crate in tens."""
    count = rng.randint(*config.objects)
    holder = _crate(rng)
    half_x, half_y = holder.half
    size = 2 * half_x * rng.uniform(0.14, 0.4 if count < 30 else 0.28)
    # Mostly one or a few different things.
    variety = rng.choices((1, rng.randint(2, 4), count), (0.5, 0.25, 0.25))[0]
    models = [_of_size(draw(), size * rng.uniform(0.75, 1.25)) for _ in range(variety)]
    objects = [rng.choice(models) for _ in range(count)]
    tilts = [rng.random() < config.tilted_share for _ in objects]
    style = rng.choices(("pile", "scattered", "row", "stack"), (0.72, 0.14, 0.08, 0.06))[0]
    table = rng.uniform(*config.table_half_size), rng.uniform(*config.table_half_size)
    if rng.random() < 0.25:  # without the crate
        spread = min(0.35 * size * math.sqrt(count) * rng.uniform(0.7, 1.6), REACH)
        room = min(table[0] - 0.02, REACH), min(table[1] - 0.02, REACH)
        spread = min(spread, 0.9 * min(table))
        return Layout(
            table, False, [Support(style, table, False, room, spread, objects, tilts)], []
        )
    (floor,) = holder.boards
    walls = tuple(moved(piece, (0.0, 0.0, -floor)) for piece in holder.pieces if piece.part)
    room = max(half_x - 0.03, 0.02), max(half_y - 0.03, 0.02)
    spread = math.hypot(*room) * rng.uniform(0.5, 0.95)
    inside = Support(style, holder.half, False, room, spread, objects, tilts, floor, 2.0, walls)
    table = max(table[0], half_x + 0.05), max(table[1], half_y + 0.05)
    return Layout(table, False, [inside], holder.pieces)


def _of_size(pieces: list[Piece], size: float) -> list[Piece]:
    """Scaled so that the longest side is `size` [m]."""
    ((low, high),) = bounds([pieces])
    scale = size / max(b - a for a, b in zip(low, high, strict=True))
    return [scaled(piece, scale) for piece in pieces]


def _crate(rng: Random) -> Holder:
    """From a small box to one of 60 by 40 cm, low or high."""
    wide = rng.uniform(0.22, 0.6)
    deep = wide * rng.uniform(0.5, 1.0)
    high = rng.uniform(0.05, min(0.28, 0.6 * deep))
    return walled(wide, deep, high, rng.uniform(0.009, 0.016))
