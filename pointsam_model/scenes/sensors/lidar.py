"""Spinning LiDARs: rings, columns, their rays, and what their ranges suffer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from pointsam_model.scenes.sensors.returns import first_returns
from pointsam_model.scenes.solids.primitives import (
    Primitives,
    local_direction,
    local_normals,
    rotate,
)
from pointsam_model.scenes.streams import generator
from pointsam_model.scenes.worlds.terrain import FLAT, Terrain
from pointsam_model.scenes.worlds.world import World

# Elevations of the rings [degrees], highest first, of common families.
_VLP_32 = (
    *(15.0, 10.333, 7.0, 4.667, 3.333, 2.333, 1.667, 1.333, 1.0, 0.667, 0.333, 0.0, -0.333),
    *(-0.667, -1.0, -1.333, -1.667, -2.0, -2.333, -2.667, -3.0, -3.333, -3.667, -4.0, -4.667),
    *(-5.333, -6.148, -7.254, -8.843, -11.31, -15.639, -25.0),
)


def _even(highest: float, lowest: float, rings: int) -> tuple[float, ...]:
    step = (highest - lowest) / (rings - 1)
    return tuple(highest - step * ring for ring in range(rings))


_FAMILIES: tuple[tuple[float, ...], ...] = (
    _even(15, -15, 16),
    _even(10.67, -30.67, 32),
    _VLP_32,
    _even(15, -16, 32),
    (*_even(2, -8.33, 32), *_even(-8.87, -24.87, 32)),
    _even(16.6, -16.6, 64),
    _even(22.5, -22.5, 64),
    _even(45, -45, 64),
    (*_even(15, 2, 8), *_even(1.67, -6.2, 48), *_even(-7, -25, 8)),
    _even(22.5, -22.5, 128),
    _even(45, -45, 128),
)
# Of each: cars carry the fifth (HDL-64), the third (VLP-32) and the ninth more than others.
_WEIGHTS = (1.0, 1.0, 1.6, 1.0, 3.0, 1.0, 1.0, 0.7, 2.0, 1.0, 0.7)
_COLUMNS = (512, 900, 1024, 1800, 2048)
_FEWEST_RAYS, _MOST_RAYS, _MOST_DENSE_RAYS = 11_000, 34_000, 68_000


@dataclass(frozen=True)
class Lidar:
    """One scene's sensor and its faults."""

    elevations: tuple[float, ...]  # of the rings [rad], highest first
    first_azimuth: float  # of column 0 [rad]; columns run clockwise
    columns: int
    step: float  # between columns [rad]
    tilt: tuple[float, float]  # of the mount about x and y [rad]
    nearest: float  # m
    farthest: float  # m, on a white surface
    range_sigma: float  # m
    angle_sigma: float  # of a column's spacing
    quantum: float  # m
    dropout: float  # share of rays lost anywhere
    grazing_cosine: float
    mixed: float  # share of returns at edges with a range between both sides
    blind: tuple[int, int]  # columns, first and past the last, in which its carrier stands


def draw_lidar(rng: Random, reach: float, noise: bool, dense: bool = False) -> Lidar:
    """A sensor whose rays are few enough to be quick: a large one is thinned as users do.

    reach [m]: what it must at least be able to see. dense: a sector at full resolution, or a turn
    of twice as many rays, as an HDL-64 has.
    """
    elevations = rng.choices(_FAMILIES, _WEIGHTS)[0]
    columns = rng.choice(_COLUMNS)
    # A sector in front of the sensor, in full; otherwise the whole turn.
    sector = rng.uniform(0.1, 0.5) if rng.random() < (0.5 if dense else 0.2) else 1.0
    step = 2 * math.pi / columns
    if len(elevations) == 16:
        columns, step, sector = 1800, 2 * math.pi / 1800, max(sector, 0.5)
    wide = round(columns * sector)
    while len(elevations) * wide < _FEWEST_RAYS:
        wide += 64
    wide = min(wide, columns)
    thin_rings = len(elevations) >= 64 and rng.random() < 0.4
    while len(elevations) * wide > (_MOST_DENSE_RAYS if dense else _MOST_RAYS):
        if thin_rings and len(elevations) > 32:
            elevations = elevations[rng.randrange(2) :: 2]
        else:
            wide, step = wide // 2, step * 2
        thin_rings = thin_rings and len(elevations) > 32
    on = float(noise)
    return Lidar(
        tuple(math.radians(elevation + on * rng.gauss(0, 0.02)) for elevation in elevations),
        rng.uniform(0, 2 * math.pi) if wide * step > 6.0 else wide * step / 2,
        wide,
        step,
        (math.radians(rng.gauss(0, 1.2)), math.radians(rng.gauss(0, 1.2))),
        rng.uniform(0.3, 1.5) if reach > 8 else rng.uniform(0.1, 0.4),
        max(rng.uniform(70, 180), reach),
        on * math.exp(rng.uniform(math.log(0.002), math.log(0.03))),
        on * rng.uniform(0, 0.15),
        on * rng.choice((0.0, 0.001, 0.002, 0.004)),
        on * rng.choice((0.0, rng.uniform(0, 0.05), rng.uniform(0, 0.15))),
        on * rng.uniform(0.01, 0.1),
        on * rng.choice((0.0, rng.uniform(0.0, 0.1), rng.uniform(0.0, 0.4))),
        _blind_columns(rng, wide) if noise and rng.random() < 0.2 else (0, 0),
    )


