"""Tabletops: objects that came to rest on a table, its surroundings, and who looks at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import torch
from torch import Tensor

from pointsam_model.scenes.config import SceneConfig, TabletopConfig
from pointsam_model.scenes.places.surroundings import look_tables, with_room
from pointsam_model.scenes.sensors.camera import Camera, draw_camera, poses
from pointsam_model.scenes.sensors.cropping import crop
from pointsam_model.scenes.sensors.depth_images import View, see
from pointsam_model.scenes.streams import generator, streams
from pointsam_model.scenes.worlds.arrangement import Layout, Placed, arrange, draw_layout
from pointsam_model.scenes.worlds.world import World


@dataclass(frozen=True)
class Tabletops:
    """A batch of tables with objects before anybody looks at them."""

    world: World
    layouts: list[Layout]
    cameras: list[Camera]  # one for each, as drawn
    target: Tensor  # (b,3) [m] middle of the objects
    radius: Tensor  # (b,) [m] how far they reach from it


Draw = Callable[[Random, TabletopConfig], Layout]


def render(
    seeds: Sequence[int], config: SceneConfig, device: torch.device, draw: Draw = draw_layout
) -> View:
    """Composes and renders a batch; `generate_scenes` without the bookkeeping of labels.

    draw: what a scene holds, from its stream.
    """
    tables = set_tables(seeds, config, draw)
    rotation, position = poses(tables.cameras, tables.target, tables.radius, config)
    pixels = streams("pixels", seeds)
    view = see(tables.world, tables.cameras, rotation, position, pixels, config, device)
    xyz = crop(
        view.xyz,
        streams("crop", seeds),
        tables.layouts,
        tables.target.to(device),
        tables.radius.to(device),
        view.rotation,
        view.position,
        config,
    )
    return replace(view, xyz=xyz)


def set_tables(seeds: Sequence[int], config: SceneConfig, draw: Draw = draw_layout) -> Tabletops:
    """Tables with their objects at rest, surroundings and looks.

    Placement is small and must not differ between devices: it runs on the CPU.
    """
    layouts = [draw(rng, config) for rng in streams("layout", seeds)]
    cameras = [draw_camera(rng, config) for rng in streams("camera", seeds)]
    placed = arrange(layouts, [generator(rng) for rng in streams("rest", seeds)])
    target, radius = _middle_of_objects(placed, len(seeds))
    solids, scene, instance, part = with_room(
        placed, layouts, streams("room", seeds), cameras, config
    )
    looks, lights = look_tables(streams("looks", seeds), scene, instance, part, config)
    none = torch.zeros(len(scene))
    world = World(solids, scene, instance, part, looks, lights, none, none)
    return Tabletops(world, layouts, cameras, target, radius)


def _middle_of_objects(placed: Placed, scenes: int) -> tuple[Tensor, Tensor]:
    """Middle (b,3) and radius (b,) [m] of each scene's objects; the table's middle without any."""
    corners = placed.primitives.corners()
    low = torch.full((scenes, 3), torch.inf)
    high = torch.full((scenes, 3), -torch.inf)
    index = placed.scene[:, None].expand(-1, 3)
    low.scatter_reduce_(0, index, corners.amin(1), "amin")
    high.scatter_reduce_(0, index, corners.amax(1), "amax")
    empty = ~torch.isfinite(low)
    low, high = torch.where(empty, -0.1, low), torch.where(empty, 0.1, high)
    middle = (low + high) / 2
    middle[:, 2] = 0.4 * high[:, 2]
    radius = 0.5 * (high - low)[:, :2].square().sum(-1).sqrt()
    return middle, radius
