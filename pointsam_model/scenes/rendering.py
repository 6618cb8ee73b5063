"""From seeds to measured images: layout, rest, camera, rays, colour, noise, cropping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from pointsam_model.scenes.appearance import photograph, shade
from pointsam_model.scenes.arrangement import Placed, arrange, draw_layout
from pointsam_model.scenes.camera import (
    degrade,
    draw_camera,
    focal_lengths,
    pixel_rays,
    poses,
)
from pointsam_model.scenes.casting import nearest_hits
from pointsam_model.scenes.config import SceneConfig
from pointsam_model.scenes.cropping import crop
from pointsam_model.scenes.primitives import Primitives, local_direction, local_normals, rotate
from pointsam_model.scenes.room import look_tables, with_room

_PIXELS_AT_ONCE = 1 << 16  # shaded together on a CPU, to stay in its cache


@dataclass(frozen=True)
class View:
    """A rendered batch, before it is split into scenes. Tensors on the rendering device."""

    primitives: Primitives  # in the cameras' frames, scene by scene: room first, then objects
    scene: Tensor  # (n,) scene of each primitive
    instance: Tensor  # (n,) 0 for the room
    part: Tensor  # (n,) 0 for the room
    row: Tensor  # (b,h,w) primitive seen by each pixel, -1: none
    xyz: Tensor  # (b,h,w,3) [m], NaN: nothing measured
    flying: Tensor  # (b,h,w) depth is between two surfaces
    rgb: Tensor  # (b,h,w,3) uint8
    rotation: Tensor  # (b,3,3) world to camera
    position: Tensor  # (b,3) [m] cameras in the world


def render(seeds: Sequence[int], config: SceneConfig, device: torch.device) -> View:
    """Composes and renders a batch; `generate_scenes` without the bookkeeping of labels."""
    layouts = [draw_layout(rng, config) for rng in _streams(seeds, "layout")]
    cameras = [draw_camera(rng, config) for rng in _streams(seeds, "camera")]
    # Placement is small and must not differ between devices: it runs on the CPU.
    rest = [_generator(rng, torch.device("cpu")) for rng in _streams(seeds, "rest")]
    placed = arrange(layouts, rest)
    target, radius = _middle_of_objects(placed, len(seeds))
    rotation, position = poses(cameras, target, radius, config)
    world, scene, instance, part = with_room(
        placed, layouts, _streams(seeds, "room"), cameras, config
    )
    looks, lights = look_tables(_streams(seeds, "looks"), scene, instance, part, config)

    world = Primitives(
        world.kind.to(device),
        world.size.to(device),
        world.rotation.to(device),
        world.centre.to(device),
    )
    scene, instance, part = scene.to(device), instance.to(device), part.to(device)
    rotation, position = rotation.to(device), position.to(device)
    seen = world.moved(rotation[scene], rotate(rotation[scene], -position[scene]))

    normal_noise, uniform_noise, coarse = _pixel_noise(_streams(seeds, "pixels"), config, device)
    focal = focal_lengths(cameras, config, device)
    lateral = (
        torch.tensor([c.lateral_sigma_px for c in cameras], device=device) * config.width / 640
    )
    rays = pixel_rays(focal, config, normal_noise[:, 1:3] * lateral[:, None, None, None])
    depth, row = nearest_hits(seen, scene, _rectangles(seen, focal[scene], config), rays)

    looks, lights = looks.to(device), lights.to(device)
    colour, cosine, shiny = _surfaces(seen, scene, row, depth, rays, rotation, looks, lights)
    pixel = config.width / 640
    shifts = [
        (round(c.colour_shift_px[0] * pixel), round(c.colour_shift_px[1] * pixel)) for c in cameras
    ]
    sigma = lights[:, 12] * float(config.noise)
    rgb = photograph(colour, sigma, shifts, normal_noise[:, 3:])
    noise = torch.cat([normal_noise[:, :1], uniform_noise], 1)
    measured, flying = degrade(depth, cosine, shiny, cameras, focal, noise, coarse, config)
    xyz = (pixel_rays(focal, config) * measured[:, None]).movedim(1, -1)
    xyz = crop(
        xyz,
        _streams(seeds, "crop"),
        layouts,
        target.to(device),
        radius.to(device),
        rotation,
        position,
        config,
    )
    return View(seen, scene, instance, part, row, xyz, flying, rgb, rotation, position)


def _surfaces(
    seen: Primitives,
    scene: Tensor,
    row: Tensor,
    depth: Tensor,
    rays: Tensor,
    rotation: Tensor,
    looks: Tensor,
    lights: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """What the pixels see: colour (3,b,h,w), cosine to the ray (b,h,w), share lost by material."""
    shape = row.shape
    row, depth = row.flatten(), depth.flatten()
    directions = rays.transpose(0, 1).reshape(3, -1)
    lengths = directions.square().sum(0).sqrt()
    colour = torch.zeros_like(directions)
    cosine, shiny = torch.ones_like(depth), torch.zeros_like(depth)

    # All that is the same for a primitive's pixels is turned into its own frame once.
    every = torch.arange(len(seen), device=row.device)
    origins = local_direction(seen, every, -seen.centre.t())
    lamps = [
        local_direction(seen, every, rotate(rotation, lights[:, 3 * k : 3 * k + 3])[scene].t())
        for k in range(2)
    ]
    light_columns = torch.cat([*lamps, lights[scene, 6:].t()])
    look_columns = looks.t().contiguous()
    hits = (row >= 0).nonzero().squeeze(1)
    for pixel in hits.split(_PIXELS_AT_ONCE) if hits.device.type == "cpu" else [hits]:
        own = row[pixel]
        direction = local_direction(seen, own, directions[:, pixel])
        local = origins[:, own] + depth[pixel] * direction
        normal = local_normals(seen, own, local)
        facing = -(normal * direction).sum(0)
        # A shell is also seen from inside.
        normal = normal * torch.where(facing < 0, -1.0, 1.0)
        look = look_columns[:, own]
        colour[:, pixel] = shade(look, light_columns[:, own], local, normal)
        cosine[pixel] = facing.abs() / lengths[pixel]
        shiny[pixel] = look[14]
    return colour.view(3, *shape), cosine.view(shape), shiny.view(shape)


def _rectangles(primitives: Primitives, focal: Tensor, config: SceneConfig) -> Tensor:
    """Pixels (n,4) u0, v0, u1, v1 in which each primitive can be seen."""
    corners = primitives.corners()
    z = corners[..., 2]
    behind = (z < 0.05).any(1)
    flat = corners[..., :2] / z.clamp_min(0.05)[..., None] * focal[:, None, None]
    size = torch.tensor([config.width, config.height], device=focal.device)
    flat = flat + (size - 1) / 2
    # Rays are moved by lateral noise: a margin of its largest values.
    margin = 1 + 5 * config.lateral_sigma_px[1] * config.width / 640
    low = (flat.amin(1) - margin).floor().long().clamp_min(0).minimum(size)
    high = (flat.amax(1) + margin).ceil().long().clamp_min(0).minimum(size)
    low = torch.where(behind[:, None], 0, low)
    high = torch.where(behind[:, None], size, high)
    hidden = (z < 0.05).all(1)
    high = torch.where(hidden[:, None], low, high)
    return torch.cat([low, high], 1)


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


def _pixel_noise(
    streams: list[Random], config: SceneConfig, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Normal (b,6,h,w), uniform (b,3,h,w) and coarse normal (b,2,12,16) fields, scene by scene."""
    h, w = config.height, config.width
    normal, uniform, coarse = [], [], []
    for rng in streams:
        generator = _generator(rng, device)
        normal.append(torch.randn(6, h, w, generator=generator, device=device))
        uniform.append(torch.rand(3, h, w, generator=generator, device=device))
        coarse.append(torch.randn(2, 12, 16, generator=generator, device=device))
    return torch.stack(normal), torch.stack(uniform), torch.stack(coarse)


def _streams(seeds: Sequence[int], purpose: str) -> list[Random]:
    """One random stream a scene and purpose: other noise must not move the objects."""
    return [Random(f"{purpose} {int(seed)}") for seed in seeds]


def _generator(rng: Random, device: torch.device) -> torch.Generator:
    generator = torch.Generator(device)
    generator.manual_seed(rng.getrandbits(62))
    return generator
