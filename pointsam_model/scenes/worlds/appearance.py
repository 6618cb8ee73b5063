"""Colours: base colours and textures of parts, lighting, and the colour camera's faults."""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from pointsam_model.scenes.config import AppearanceConfig
from pointsam_model.scenes.sensors.depth_sensors import BLANK

Colour = tuple[float, float, float]
PLAIN, STRIPES, CHECKS, GRADIENT, CLOUDED, PRINT = range(6)
_TEXTURE_WEIGHTS = (0.34, 0.12, 0.06, 0.1, 0.1, 0.28)


@dataclass(frozen=True)
class Look:
    """One part's surface."""

    colours: tuple[Colour, Colour, Colour]  # 0 to 1
    texture: int
    period: Colour  # texture length along each axis of the primitive [m]
    phase: float
    hard: float  # to measure, 0 to 1: BLANK without texture, above it a share lost as dark or shiny

    def row(self) -> list[float]:
        flat = [value for colour in self.colours for value in colour]
        return [*flat, float(self.texture), *self.period, self.phase, self.hard]


@dataclass(frozen=True)
class Light:
    """Light and colour camera of one scene."""

    directions: tuple[Colour, Colour]  # unit vectors toward the lamps, in the world
    strengths: tuple[float, float]
    ambient: float
    balance: Colour  # gain of red, green, blue
    noise: float  # standard deviation, of full scale
    gray: bool
    black: Colour  # what the camera adds to red, green, blue

    def row(self) -> list[float]:
        lamps = [value for direction in self.directions for value in direction]
        lit = [*self.strengths, self.ambient, *self.balance]
        return [*lamps, *lit, self.noise, float(self.gray), *self.black]


def draw_looks(
    rng: Random, parts_of_objects: list[int], config: AppearanceConfig
) -> tuple[list[Look], list[Look]]:
    """Looks of the parts, object by object, and of table, floor and wall.

    parts_of_objects: number of parts of each object.
    """
    table_colour = _table_colour(rng)
    room = [
        _background(rng, table_colour),
        _background(rng, _table_colour(rng)),
        _background(rng, _wall(rng)),
    ]
    draw = rng.random()
    shared: Colour | None = None
    if draw < config.uniform_share:
        shared = table_colour
        room = [_plain(table_colour)] * 3
    elif draw < config.uniform_share + config.same_colour_share:
        shared = _object_colour(rng)
    palette = [_object_colour(rng) for _ in range(rng.randint(3, 12))]
    stray = 0.2
    if rng.random() < config.shades_share:
        stray = 0.0
        palette = [_varied(rng, palette[0], 0.12) for _ in palette]
    looks: list[Look] = []
    whole = _plain(table_colour)
    for parts in parts_of_objects:
        base = shared or (_object_colour(rng) if rng.random() < stray else rng.choice(palette))
        if rng.random() < config.table_colour_share:
            base = table_colour
        if not looks or rng.random() >= config.twin_share:
            whole = _look(rng, base, config)
        if shared and draw < config.uniform_share:
            whole = _plain(base)
        for part in range(parts):
            own = part > 0 and rng.random() < 0.5 and not shared
            looks.append(_look(rng, _object_colour(rng), config) if own else whole)
    return looks, room


def draw_light(rng: Random, config: AppearanceConfig) -> Light:
    """Two lamps from above, ambient light, white balance."""
    directions, strengths = [], []
    for _ in range(2):
        azimuth, elevation = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(15, 85))
        flat = math.cos(elevation)
        directions.append((flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)))
        strengths.append(rng.uniform(0.05, 0.55))
    balance = tuple(rng.uniform(0.85, 1.15) for _ in range(3))
    black = (0.0, 0.0, 0.0)
    if rng.random() < config.miscalibrated_share:
        exposure = math.exp(rng.uniform(-0.7, 0.5))
        balance = tuple(exposure * rng.uniform(0.75, 1.3) for _ in range(3))
        level = rng.uniform(-0.06, 0.12)
        red, green, blue = (level + rng.uniform(-0.04, 0.04) for _ in range(3))
        black = (red, green, blue)
    return Light(
        (directions[0], directions[1]),
        (strengths[0], strengths[1]),
        rng.uniform(0.5, 0.95),
        balance,  # type: ignore[arg-type]
        rng.uniform(*config.colour_noise),
        rng.random() < config.gray_share,
        black,
    )


