"""Objects come to rest on a table: dropped on a height map, tipping until they are supported.

An object is sampled by surface points. It falls straight down until a point touches the height
map of what lies there already; if its centre of mass is not above its contacts it tips about them
until the next point touches, and so on. So boxes lean, bridge and stack as they would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from pointsam_model.scenes.casting import pixels_in_rectangles
from pointsam_model.scenes.config import SceneConfig
from pointsam_model.scenes.objects import Piece, draw_object
from pointsam_model.scenes.primitives import (
    Primitives,
    areas,
    compose,
    intersect,
    rotate,
    sample_surface,
)

GRID = 160  # cells a side of the height map
CELL = 0.008  # m
REACH = GRID * CELL / 2 - 0.12  # objects' middles stay within this square [m]
_NO_SUPPORT = -10.0
_POINTS = 384  # surface points of an object
_CANDIDATES = 6
_TIPPINGS = 6
_CONTACT = 0.004  # m; a gap under this is a contact
_INSET = 0.003  # m; points look up the map this much further in, so neighbours may touch
_DIRECTIONS = 12
_HIGHEST = 0.28  # m; no centre of mass comes to rest above this


@dataclass(frozen=True)
class Layout:
    """What one scene holds before anything is placed."""

    style: str  # scattered, pile, stack or row
    table_half: tuple[float, float]  # m
    round_table: bool
    spread: float  # radius [m] of the area that objects aim at
    objects: list[list[Piece]]
    tilts: list[bool]  # which objects may come to rest tilted


@dataclass(frozen=True)
class Placed:
    """All placed primitives of a batch, in the world (z up, table top at z = 0)."""

    primitives: Primitives
    scene: Tensor  # (n,) int64
    instance: Tensor  # (n,) int64, from 1 in each scene
    part: Tensor  # (n,) int64, from 1 in each scene


def draw_layout(rng: Random, config: SceneConfig) -> Layout:
    """Style, table and objects of one scene."""
    low, high = config.objects
    crowded = rng.random() < config.crowded_share and high >= config.crowded_objects
    edge = min(max(low, config.crowded_objects), high)
    count = rng.randint(edge, high) if crowded else rng.randint(low, edge)
    styles = ("pile", "stack", "row", "scattered")
    shares = (config.pile_share, config.stack_share, config.row_share)
    style = rng.choices(styles, (*shares, 1.0 - sum(shares)))[0]
    scale = rng.uniform(*config.object_scale)
    flat = rng.uniform(*config.table_half_size)
    table = (flat, rng.uniform(*config.table_half_size))
    round_table = rng.random() < config.round_table_share
    spread = 0.07 * math.sqrt(count) * rng.uniform(0.5, 1.3)
    if style == "scattered":
        spread *= 1.7
    spread = min(spread, REACH, 0.9 * min(table))
    objects = [draw_object(rng, scale) for _ in range(count)]
    if rng.random() < 0.12:  # the same thing many times
        objects = [objects[0] if rng.random() < 0.7 else thing for thing in objects]
    share = 0.0 if style == "scattered" else config.tilted_share
    tilts = [rng.random() < share for _ in objects]
    return Layout(style, table, round_table, spread, objects, tilts)


def arrange(layouts: list[Layout], generators: list[torch.Generator]) -> Placed:
    """Places the objects of each layout one after the other, all scenes side by side.

    generators: one per scene, on the CPU, where this runs (it is small). Objects that find no
    stable place are left out.
    """
    things = _Things(layouts)
    heights = torch.stack([_bare_table(layout) for layout in layouts])
    longest = max(len(layout.objects) for layout in layouts)
    uniforms = torch.zeros(len(layouts), longest, _CANDIDATES, 8)
    for i, (layout, generator) in enumerate(zip(layouts, generators, strict=True)):
        count = len(layout.objects)
        uniforms[i, :count] = torch.rand(count, _CANDIDATES, 8, generator=generator)

    rotation = torch.eye(3).repeat(len(layouts), longest, 1, 1)
    position = torch.zeros(len(layouts), longest, 3)
    placed = torch.zeros(len(layouts), longest, dtype=torch.bool)
    for step in range(longest):
        scenes = torch.tensor([i for i, lay in enumerate(layouts) if len(lay.objects) > step])
        points = things.points[scenes, step]
        start_rotation, start_xy, tilted = _candidates(
            things, scenes, step, uniforms[scenes, step], rotation, position, placed
        )
        found = _settle(heights, scenes, points, start_rotation, start_xy, things.tilts[scenes, step], tilted)
        rotation[scenes, step], position[scenes, step], placed[scenes, step] = found
        _raise_heights(heights, things, scenes, step, rotation, position, placed)

    object_row = things.scene * longest + things.order
    keep = placed.view(-1)[object_row]
    moved = things.primitives.moved(
        rotation.view(-1, 3, 3)[object_row], position.view(-1, 3)[object_row]
    ).rows(keep)
    instance = placed.long().cumsum(1).view(-1)[object_row][keep]
    scene = things.scene[keep]
    return Placed(moved, scene, instance, _numbered_parts(scene, things.part_key[keep]))


class _Things:
    """The batch's objects as tensors: primitives about each object's centre of mass, and samples."""

    def __init__(self, layouts: list[Layout]) -> None:
        longest = max(len(layout.objects) for layout in layouts)
        kind, size, turn, centre, scene, order, part = [], [], [], [], [], [], []
        for i, layout in enumerate(layouts):
            for j, pieces in enumerate(layout.objects):
                for piece in pieces:
                    kind.append(piece.kind)
                    size.append(piece.size)
                    turn.append(piece.rotation)
                    centre.append(piece.centre)
                    scene.append(i)
                    order.append(j)
                    part.append((i * longest + j) * 64 + piece.part)
        self.scene, self.order = torch.tensor(scene), torch.tensor(order)
        self.part_key = torch.tensor(part)
        raw = Primitives(
            torch.tensor(kind),
            torch.tensor(size, dtype=torch.float32),
            torch.tensor(turn, dtype=torch.float32),
            torch.tensor(centre, dtype=torch.float32),
        )
        owner = self.scene * longest + self.order
        slots = len(layouts) * longest
        area = areas(raw).double()
        # Shells and solids alike: weight by surface.
        total = torch.zeros(slots, dtype=torch.float64).index_add_(0, owner, area)
        mass_centre = torch.zeros(slots, 3, dtype=torch.float64).index_add_(
            0, owner, area[:, None] * raw.centre.double()
        ) / total.clamp_min(1e-12)[:, None]
        self.primitives = Primitives(
            raw.kind, raw.size, raw.rotation, (raw.centre - mass_centre.float()[owner])
        )
        points = torch.zeros(slots, _POINTS, 3)
        points[torch.unique(owner)] = self._sample(owner, area)
        self.points = points.view(len(layouts), longest, _POINTS, 3)
        self.extent = self.points.abs().amax(2)
        self.spread = torch.tensor([layout.spread for layout in layouts])
        self.table_half = torch.tensor([layout.table_half for layout in layouts])
        self.style = torch.tensor(
            [("scattered", "pile", "stack", "row").index(layout.style) for layout in layouts]
        )
        self.tilts = torch.zeros(len(layouts), longest, dtype=torch.bool)
        for i, layout in enumerate(layouts):
            self.tilts[i, : len(layout.tilts)] = torch.tensor(layout.tilts)

    def _sample(self, owner: Tensor, area: Tensor) -> Tensor:
        """Surface points (objects,_POINTS,3), on each primitive by its area; `owner` ascends."""
        _, number = torch.unique(owner, return_inverse=True)
        objects = int(number[-1]) + 1
        total = torch.zeros(objects, dtype=torch.float64).index_add_(0, number, area)
        # Each object's shares sum to one, so in the running sum object k ends at k + 1.
        ends = (area / total[number]).cumsum(0)
        fraction = (torch.arange(_POINTS, dtype=torch.float64) + 0.5) / _POINTS
        wanted = (torch.arange(objects, dtype=torch.float64)[:, None] + fraction).flatten()
        row = torch.searchsorted(ends, wanted).clamp(max=len(ends) - 1)
        # A low-discrepancy sequence (R3): evenly spread in any run of its indices.
        index = torch.arange(_POINTS, dtype=torch.float64)[:, None]
        steps = torch.tensor([0.8191725134, 0.6710436067, 0.5497004779], dtype=torch.float64)
        uniform = ((0.5 + index * steps) % 1.0).float().repeat(objects, 1)
        return sample_surface(self.primitives, row, uniform).view(objects, _POINTS, 3)


def _candidates(
    things: _Things, scenes: Tensor, step: int, uniform: Tensor,
    rotation: Tensor, position: Tensor, placed: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Starting poses: rotation (s,c,3,3), xy (s,c,2), and which of them start tilted (s,c)."""
    s, c = uniform.shape[:2]
    style = things.style[scenes][:, None]
    half = things.table_half[scenes][:, None]
    angle = 2 * torch.pi * uniform[..., 0]
    # Uniform in a disc, or denser in its middle.
    radius = things.spread[scenes][:, None] * torch.where(style == 1, uniform[..., 1], uniform[..., 1].sqrt())
    free = torch.stack([torch.cos(angle), torch.sin(angle)], -1) * radius[..., None]
    yaw = 2 * torch.pi * uniform[..., 2]

    # An earlier object to lie on or beside: in rows and stacks mostly the last one.
    earlier = (uniform[..., 3] * step).long().clamp(max=max(step - 1, 0))
    last = torch.where((style >= 2) & (uniform[..., 4] < 0.7), max(step - 1, 0), earlier)
    at = scenes[:, None], last
    there = placed[at] if step else torch.zeros(s, c, dtype=torch.bool)
    other_xy, other_extent, other_rotation = position[at][..., :2], things.extent[at], rotation[at]
    other_yaw = torch.atan2(other_rotation[..., 1, 0], other_rotation[..., 0, 0])
    own_extent = things.extent[scenes, step][:, None]

    # Beside, with parallel sides and a gap of at most 3 mm.
    side = (uniform[..., 5] * 4).long()
    axis = side % 2
    reach = other_extent[..., :2].gather(-1, axis[..., None])[..., 0]
    reach = reach + own_extent.expand(s, c, 3).gather(-1, axis[..., None])[..., 0] + 0.003 * uniform[..., 6]
    heading = other_yaw + axis * (torch.pi / 2) + torch.where(side < 2, 0.0, torch.pi)
    toward = torch.stack([torch.cos(heading), torch.sin(heading)], -1)
    beside = other_xy + toward * reach[..., None]
    # On top, off the middle.
    on = other_xy + (uniform[..., 5:7] - 0.5) * other_extent[..., :2]

    wish = uniform[..., 7]
    beside_share = torch.tensor([0.10, 0.20, 0.15, 0.80])[style]
    on_share = torch.tensor([0.03, 0.20, 0.70, 0.05])[style]
    is_beside = there & (wish < beside_share)
    is_on = there & (wish >= beside_share) & (wish < beside_share + on_share)
    xy = torch.where(is_beside[..., None], beside, torch.where(is_on[..., None], on, free))
    yaw = torch.where(is_beside, other_yaw, yaw)
    aligned = is_on & (uniform[..., 2] < 0.5)
    yaw = torch.where(aligned, other_yaw + 0.3 * (uniform[..., 2] - 0.25), yaw)
    # Each fifth object of a loose candidate stands parallel to the table.
    yaw = torch.where(~is_beside & ~is_on & (uniform[..., 2] < 0.2), torch.pi / 2 * (uniform[..., 2] < 0.1), yaw)

    tilted = things.tilts[scenes, step][:, None] & ~is_beside & (uniform[..., 4] < 0.7)
    tilt = torch.where(tilted, 0.15 + 1.1 * uniform[..., 6], 0.0)
    about = angle + torch.pi / 2
    limit = torch.minimum(half - 0.02, torch.tensor(REACH))
    xy = torch.maximum(torch.minimum(xy, limit), -limit)
    upright = _about(torch.zeros_like(yaw), yaw, vertical=True)
    return compose(_about(about, tilt), upright), xy, tilted