def _blind_columns(rng: Random, columns: int) -> tuple[int, int]:
    """A mast or the robot itself hides up to a third of the view."""
    width = rng.uniform(0.02, 0.33) * columns
    first = rng.uniform(0, columns - width)
    return round(first), round(first + width)


@dataclass(frozen=True)
class Sweep:
    """One turn of a LiDAR about a world of one scene. Tensors on the rendering device."""

    xyz: Tensor  # (h,w,3) [m], sensor's frame; NaN: no return
    row: Tensor  # (h,w) primitive that each ray met, -1: none
    mixed: Tensor  # (h,w) range is between two surfaces
    world: World
    rotation: Tensor  # (3,3) world to sensor


def sweep(
    world: World,
    lidar: Lidar,
    yaw: float,
    position: Tensor,
    rng: Random,
    device: torch.device,
    terrain: Terrain = FLAT,
) -> Sweep:
    """What a LiDAR at `position` (3,) [m], turned by `yaw` [rad], measures on a terrain."""
    rotation = mount(lidar, yaw)[None].to(device)
    world, position = world.to(device), position[None].to(device)
    seen = world.seen_from(rotation, position)
    draw = generator(rng, device)
    h, w = len(lidar.elevations), lidar.columns
    normal = torch.randn(3, h, w, generator=draw, device=device)
    uniform = torch.rand(6, h, w, generator=draw, device=device)
    rays = terrain.bent(lidar_rays(lidar, device, normal[1:] * lidar.angle_sigma), rotation[0])
    index, rectangles = _rectangles(seen, lidar, terrain.steepest)
    draws = uniform[None, :2] if bool((world.leaves > 0).any()) else None
    found = first_returns(seen, world.scene, world.leaves, index, rectangles, rays[None], draws)
    distance, row = found[0][0], found[1][0]
    cosine, dark, lost = _materials(world, seen, row, distance, rays)
    distance = _over_bumps(world, rotation[0], row, distance, rays)
    distance, mixed = _degrade(distance, cosine, dark, lost, lidar, normal[0], uniform[2:])
    # The sensor believes its nominal angles.
    xyz = (lidar_rays(lidar, device) * distance).movedim(0, -1)
    return Sweep(xyz, row, mixed, world, rotation[0])


