"""Single objects as CAD collections give them: the whole surface in one cloud, no sensor, y up.

What PartNet is to the paper: one object whose parts are segmented. The whole cloud would be one
mask, so instances are its coarse parts (legs, seat, drawer) and parts its pieces (one leg, the
drawer's front). Every point belongs to some of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import numpy as np
import torch
from torch import Tensor

from pointsam_model.errors import ConfigError
from pointsam_model.scenes.config import AppearanceConfig, Range, check
from pointsam_model.scenes.inhabitants import furniture, seating, storage, vehicles
from pointsam_model.scenes.scene import Scene, renumbered
from pointsam_model.scenes.shapes.catalogue import draw_object
from pointsam_model.scenes.shapes.objects import Piece
from pointsam_model.scenes.solids.primitives import (
    Primitives,
    areas,
    depths,
    intersect,
    local_direction,
    local_normals,
    rotate,
    sample_surface,
)
from pointsam_model.scenes.streams import generator, stream
from pointsam_model.scenes.worlds.appearance import draw_light, draw_looks, shade
from pointsam_model.scenes.worlds.things import primitives_of

# x, y, z of an object that stands on z = 0 and looks along x become z, x, y: it looks along z.
_UPRIGHT = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
_DIRECTIONS = 20  # from which a point may be seen
_OFF = 2e-4  # of the object's radius: rays start so far off the surface
_BURIED = 1e-3  # of the object's radius: deeper inside another piece a point is dropped
_MOST_DRAWS = 20  # batches of points

_FURNITURE: dict[Callable[[Random], furniture.Furniture], float] = {
    seating.chair: 0.3,
    seating.table: 0.2,
    storage.cabinet: 0.15,
    furniture.lamp: 0.1,
    seating.sofa: 0.08,
    storage.shelf: 0.07,
    seating.bed: 0.05,
    furniture.screen: 0.05,
}


@dataclass(frozen=True)
class SingleConfig:
    """What single objects look like. What is left of the shares is what lies on tables."""

    points: int = 10_000
    furniture_share: float = 0.5
    vehicle_share: float = 0.08
    normalised_share: float = 0.5  # scaled to a radius of 1; the others are in metres
    noise: Range = (0.0, 0.003)  # of the points, of the object's radius
    look: AppearanceConfig = field(default_factory=AppearanceConfig)

    def __post_init__(self) -> None:
        if self.points < 1:
            raise ConfigError(f"points is {self.points}, must be 1 or more")
        check(self, ("furniture_share", "vehicle_share"), not_negative=("noise",))


def generate_single(
    seed: int, config: SingleConfig | None = None, device: str | torch.device = "cpu"
) -> Scene:
    """One object of at least two parts; the same for the same seed, config and device type.

    Points are on what can be seen from around it: none inside other pieces or closed bodies. The
    scene has height 1, up is +y, and its middle is the origin.
    """
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative, seeds are 0 or more")
    config, device = config or SingleConfig(), torch.device(device)
    pieces = _draw_pieces(stream("single", seed), config)
    rng = stream("single cloud", seed)
    solids, radius = _centred(pieces)
    solids = solids.to(device)
    noise = generator(rng)
    points, row = _visible_points(solids, radius, config.points, noise)
    colour = _colours(solids, points, row, pieces, stream("single looks", seed), noise, config)
    points = points + torch.randn(points.shape, generator=noise).to(device) * (
        rng.uniform(*config.noise) * radius
    )
    if rng.random() < config.normalised_share:
        points = points / points.norm(dim=1).amax()
    number = row.cpu().numpy().astype(np.int32)
    coarse = np.unique([piece.part for piece in pieces], return_inverse=True)[1].astype(np.int32)
    return Scene(
        points.cpu().numpy().astype(np.float32),
        colour.cpu().numpy(),
        1,
        len(number),
        f"scene {seed}",
        instance=renumbered(coarse[number] + 1),
        part=renumbered(number + 1),
        up=np.array([0.0, 1.0, 0.0], np.float32),
        seed=int(seed),
    )


def _draw_pieces(rng: Random, config: SingleConfig) -> list[Piece]:
    """Pieces of an object of two coarse parts or more, z up."""
    draw = rng.random()
    if draw < config.furniture_share:
        shape = rng.choices(list(_FURNITURE), list(_FURNITURE.values()))[0]
        return _until_parted(lambda: shape(rng).pieces)
    if draw < config.furniture_share + config.vehicle_share:
        vehicle = rng.choice((vehicles.car, vehicles.van, vehicles.truck))
        return list(vehicle(rng, (0.0, 0.0), 0.0).pieces)
    return _until_parted(lambda: draw_object(rng, 1.0))


def _until_parted(draw: Callable[[], list[Piece]]) -> list[Piece]:
    pieces = draw()
    while len({piece.part for piece in pieces}) < 2:
        pieces = draw()
    return pieces


def _centred(pieces: list[Piece]) -> tuple[Primitives, float]:
    """Turned y up, with the bounding box's middle at the origin; and the radius [m] around it."""
    own = primitives_of(pieces)
    upright = own.moved(torch.tensor(_UPRIGHT), torch.zeros(3))
    corners = upright.corners().view(-1, 3)
    middle = (corners.amin(0) + corners.amax(0)) / 2
    radius = float((corners - middle).norm(dim=1).amax())
    return upright.moved(torch.eye(3), -middle), radius


