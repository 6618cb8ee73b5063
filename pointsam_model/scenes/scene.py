"""From seeds to labelled clouds: layout, rest, camera, rays, colour, noise, cropping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointsam_model.scenes.appearance import draw_light, draw_looks, shade
from pointsam_model.scenes.arrangement import Layout, Placed, arrange, draw_layout
from pointsam_model.scenes.camera import Camera, degrade, draw_camera, focal_lengths, pixel_rays, poses
from pointsam_model.scenes.casting import nearest_hits
from pointsam_model.scenes.config import SceneConfig
from pointsam_model.scenes.objects import IDENTITY
from pointsam_model.scenes.primitives import BOX, FRUSTUM, Primitives, normals, rotate, to_local

_TABLE_THICKNESS = 0.03  # m
_PIXELS_AT_ONCE = 1 << 16  # shaded together on a CPU, to stay in its cache


@dataclass(frozen=True)
class Scene:
    """One organised cloud as a depth camera gave it, with the truth about it.

    Arrays are numpy, rows row-major over (height, width).
    """

    xyz: NDArray[np.float32]  # (h*w,3) [m], camera optical frame: x right, y down, z forward; NaN: none
    rgb: NDArray[np.uint8]  # (h*w,3)
    instance: NDArray[np.int32]  # (h*w,) 0 support or background, >= 1 objects, -1 none or flying pixel
    part: NDArray[np.int32]  # (h*w,) 0 background, >= 1 parts (unique in the scene), -1 as above
    height: int
    width: int
    up: NDArray[np.float32]  # (3,) unit vector against gravity, in the camera's frame
    seed: int


def generate_scene(
    seed: int, config: SceneConfig | None = None, device: str | torch.device = "cpu"
) -> Scene:
    """One scene; the same for the same seed, config and device type. See `generate_scenes`."""
    return generate_scenes([seed], config, device)[0]


def generate_scenes(
    seeds: Sequence[int], config: SceneConfig | None = None, device: str | torch.device = "cpu"
) -> list[Scene]:
    """Scenes made side by side, each as if made alone: only its own seed decides.

    seeds: non-negative integers. device: where rays, colours and noise are computed; a GPU draws
    other pixel noise than a CPU from the same seed, the objects and cameras are the same.
    16 to 64 small scenes at once is a good number on a CPU.
    """
    if not len(seeds):
        return []
    config = config or SceneConfig()
    view = render(seeds, config, torch.device(device))
    return _scenes(view, seeds, config)


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
    streams = [Random(int(seed)) for seed in seeds]
    layouts = [draw_layout(rng, config) for rng in streams]
    cameras = [draw_camera(rng, config) for rng in streams]
    # Placement is small and must not differ between devices: it runs on the CPU.
    placed = arrange(layouts, [_generator(rng, torch.device("cpu")) for rng in streams])
    target, radius = _middle_of_objects(placed, len(seeds))
    rotation, position = poses(cameras, target, radius, config)
    world, scene, instance, part = _with_room(placed, layouts, streams, cameras, config)
    looks, lights = _looks(streams, scene, instance, part, config)

    world = Primitives(
        world.kind.to(device), world.size.to(device), world.rotation.to(device), world.centre.to(device)
    )
    scene, instance, part = scene.to(device), instance.to(device), part.to(device)
    rotation, position = rotation.to(device), position.to(device)
    seen = world.moved(rotation[scene], rotate(rotation[scene], -position[scene]))

    normal_noise, uniform_noise, coarse = _pixel_noise(streams, config, device)
    focal = focal_lengths(cameras, config, device)
    lateral = torch.tensor([c.lateral_sigma_px for c in cameras], device=device) * config.width / 640
    rays = pixel_rays(focal, config, normal_noise[:, 1:3] * lateral[:, None, None, None])
    depth, row = nearest_hits(seen, scene, _rectangles(seen, focal[scene], config), rays)

    looks, lights = looks.to(device), lights.to(device)
    colour, cosine, shiny = _surfaces(seen, row, depth, rays, rotation, looks, lights)
    rgb = _photograph(colour, lights, cameras, normal_noise[:, 3:], config)
    noise = torch.cat([normal_noise[:, :1], uniform_noise], 1)
    measured, flying = degrade(depth, cosine, shiny, cameras, focal, noise, coarse, config)
    xyz = pixel_rays(focal, config) * measured[..., None]
    xyz = _cropped(xyz, streams, layouts, target.to(device), radius.to(device), rotation, position, config)
    return View(seen, scene, instance, part, row, xyz, flying, rgb, rotation, position)


def _surfaces(
    seen: Primitives, row: Tensor, depth: Tensor, rays: Tensor, rotation: Tensor, looks: Tensor, lights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What the pixels see: colour (b,h,w,3), cosine to the ray (b,h,w), share lost by material."""
    shape = row.shape
    row, depth, rays = row.flatten(), depth.flatten(), rays.reshape(-1, 3)
    colour = torch.zeros_like(rays)
    cosine, shiny = torch.ones_like(depth), torch.zeros_like(depth)
    hits = (row >= 0).nonzero().squeeze(1)
    pieces = hits.split(_PIXELS_AT_ONCE) if hits.device.type == "cpu" else [hits]
    for pixel in pieces:
        own, ray = row[pixel], rays[pixel]
        surface = ray * depth[pixel][:, None]
        local = to_local(seen, own, surface, surface)[0].t()
        normal = normals(seen, own, local)
        facing = -(normal * torch.nn.functional.normalize(ray, dim=-1)).sum(-1)
        normal = normal * torch.where(facing < 0, -1.0, 1.0)[:, None]
        scene = torch.div(pixel, shape[1] * shape[2], rounding_mode="floor")
        # Lamps are given in the world.
        normal = rotate(rotation.transpose(1, 2)[scene], normal)
        colour[pixel] = shade(looks[own], local, normal, lights[scene])
        cosine[pixel] = facing.abs()
        shiny[pixel] = looks[own, 14]
    return colour.view(*shape, 3), cosine.view(shape), shiny.view(shape)