def mount(lidar: Lidar, yaw: float) -> Tensor:
    """World to sensor (3,3): turned by `yaw`, then tilted as the mount is."""
    about_x, about_y = lidar.tilt
    cx, sx, cy, sy = math.cos(about_x), math.sin(about_x), math.cos(about_y), math.sin(about_y)
    cz, sz = math.cos(yaw), math.sin(yaw)
    x = torch.tensor([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    y = torch.tensor([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    z = torch.tensor([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return (z @ y @ x).t().contiguous()


def lidar_rays(lidar: Lidar, device: torch.device, jitter: Tensor | None = None) -> Tensor:
    """Unit rays (3,h,w) in the sensor's frame, moved by jitter (2,h,w) of a column's spacing."""
    elevation = torch.tensor(lidar.elevations, device=device)[:, None]
    column = torch.arange(lidar.columns, device=device, dtype=torch.float32)
    azimuth = (lidar.first_azimuth - lidar.step * column)[None]
    if jitter is not None:
        azimuth, elevation = azimuth + lidar.step * jitter[0], elevation + lidar.step * jitter[1]
    azimuth, elevation = torch.broadcast_tensors(azimuth, elevation)
    flat = torch.cos(elevation)
    return torch.stack([flat * torch.cos(azimuth), flat * torch.sin(azimuth), torch.sin(elevation)])


def _rectangles(seen: Primitives, lidar: Lidar, steepest: float) -> tuple[Tensor, Tensor]:
    """Which primitives (k,) may be met in which rings and columns (k,4) u0, v0, u1, v1.

    steepest: slope by which terrain lifts or lowers them at most.
    """
    corners = seen.corners()
    x, y, z = corners.unbind(-1)
    middle = seen.centre
    heading = torch.atan2(middle[:, 1], middle[:, 0])
    aside = torch.atan2(y, x) - heading[:, None]
    aside = torch.remainder(aside + math.pi, 2 * math.pi) - math.pi
    low, high = aside.amin(1), aside.amax(1)
    around = high - low >= math.pi - 1e-3

    # Rows: nothing of a convex solid is nearer than its projection on any direction.
    axes = torch.cat([middle[:, None, :2], seen.rotation.transpose(1, 2)[..., :2]], 1)
    axes = axes / axes.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    along = axes[:, :, 0, None] * x[:, None] + axes[:, :, 1, None] * y[:, None]
    nearest = torch.maximum(along.amin(-1), -along.amax(-1)).amax(1).clamp_min(1e-3)
    farthest = torch.hypot(x, y).amax(1)
    top, bottom = z.amax(1), z.amin(1)
    top = torch.atan2(top, torch.where(top > 0, nearest, farthest))
    bottom = torch.atan2(bottom, torch.where(bottom < 0, nearest, farthest))
    margin = 1.5 * lidar.step + 1.1 * steepest
    falling = -torch.tensor(lidar.elevations, device=heading.device)
    v0 = torch.searchsorted(falling, -top - margin)
    v1 = torch.searchsorted(falling, -bottom + margin, right=True)

    turn = 2 * math.pi / lidar.step
    first = (lidar.first_azimuth - heading - high) / lidar.step
    wide = (high - low) / lidar.step + 4
    start = torch.remainder(first - 2, turn)
    pieces = []
    for shift in (0.0, -turn):
        u0 = (start + shift).floor().clamp(0, lidar.columns)
        u1 = (start + shift + wide).ceil().clamp(0, lidar.columns)
        if shift == 0.0:
            u0, u1 = torch.where(around, 0, u0), torch.where(around, lidar.columns, u1)
        else:
            u1 = torch.where(around, u0, u1)
        pieces.append(torch.stack([u0.long(), v0, u1.long(), v1], 1))
    rectangles = torch.cat(pieces)
    index = torch.arange(len(seen), device=heading.device).repeat(2)
    shown = (rectangles[:, 2] > rectangles[:, 0]) & (rectangles[:, 3] > rectangles[:, 1])
    return index[shown], rectangles[shown]


def _materials(
    world: World, seen: Primitives, row: Tensor, distance: Tensor, rays: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Cosine between ray and normal, darkness 0 to 1, share lost; each (h,w)."""
    shape = row.shape
    hits = (row.flatten() >= 0).nonzero().squeeze(1)
    own = row.flatten()[hits]
    direction = local_direction(seen, own, rays.flatten(1)[:, hits])
    origins = local_direction(seen, torch.arange(len(seen), device=row.device), -seen.centre.t())
    local = origins[:, own] + distance.flatten()[hits] * direction
    facing = (local_normals(seen, own, local) * direction).sum(0).abs()
    cosine = torch.ones(row.numel(), device=row.device)
    # Among leaves no surface has a direction.
    cosine[hits] = torch.where(world.leaves[own] > 0, 0.7, facing)
    dark, lost = torch.zeros_like(cosine), torch.zeros_like(cosine)
    dark[hits] = 1 - world.looks[own, :3].mean(1).clamp(0, 1)
    lost[hits] = world.looks[own, 14]
    return cosine.view(shape), dark.view(shape), lost.view(shape)


def _over_bumps(
    world: World, rotation: Tensor, row: Tensor, distance: Tensor, rays: Tensor
) -> Tensor:
    """Ranges where the ground is not flat: bumps move the point where a flat ray meets it."""
    amplitude = torch.where(row >= 0, world.relief[row.clamp_min(0)], 0.0)
    if not bool((amplitude > 0).any()):
        return distance
    point = rays * distance.clamp(max=1e3)
    x, y, _ = rotate(rotation.t(), point.movedim(0, -1)).unbind(-1)
    waves = (
        torch.sin(2.1 * x + 1.3 * y) + torch.sin(5.3 * y - 3.7 * x + 1) + torch.sin(9 * x + 7 * y)
    )
    steep = (rotate(rotation.t(), rays.movedim(0, -1))[..., 2]).abs().clamp_min(0.05)
    return distance - (amplitude * 0.4 * waves / steep).clamp(-0.6, 0.6)


def _degrade(
    distance: Tensor,
    cosine: Tensor,
    dark: Tensor,
    lost_share: Tensor,
    lidar: Lidar,
    normal: Tensor,
    uniform: Tensor,
) -> tuple[Tensor, Tensor]:
    """Measured ranges (h,w) [m], NaN where there is none, and which lie between two surfaces."""
    lost = ~torch.isfinite(distance)
    before = distance.roll(1, 1)
    gap = (distance - before).abs()
    edge = (gap > 0.15) & (gap < 3.0) & torch.isfinite(gap)
    mixed = edge & (uniform[0] < lidar.mixed)
    measured = torch.where(mixed, torch.lerp(before, distance, uniform[1]), distance)
    measured = measured + lidar.range_sigma * normal
    if lidar.quantum:
        measured = (measured / lidar.quantum).round() * lidar.quantum
    # What comes back falls with range squared, with darkness and with the slant.
    strength = (1 - 0.85 * dark) * cosine.clamp_min(0.02) * (lidar.farthest / distance).square()
    lost |= (strength < 1 + uniform[2]) | (distance < lidar.nearest) | (distance > lidar.farthest)
    lost |= cosine < lidar.grazing_cosine * uniform[2]
    lost[:, slice(*lidar.blind)] = True
    lost |= uniform[3] < 1 - (1 - lidar.dropout) * (1 - lost_share)
    return torch.where(lost, torch.nan, measured), mixed & ~lost
