"""Worlds through depth cameras: rays, leaves, colour, noise."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from pointsam_model.scenes.config import CameraConfig
from pointsam_model.scenes.sensors.camera import Camera, degrade, focal_lengths, pixel_rays
from pointsam_model.scenes.sensors.returns import first_returns
from pointsam_model.scenes.solids.primitives import (
    Primitives,
    local_direction,
    local_normals,
    rotate,
)
from pointsam_model.scenes.streams import generator
from pointsam_model.scenes.worlds.appearance import photograph, shade
from pointsam_model.scenes.worlds.world import World

_PIXELS_AT_ONCE = 1 << 16  # shaded together on a CPU, to stay in its cache


@dataclass(frozen=True)
class View:
    """A batch as its cameras saw it. Tensors on the rendering device."""

    primitives: Primitives  # in the cameras' frames, scene by scene
    scene: Tensor  # (n,) scene of each primitive
    instance: Tensor  # (n,) 0 for the background
    part: Tensor  # (n,) 0 for the background
    row: Tensor  # (b,h,w) primitive seen by each pixel, -1: none
    xyz: Tensor  # (b,h,w,3) [m], NaN: nothing measured
    flying: Tensor  # (b,h,w) depth is between two surfaces
    rgb: Tensor  # (b,h,w,3) uint8
    rotation: Tensor  # (b,3,3) world to camera
    position: Tensor  # (b,3) [m] cameras in the world


def see(
    world: World,
    cameras: list[Camera],
    rotation: Tensor,
    position: Tensor,
    streams: list[Random],
    config: CameraConfig,
    device: torch.device,
) -> View:
    """What the cameras measure, one camera a scene of the world.

    rotation (b,3,3) world to camera and position (b,3) [m]: their poses. streams: of each one's
    pixel noise.
    """
    world, rotation, position = world.to(device), rotation.to(device), position.to(device)
    seen = world.seen_from(rotation, position)
    normal_noise, uniform_noise, coarse = _pixel_noise(streams, config, device)
    focal = focal_lengths(cameras, config, device)
    lateral = (
        torch.tensor([c.lateral_sigma_px for c in cameras], device=device) * config.width / 640
    )
    rays = pixel_rays(focal, config, normal_noise[:, 1:3] * lateral[:, None, None, None])
    rectangles = _rectangles(seen, focal[world.scene], config)
    every = torch.arange(len(seen), device=device)
    draws = _leaf_draws(world, streams, config)
    depth, row = first_returns(seen, world.scene, world.leaves, every, rectangles, rays, draws)

    colour, cosine, shiny = _surfaces(world, seen, row, depth, rays, rotation)
    pixel = config.width / 640
    shifts = [
        (round(c.colour_shift_px[0] * pixel), round(c.colour_shift_px[1] * pixel)) for c in cameras
    ]
    sigma = world.lights[:, 12] * float(config.noise)
    rgb = photograph(colour, sigma, shifts, normal_noise[:, 3:])
    noise = torch.cat([normal_noise[:, :1], uniform_noise], 1)
    measured, flying = degrade(depth, cosine, shiny, cameras, focal, noise, coarse, config)
    xyz = (pixel_rays(focal, config) * measured[:, None]).movedim(1, -1)
    return View(
        seen,
        world.scene,
        world.instance,
        world.part,
        row,
        xyz,
        flying,
        rgb,
        rotation,
        position,
    )


def _surfaces(
    world: World,
    seen: Primitives,
    row: Tensor,
    depth: Tensor,
    rays: Tensor,
    rotation: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """What the pixels see: colour (3,b,h,w), cosine to the ray (b,h,w), share lost by material."""
    scene, lights = world.scene, world.lights
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
    look_columns = world.looks.t().contiguous()
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


def _rectangles(primitives: Primitives, focal: Tensor, config: CameraConfig) -> Tensor:
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
    # Beside the image, even where it reaches behind the camera.
    limit = ((size / 2 + margin) / focal[:, None])[:, None] * z[..., None]
    beside = (corners[..., :2] > limit).all(1) | (corners[..., :2] < -limit).all(1)
    hidden = hidden | beside.any(1)
    high = torch.where(hidden[:, None], low, high)
    return torch.cat([low, high], 1)


def _pixel_noise(
    streams: list[Random], config: CameraConfig, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Normal (b,6,h,w), uniform (b,3,h,w) and coarse normal (b,2,12,16) fields, scene by scene."""
    h, w = config.height, config.width
    normal, uniform, coarse = [], [], []
    for rng in streams:
        own = generator(rng, device)
        normal.append(torch.randn(6, h, w, generator=own, device=device))
        uniform.append(torch.rand(3, h, w, generator=own, device=device))
        coarse.append(torch.randn(2, 12, 16, generator=own, device=device))
    return torch.stack(normal), torch.stack(uniform), torch.stack(coarse)


def _leaf_draws(world: World, streams: list[Random], config: CameraConfig) -> Tensor | None:
    """Uniform (b,2,h,w) for rays among leaves; None where nothing has any."""
    device = world.leaves.device
    if not bool((world.leaves > 0).any()):
        return None
    shape = (2, config.height, config.width)
    return torch.stack(
        [torch.rand(shape, generator=generator(rng, device), device=device) for rng in streams]
    )
