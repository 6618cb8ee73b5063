"""What a scene holds and where: its objects, its table, and wishes where each object lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from pointsam_model.scenes.catalogue import draw_object
from pointsam_model.scenes.config import SceneConfig
from pointsam_model.scenes.objects import Piece
from pointsam_model.scenes.primitives import Primitives, areas, compose, sample_surface
from pointsam_model.scenes.settling import (
    REACH,
    bare_table,
    raise_heights,
    rotation_about,
    settle,
)

_POINTS = 384  # surface points of an object
_CANDIDATES = 7  # poses tried for an object


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
    heights = torch.stack([bare_table(layout.table_half, layout.round_table) for layout in layouts])
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
        found = settle(
            heights, scenes, points, start_rotation, start_xy, things.tilts[scenes, step], tilted
        )
        rotation[scenes, step], position[scenes, step], placed[scenes, step] = found
        row = ((things.order == step) & placed[things.scene, step]).nonzero().squeeze(1)
        scene = things.scene[row]
        poses = rotation[scene, step], position[scene, step]
        raise_heights(heights, scene, things.primitives.rows(row).moved(*poses))

    object_row = things.scene * longest + things.order
    keep = placed.view(-1)[object_row]
    moved = things.primitives.moved(
        rotation.view(-1, 3, 3)[object_row], position.view(-1, 3)[object_row]
    ).rows(keep)
    instance = placed.long().cumsum(1).view(-1)[object_row][keep]
    scene = things.scene[keep]
    return Placed(moved, scene, instance, _numbered_parts(scene, things.part_key[keep]))


class _Things:
    """Objects of the batch: primitives about each one's centre of mass, and sampled points."""

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
        mass_centre = (
            torch.zeros(slots, 3, dtype=torch.float64).index_add_(
                0, owner, area[:, None] * raw.centre.double()
            )
            / total.clamp_min(1e-12)[:, None]
        )
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
    things: _Things,
    scenes: Tensor,
    step: int,
    uniform: Tensor,
    rotation: Tensor,
    position: Tensor,
    placed: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Starting poses: rotation (s,c,3,3), xy (s,c,2), and which of them start tilted (s,c)."""
    s, c = uniform.shape[:2]
    style = things.style[scenes][:, None]
    half = things.table_half[scenes][:, None]
    angle = 2 * torch.pi * uniform[..., 0]
    # Uniform in a disc, or denser in its middle.
    radius = things.spread[scenes][:, None] * torch.where(
        style == 1, uniform[..., 1], uniform[..., 1].sqrt()
    )
    # The last two look for a free place, farther out.
    last_resort = torch.arange(c) >= c - 2
    radius = torch.where(last_resort, radius * 1.3 + 0.1 * uniform[..., 6], radius)
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
    reach = (
        reach
        + own_extent.expand(s, c, 3).gather(-1, axis[..., None])[..., 0]
        + 0.003 * uniform[..., 6]
    )
    heading = other_yaw + axis * (torch.pi / 2) + torch.where(side < 2, 0.0, torch.pi)
    toward = torch.stack([torch.cos(heading), torch.sin(heading)], -1)
    beside = other_xy + toward * reach[..., None]
    # On top, off the middle.
    on = other_xy + (uniform[..., 5:7] - 0.5) * other_extent[..., :2]

    wish = torch.where(last_resort, 1.0, uniform[..., 7])
    beside_share = torch.tensor([0.10, 0.20, 0.15, 0.80])[style]
    on_share = torch.tensor([0.03, 0.20, 0.70, 0.05])[style]
    is_beside = there & (wish < beside_share)
    is_on = there & (wish >= beside_share) & (wish < beside_share + on_share)
    xy = torch.where(is_beside[..., None], beside, torch.where(is_on[..., None], on, free))
    yaw = torch.where(is_beside, other_yaw, yaw)
    aligned = is_on & (uniform[..., 2] < 0.5)
    yaw = torch.where(aligned, other_yaw + 0.3 * (uniform[..., 2] - 0.25), yaw)
    # Each fifth object of a loose candidate stands parallel to the table.
    yaw = torch.where(
        ~is_beside & ~is_on & (uniform[..., 2] < 0.2), torch.pi / 2 * (uniform[..., 2] < 0.1), yaw
    )

    tilted = (
        things.tilts[scenes, step][:, None] & ~is_beside & ~last_resort & (uniform[..., 4] < 0.7)
    )
    tilt = torch.where(tilted, 0.15 + 1.1 * uniform[..., 6], 0.0)
    about = angle + torch.pi / 2
    limit = torch.minimum(half - 0.02, torch.tensor(REACH))
    xy = torch.maximum(torch.minimum(xy, limit), -limit)
    upright = rotation_about(torch.zeros_like(yaw), yaw, vertical=True)
    return compose(rotation_about(about, tilt), upright), xy, tilted


def _numbered_parts(scene: Tensor, key: Tensor) -> Tensor:
    """Part numbers from 1 within each scene; `key` ascends with scene and object."""
    _, number = torch.unique(key, return_inverse=True)
    first = torch.zeros(int(scene.max()) + 1 if len(scene) else 0, dtype=torch.int64)
    first.scatter_reduce_(0, scene, number, "amin", include_self=False)
    return number - first[scene] + 1