def _settle(
    heights: Tensor, scenes: Tensor, points: Tensor, start: Tensor, xy: Tensor, may_tilt: Tensor, tilted: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Rest poses: rotation (s,3,3), centre of mass (s,3), and whether a stable one was found (s,)."""
    s, c = xy.shape[:2]
    drop = _drop(heights, scenes[:, None].expand(s, c), points[:, None], start, xy)
    order = torch.arange(c).expand(s, c)
    # The best of the candidates that lie stably at once: the lowest, unless piles are wanted.
    cost = torch.where(drop.stable, order * 0.02 + drop.height.clamp_min(0), torch.inf)
    cost, stable_pick = cost.min(1)
    # Tilting ones tip until they rest, from the first candidate that started tilted.
    first_tilted = torch.where(tilted, order, c - 1).amin(1)
    pick = torch.where(may_tilt | ~torch.isfinite(cost), first_tilted, stable_pick)
    arange = torch.arange(s)
    rotation, place = start[arange, pick], xy[arange, pick]
    for _ in range(_TIPPINGS):
        state = _drop(heights, scenes, points, rotation, place)
        angle = torch.where(state.stable, 0.0, state.angle)
        shift = state.pivot * (1 - torch.cos(angle)) + state.pivot_depth * torch.sin(angle)
        place = place + shift[:, None] * state.direction
        heading = torch.atan2(state.direction[:, 1], state.direction[:, 0])
        rotation = compose(_about(heading + torch.pi / 2, angle), rotation)
    state = _drop(heights, scenes, points, rotation, place)
    tipped_well = state.stable & (place.abs().amax(1) < REACH)
    fallback = ~tipped_well & torch.isfinite(cost)
    rotation = torch.where(fallback[:, None, None], start[arange, stable_pick], rotation)
    place = torch.where(fallback[:, None], xy[arange, stable_pick], place)
    height = torch.where(fallback, drop.height[arange, stable_pick], state.height)
    return rotation, torch.cat([place, height[:, None]], 1), tipped_well | fallback


@dataclass(frozen=True)
class _Drop:
    """An object fallen straight down on its first contacts."""

    height: Tensor  # of the centre of mass [m]
    stable: Tensor  # the centre of mass is above the hull of the contacts
    direction: Tensor  # (...,2) horizontal unit vector it would tip toward
    pivot: Tensor  # where the tipping axis crosses that direction, from the centre of mass [m]
    pivot_depth: Tensor  # of the axis under the centre of mass [m]
    angle: Tensor  # tipping angle until the next contact [rad]


def _drop(heights: Tensor, scene: Tensor, points: Tensor, rotation: Tensor, xy: Tensor) -> _Drop:
    p = rotate(rotation[..., None, :, :], points)  # (...,P,3) from the centre of mass
    flat = p[..., :2]
    inset = flat * (1 - _INSET / flat.square().sum(-1, keepdim=True).sqrt().clamp_min(_INSET))
    cell = ((inset + xy[..., None, :]) / CELL + GRID / 2).floor().long().clamp(0, GRID - 1)
    ground = heights.view(-1)[(scene[..., None] * GRID + cell[..., 1]) * GRID + cell[..., 0]]
    height = (ground - p[..., 2]).amax(-1)
    gap = p[..., 2] + height[..., None] - ground
    contact = gap < _CONTACT

    angles = torch.arange(_DIRECTIONS) * (2 * torch.pi / _DIRECTIONS)
    fan = torch.stack([torch.cos(angles), torch.sin(angles)], -1)  # (D,2)
    along = flat[..., None, 0] * fan[:, 0] + flat[..., None, 1] * fan[:, 1]  # (...,P,D)
    support = torch.where(contact[..., None], along, -torch.inf).amax(-2)
    least, worst = support.min(-1)
    direction = fan[worst]
    arm = along.gather(-1, worst[..., None, None].expand(*along.shape[:-1], 1))[..., 0]
    lowest = torch.where(contact, p[..., 2], -torch.inf).amax(-1)
    beyond = arm - least[..., None]
    swing = torch.where(beyond > 0.008, torch.atan2(gap, beyond), torch.inf).amin(-1)
    # On an edge or a tip the hull has no width: a few millimetres count as inside.
    # Towers higher than this are no tabletop.
    stable = (least > -0.004) & (height > -0.5) & (height < _HIGHEST)
    return _Drop(height, stable, direction, least, -lowest, swing.clamp(0.0, 0.6))


def _raise_heights(
    heights: Tensor, things: _Things, scenes: Tensor, step: int, rotation: Tensor, position: Tensor, placed: Tensor
) -> None:
    """Adds the tops of the objects just placed to the height map, by rays from above."""
    row = ((things.order == step) & placed[things.scene, step]).nonzero().squeeze(1)
    if not len(row):
        return
    scene = things.scene[row]
    moved = things.primitives.rows(row).moved(rotation[scene, step], position[scene, step])
    corners = moved.corners()[..., :2] / CELL + GRID / 2
    low = corners.amin(1).floor().long().clamp(0, GRID)
    high = (corners.amax(1).ceil().long() + 1).clamp(0, GRID)
    sky = 3.0
    for member, column, line in pixels_in_rectangles(torch.cat([low, high], 1), "cpu"):
        middle = (torch.stack([column, line], -1) + 0.5 - GRID / 2) * CELL
        origin = torch.cat([middle, torch.full_like(middle[:, :1], sky)], 1)
        down = torch.tensor([0.0, 0.0, -1.0]).expand_as(origin)
        top = sky - intersect(moved, member, origin, down)
        cell = (scene[member] * GRID + line) * GRID + column
        heights.view(-1).scatter_reduce_(0, cell, top, "amax")


def _bare_table(layout: Layout) -> Tensor:
    axis = (torch.arange(GRID) + 0.5 - GRID / 2) * CELL
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    half_x, half_y = layout.table_half
    if layout.round_table:
        inside = x * x + y * y < min(half_x, half_y) ** 2
    else:
        inside = (x.abs() < half_x) & (y.abs() < half_y)
    return torch.where(inside, 0.0, _NO_SUPPORT)


def _about(heading: Tensor, angle: Tensor, vertical: bool = False) -> Tensor:
    """Rotation (...,3,3) by `angle` about the horizontal axis at `heading`, or about z."""
    if vertical:
        x, y, z = torch.zeros_like(angle), torch.zeros_like(angle), torch.ones_like(angle)
    else:
        x, y, z = torch.cos(heading), torch.sin(heading), torch.zeros_like(angle)
    c, s = torch.cos(angle), torch.sin(angle)
    k = 1 - c
    rows = [
        c + x * x * k, x * y * k - z * s, x * z * k + y * s,
        y * x * k + z * s, c + y * y * k, y * z * k - x * s,
        z * x * k - y * s, z * y * k + x * s, c + z * z * k,
    ]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def _numbered_parts(scene: Tensor, key: Tensor) -> Tensor:
    """Part numbers from 1 within each scene; `key` ascends with scene and object."""
    unique, number = torch.unique(key, return_inverse=True)
    first = torch.zeros(int(scene.max()) + 1 if len(scene) else 0, dtype=torch.int64)
    first.scatter_reduce_(0, scene, number, "amin", include_self=False)
    return number - first[scene] + 1