def shade(look: Tensor, light: Tensor, local: Tensor, normal: Tensor) -> Tensor:
    """Colours (3,m), about 0 to 1, of surface points before the camera's noise.

    look (15,m): columns of `Look`; light (17,m): columns of `Light`, with the lamps' directions
    in the primitives' frames, as local (3,m) [m] and normal (3,m) are.
    """
    first, second, third = look[0:3], look[3:6], look[6:9]
    kind = look[9]
    q = local / look[10:13] + look[13]
    x, y, z = torch.sin(q * (2 * torch.pi))
    stripes = (x + z > 0).float()
    checks = ((x > 0) ^ (y > 0) ^ (z > 0)).float()
    gradient = 0.5 + 0.5 * torch.sin(q.sum(0) * 0.8)
    waves = torch.sin(3 * q[0] + 2 * y) + torch.sin(3 * q[2] + 2 * x + 2 * q[1])
    mix = torch.zeros_like(kind)
    patterns = (
        (STRIPES, stripes),
        (CHECKS, checks),
        (GRADIENT, gradient),
        (CLOUDED, 0.5 + 0.25 * waves),
    )
    for pattern, value in patterns:
        mix = torch.where(kind == pattern, value, mix)
    colour = torch.lerp(first, second, mix)

    printed = (kind == PRINT).nonzero().squeeze(1)
    if len(printed):
        own = (first[:, printed], second[:, printed], third[:, printed])
        colour[:, printed] = _print(*own, q[:, printed])

    lit = light[8]
    for lamp in range(2):
        facing = (normal * light[3 * lamp : 3 * lamp + 3]).sum(0)
        lit = lit + light[6 + lamp] * facing.clamp_min(0)
    colour = colour * lit * light[9:12] + light[14:17]
    gray = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    return torch.where(light[13] > 0, gray, colour)


def photograph(
    colour: Tensor, noise_sigma: Tensor, shifts: list[tuple[int, int]], noise: Tensor
) -> Tensor:
    """Colour image (b,h,w,3) uint8 of colours (3,b,h,w): shifted against depth, noisy, clipped.

    noise_sigma (b,) of full scale; shifts in pixels (right, down); noise (b,3,h,w) normal.
    """
    shifted = torch.empty_like(colour)
    for i, (right, down) in enumerate(shifts):
        shifted[:, i] = torch.roll(colour[:, i], (down, right), (1, 2))
    shifted += noise_sigma[:, None, None] * noise.transpose(0, 1)
    return (shifted.clamp_(0, 1) * 255).round().to(torch.uint8).movedim(0, -1)


def _print(first: Tensor, second: Tensor, third: Tensor, q: Tensor) -> Tensor:
    """Printed packaging: large coloured fields, and lines of small print in some of them."""
    # The offset keeps faces that are a whole number of periods away from flickering.
    fields = _hash((q * 0.5 + 0.137).floor())
    lines = _hash((q * q.new_tensor([[5.0], [5.0], [9.0]]) + 0.137).floor())
    colour = torch.where(fields < 0.5, first, torch.where(fields < 0.8, second, third))
    written = (fields * 7 % 1 < 0.5) & (lines < 0.4)
    return torch.where(written, torch.where(lines < 0.2, second, third), colour)


def _hash(cell: Tensor) -> Tensor:
    """A number in 0..1 for each integer cell (3,m)."""
    x, y, z = cell.long()
    mixed = (x * 73856093) ^ (y * 19349663) ^ (z * 83492791)
    mixed = ((mixed ^ (mixed >> 13)) * 1274126177) & 0x7FFFFFFF
    return ((mixed ^ (mixed >> 16)) & 0xFFFF).float() / 65536