def _visible_points(
    solids: Primitives, radius: float, count: int, noise: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Points (count,3) spread over the visible surface, and the piece (count,) each is on.

    Raises:
        RuntimeError: hardly anything of the object can be seen, which no shape should do.
    """
    device = solids.size.device
    area = areas(solids).double()
    ends = area.cumsum(0) / area.sum()
    kept_points, kept_rows, found = [], [], 0
    for _ in range(_MOST_DRAWS):
        uniform = torch.rand(count + count // 2, 4, generator=noise).to(device)
        row = torch.searchsorted(ends, uniform[:, 3].double()).clamp(max=len(ends) - 1)
        points = sample_surface(solids, row, uniform[:, :3], even=True)
        seen = ~_buried(solids, points, row, radius)
        seen[seen.clone()] = _seen(solids, points[seen], radius)
        kept_points.append(points[seen])
        kept_rows.append(row[seen])
        found += int(seen.sum())
        if found >= count:
            break
    else:
        raise RuntimeError(f"only {found} of {count} points found on the outside of an object")
    return torch.cat(kept_points)[:count], torch.cat(kept_rows)[:count]


def _buried(solids: Primitives, points: Tensor, row: Tensor, radius: float) -> Tensor:
    """Which points (m,3) on pieces `row` are inside another piece."""
    inside = torch.zeros_like(row, dtype=torch.bool)
    for other in range(len(solids)):
        deep = depths(solids, torch.full_like(row, other), points) > _BURIED * radius
        inside |= deep & (row != other)
    return inside


def _seen(solids: Primitives, points: Tensor, radius: float) -> Tensor:
    """Which points (m,3) on the surface are seen from far away, from some direction."""
    # Directions evenly over the sphere, along a spiral.
    k = torch.arange(_DIRECTIONS, device=points.device) + 0.5
    height, angle = 1 - 2 * k / _DIRECTIONS, k * (math.pi * (1 + math.sqrt(5)))
    flat = (1 - height * height).sqrt()
    outward = torch.stack([flat * torch.cos(angle), height, flat * torch.sin(angle)], -1)
    hidden = torch.arange(len(points), device=points.device)
    seen = torch.zeros_like(hidden, dtype=torch.bool)
    for direction in outward:
        free = hidden
        for piece in range(len(solids)):
            start = points[free] + _OFF * radius * direction
            row = torch.full_like(free, piece)
            free = free[torch.isinf(intersect(solids, row, start, direction.expand_as(start)))]
        seen[free] = True
        hidden = hidden[~seen[hidden]]
    return seen


def _colours(
    solids: Primitives,
    points: Tensor,
    row: Tensor,
    pieces: list[Piece],
    rng: Random,
    noise: torch.Generator,
    config: SingleConfig,
) -> Tensor:
    """Colours (m,3) uint8 of the points, coarse part by coarse part, in the light of two lamps."""
    device = points.device
    part = np.unique([piece.part for piece in pieces], return_inverse=True)[1]
    looks, _ = draw_looks(rng, [int(part.max()) + 1], config.look)
    light = torch.tensor(draw_light(rng, config.look).row(), device=device)
    look = torch.tensor([looks[number].row() for number in part], device=device)
    # Textures have their size in metres of the real thing.
    local = local_direction(solids, row, (points - solids.centre[row]).t())
    normal = local_normals(solids, row, local)
    upright = torch.tensor(_UPRIGHT, device=device)
    lamps = [
        local_direction(
            solids, row, rotate(upright, light[3 * k : 3 * k + 3]).expand(len(row), 3).t()
        )
        for k in range(2)
    ]
    rest = light[6:, None].expand(-1, len(row))
    colour = shade(look.t()[:, row].contiguous(), torch.cat([*lamps, rest]), local, normal)
    colour = colour + light[12] * torch.randn(colour.shape, generator=noise).to(device)
    return (colour.clamp(0, 1) * 255).round().to(torch.uint8).t().contiguous()