def _scenes(view: View, seeds: Sequence[int], config: SceneConfig) -> list[Scene]:
    valid = torch.isfinite(view.xyz[..., 2])
    known = valid & ~view.flying & (view.row >= 0)
    row = view.row.clamp_min(0)
    instance = torch.where(known, view.instance[row], -1).flatten(1)
    part = torch.where(known, view.part[row], -1).flatten(1)
    b = len(seeds)
    arrays = (view.xyz.reshape(b, -1, 3), view.rgb.reshape(b, -1, 3), instance.int(), part.int())
    xyz, rgb, instances, parts = (array.cpu().numpy() for array in arrays)
    up = view.rotation[:, :, 2].cpu().numpy()
    return [
        Scene(
            xyz[i], rgb[i], _renumbered(instances[i]), _renumbered(parts[i]),
            config.height, config.width, up[i], int(seed),
        )
        for i, seed in enumerate(seeds)
    ]


def _renumbered(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Positive labels without gaps, in their order; those nobody sees are gone."""
    present = np.bincount(np.maximum(labels, 0)) > 0
    present[0] = False
    table = np.where(present, np.cumsum(present), 0).astype(np.int32)
    return np.where(labels > 0, table[np.maximum(labels, 0)], labels).astype(np.int32)


def _generator(rng: Random, device: torch.device) -> torch.Generator:
    generator = torch.Generator(device)
    generator.manual_seed(rng.getrandbits(62))
    return generator


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


def _with_room(
    placed: Placed, layouts: list[Layout], streams: list[Random], cameras: list[Camera], config: SceneConfig
) -> tuple[Primitives, Tensor, Tensor, Tensor]:
    """All primitives of the batch, each scene's table, floor and wall before its objects."""
    kind, size, turn, centre, rooms = [], [], [], [], []
    for layout, rng, camera in zip(layouts, streams, cameras, strict=True):
        half_x, half_y = layout.table_half
        z = -_TABLE_THICKNESS / 2
        kind.append(FRUSTUM if layout.round_table else BOX)
        radius = min(half_x, half_y)
        size.append(
            (radius, radius, -z, 3.0) if layout.round_table else (half_x, half_y, -z, 0.0)
        )
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


def _looks(
    streams: list[Random], scene: Tensor, instance: Tensor, part: Tensor, config: SceneConfig
) -> tuple[Tensor, Tensor]:
    """Rows of `Look` (n,15) for each primitive and of `Light` (b,14) for each scene."""
    look_rows, lights = [], []
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


def _photograph(
    colour: Tensor, lights: Tensor, cameras: list[Camera], noise: Tensor, config: SceneConfig
) -> Tensor:
    """Colour image (b,h,w,3) uint8: shifted against depth, noisy, clipped."""
    shifted = torch.empty_like(colour)
    for i, camera in enumerate(cameras):
        u, v = (round(s * config.width / 640) for s in camera.colour_shift_px)
        shifted[i] = torch.roll(colour[i], (v, u), (0, 1))
    if config.noise:
        strength = lights[:, 12, None, None, None]
        shifted = shifted + strength * noise.movedim(1, -1)
    return (shifted.clamp(0, 1) * 255).round().to(torch.uint8)


def _cropped(
    xyz: Tensor, streams: list[Random], layouts: list[Layout], target: Tensor, radius: Tensor,
    rotation: Tensor, position: Tensor, config: SceneConfig,
) -> Tensor:
    """Drops what a user would have cropped: all but the table, or all but a circle of objects."""
    rows = []
    for rng, layout in zip(streams, layouts, strict=True):
        draw, rim, wide = rng.random(), rng.uniform(0.0, 0.06), rng.uniform(1.0, 2.5)
        to_table = draw < config.crop_to_table_share
        to_objects = not to_table and draw < config.crop_to_table_share + config.crop_to_objects_share
        rows.append([*layout.table_half, rim, wide, float(layout.round_table), float(to_table), float(to_objects)])
    values = torch.tensor(rows, device=xyz.device)[:, None, None]
    half_x, half_y, rim, wide, disc, to_table, to_objects = values.unbind(-1)
    back = rotation.transpose(1, 2)[:, None, None]
    world = rotate(back, xyz) + position[:, None, None]
    x, y, z = world.unbind(-1)
    aside = torch.maximum(x.abs() - half_x, y.abs() - half_y)
    aside = torch.where(disc > 0, torch.hypot(x, y) - torch.minimum(half_x, half_y), aside)
    off_table = (aside > -rim) | (z < -0.025)
    away = (world - target[:, None, None])[..., :2].norm(dim=-1) > wide * (radius[:, None, None] + 0.05)
    drop = ((to_table > 0) & off_table) | ((to_objects > 0) & (away | (z < -0.1)))
    return torch.where(drop[..., None], torch.nan, xyz)