def _look(rng: Random, base: Colour, config: AppearanceConfig) -> Look:
    texture = rng.choices(range(6), _TEXTURE_WEIGHTS)[0]
    second = _object_colour(rng) if rng.random() < 0.6 else _varied(rng, base)
    third = (1.0, 1.0, 1.0) if rng.random() < 0.4 else _object_colour(rng)
    finest = 0.04 if texture == PRINT else 0.012
    size = math.exp(rng.uniform(math.log(finest), math.log(0.16)))
    period = tuple(size * rng.uniform(0.6, 1.6) for _ in range(3))
    hard = _hard(rng, texture, base, config)
    return Look((base, second, third), texture, period, rng.uniform(0, 100), hard)  # type: ignore[arg-type]


def _hard(rng: Random, texture: int, base: Colour, config: AppearanceConfig) -> float:
    """How hard a surface is to measure: shiny, dark, or without texture."""
    shiny = rng.random() < config.shiny_share
    dark = sum(base) < 0.6 and rng.random() < config.dark_share
    hard = BLANK if texture in (PLAIN, GRADIENT) else 0.0
    if shiny or dark:
        hard = rng.uniform(0.25, 0.85) if shiny else rng.uniform(0.1, 0.5)
    return hard if config.noise else 0.0


def _background(rng: Random, colour: Colour) -> Look:
    """Plain, slightly clouded or, seldom, with grain or checks; hard for stereo only."""
    texture = rng.choices((PLAIN, CLOUDED, STRIPES, CHECKS, PRINT), (0.5, 0.25, 0.1, 0.06, 0.09))[0]
    close = texture in (CLOUDED, STRIPES)
    second = _varied(rng, colour, 0.07 if close and rng.random() < 0.7 else 0.3)
    size = math.exp(rng.uniform(math.log(0.02), math.log(0.4)))
    period = (size, size * (8 if rng.random() < 0.6 else 1), 10.0)
    hard = BLANK if texture == PLAIN and rng.random() < 0.5 else 0.0
    return Look((colour, second, _varied(rng, colour)), texture, period, rng.uniform(0, 100), hard)


def _plain(colour: Colour) -> Look:
    return Look((colour, colour, colour), PLAIN, (1.0, 1.0, 1.0), 0.0, 0.0)


def _object_colour(rng: Random) -> Colour:
    draw = rng.random()
    if draw < 0.2:
        level = rng.uniform(0.75, 1.0)  # white things are common
        return (level, level * rng.uniform(0.93, 1.0), level * rng.uniform(0.85, 1.0))
    if draw < 0.3:
        level = rng.uniform(0.04, 0.25)
        return (level, level, level * rng.uniform(0.9, 1.3))
    if draw < 0.4:
        return _brown(rng)
    return colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.3, 1.0), rng.uniform(0.25, 1.0))


def _table_colour(rng: Random) -> Colour:
    draw = rng.random()
    if draw < 0.5:
        return _brown(rng)
    if draw < 0.85:
        level = rng.uniform(0.15, 0.95)
        return (level, level * rng.uniform(0.94, 1.02), level * rng.uniform(0.88, 1.04))
    return _object_colour(rng)


def _wall(rng: Random) -> Colour:
    level = rng.uniform(0.5, 0.95)
    return (level, level * rng.uniform(0.92, 1.0), level * rng.uniform(0.85, 1.0))


def _brown(rng: Random) -> Colour:
    return colorsys.hsv_to_rgb(
        rng.uniform(0.04, 0.12), rng.uniform(0.15, 0.65), rng.uniform(0.3, 0.95)
    )


def _varied(rng: Random, colour: Colour, amount: float = 0.25) -> Colour:
    r, g, b = (min(1.0, max(0.0, c + rng.uniform(-amount, amount))) for c in colour)
    return (r, g, b)
