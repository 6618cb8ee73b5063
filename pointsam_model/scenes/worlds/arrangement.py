"""What a scene holds and where: its table, what stands on it to hold things, and the objects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from pointsam_model.scenes.config import TabletopConfig
from pointsam_model.scenes.shapes.catalogue import draw_object
from pointsam_model.scenes.shapes.holders import Holder, crate, shelf
from pointsam_model.scenes.shapes.objects import Piece, moved
from pointsam_model.scenes.solids.primitives import Primitives
from pointsam_model.scenes.worlds.settling import REACH, bare_table, raise_heights, settle
from pointsam_model.scenes.worlds.things import Things, primitives_of
from pointsam_model.scenes.worlds.wishes import CANDIDATES, STYLES, Wishes, candidates

_PARTS = 64  # more than an object has


@dataclass(frozen=True)
class Support:
    """A level plane with objects: the table, a board of a shelf, the floor of a crate."""

    style: str  # one of STYLES
    half: tuple[float, float]  # half sides [m] of what is there
    round_: bool
    room: tuple[float, float]  # half sides [m] of the rectangle in which objects' middles stay
    spread: float  # radius [m] of the area that objects aim at
    objects: list[list[Piece]]
    tilts: list[bool]  # which objects may come to rest tilted
    height: float = 0.0  # m above the table
    headroom: float = 2.0  # m to what is above
    walls: tuple[Piece, ...] = ()  # what else stands on it


@dataclass(frozen=True)
class Layout:
    """What one scene holds before anything is placed."""

    table_half: tuple[float, float]  # m
    round_table: bool
    surfaces: list[Support]
    holder: list[Piece]  # crate or shelf on the table, an object itself; mostly none

    @property
    def objects(self) -> list[list[Piece]]:
        """Of all surfaces, without the holder."""
        return [thing for surface in self.surfaces for thing in surface.objects]


@dataclass(frozen=True)
class Placed:
    """All placed primitives of a batch, in the world (z up, table top at z = 0)."""

    primitives: Primitives
    scene: Tensor  # (n,) int64
    instance: Tensor  # (n,) int64, from 1 in each scene
    part: Tensor  # (n,) int64, from 1 in each scene


def draw_layout(rng: Random, config: TabletopConfig) -> Layout:
    """Table, holder, style and objects of one scene."""
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
    draw = rng.random()
    if draw < config.crate_share:
        holder = crate(rng)
    elif draw < config.crate_share + config.shelf_share:
        holder = shelf(rng)
    else:
        spread = 0.07 * math.sqrt(count) * rng.uniform(0.5, 1.3)
        if style == "scattered":
            spread *= 1.7
        spread = min(spread, REACH, 0.9 * min(table))
        room = min(table[0] - 0.02, REACH), min(table[1] - 0.02, REACH)
        objects, tilts = _draw_objects(rng, count, scale, style, config)
        on_table = Support(style, table, round_table, room, spread, objects, tilts)
        return Layout(table, round_table, [on_table], [])
    half_x, half_y = holder.half
    table = (max(table[0], half_x + 0.1), max(table[1], half_y + 0.1))
    surfaces = [_on_board(rng, holder, k, count, scale, style, config) for k in holder.boards]
    return Layout(table, False, surfaces, holder.pieces)


def _on_board(
    rng: Random,
    holder: Holder,
    board: float,
    count: int,
    scale: float,
    style: str,
    config: TabletopConfig,
) -> Support:
    """A board of a shelf or the floor of a crate, with its share of the objects."""
    shelf = len(holder.boards) > 1
    own = max(1 if shelf else 3, round(count / len(holder.boards)))
    # Shelves are tidy, crates are not.
    style = rng.choice(("row", "row", "scattered", "stack")) if shelf else style
    objects, tilts = _draw_objects(rng, own, scale * rng.uniform(0.5, 0.85), style, config)
    half_x, half_y = holder.half
    inset = 0.03
    room = max(half_x - inset, 0.02), max(half_y - inset, 0.02)
    # What stands on the board: sides and posts, or a crate's walls.
    walls = [moved(p, (0.0, 0.0, -board)) for p in holder.pieces if p.part > 0]
    top = board == holder.boards[-1]
    return Support(
        style,
        (half_x, half_y),
        False,
        room,
        max(room) if shelf else math.hypot(*room) * rng.uniform(0.4, 0.9),
        objects,
        tilts,
        board,
        2.0 if top else holder.headroom,
        tuple(walls),
    )


def _draw_objects(
    rng: Random, count: int, scale: float, style: str, config: TabletopConfig
) -> tuple[list[list[Piece]], list[bool]]:
    objects = [draw_object(rng, scale, config.vessel_share) for _ in range(count)]
    if rng.random() < 0.12:  # the same thing many times
        objects = [objects[0] if rng.random() < 0.7 else thing for thing in objects]
    share = 0.0 if style == "scattered" else config.tilted_share
    return objects, [rng.random() < share for _ in objects]


def arrange(layouts: list[Layout], generators: list[torch.Generator]) -> Placed:
    """Places the objects of each surface one after the other, all surfaces side by side.

    generators: one per scene, on the CPU, where this runs (it is small). Objects that find no
    stable place are left out.
    """
    surfaces = [surface for layout in layouts for surface in layout.surfaces]
    scene_of = torch.tensor([i for i, layout in enumerate(layouts) for _ in layout.surfaces])
    things = Things([surface.objects for surface in surfaces])
    longest = things.longest
    wishes = _wishes(surfaces, longest)
    uniforms = torch.zeros(len(surfaces), longest, CANDIDATES, 8)
    for i, surface in enumerate(surfaces):
        count = len(surface.objects)
        drawn = torch.rand(count, CANDIDATES, 8, generator=generators[int(scene_of[i])])
        uniforms[i, :count] = drawn
    heights = torch.stack([bare_table(surface.half, surface.round_) for surface in surfaces])
    walls = [piece for surface in surfaces for piece in surface.walls]
    counts = torch.tensor([len(surface.walls) for surface in surfaces])
    of_wall = torch.arange(len(surfaces)).repeat_interleave(counts)
    raise_heights(heights, of_wall, primitives_of(walls))

    headroom = torch.tensor([surface.headroom for surface in surfaces])
    rotation = torch.eye(3).repeat(len(surfaces), longest, 1, 1)
    position = torch.zeros(len(surfaces), longest, 3)
    placed = torch.zeros(len(surfaces), longest, dtype=torch.bool)
    for step in range(max(len(surface.objects) for surface in surfaces)):
        rows = torch.tensor([i for i, s in enumerate(surfaces) if len(s.objects) > step])
        points = things.points[rows, step]
        start_rotation, start_xy, tilted = candidates(
            things, wishes, rows, step, uniforms[rows, step], rotation, position, placed
        )
        may_tilt = wishes.tilts[rows, step]
        turn, place, found = settle(
            heights, rows, points, start_rotation, start_xy, may_tilt, tilted
        )
        upward = (turn[:, 2, None] * points).sum(-1).amax(1)
        found = found & (place[:, 2] + upward < headroom[rows])
        rotation[rows, step], position[rows, step], placed[rows, step] = turn, place, found
        row = ((things.order == step) & placed[things.surface, step]).nonzero().squeeze(1)
        surface_ = things.surface[row]
        poses = rotation[surface_, step], position[surface_, step]
        raise_heights(heights, surface_, things.primitives.rows(row).moved(*poses))
    position[..., 2] += torch.tensor([surface.height for surface in surfaces])[:, None]
    return _with_holders(layouts, scene_of, things, rotation, position, placed)


def _wishes(surfaces: Sequence[Support], longest: int) -> Wishes:
    tilts = torch.zeros(len(surfaces), longest, dtype=torch.bool)
    for i, surface in enumerate(surfaces):
        tilts[i, : len(surface.tilts)] = torch.tensor(surface.tilts)
    return Wishes(
        torch.tensor([STYLES.index(surface.style) for surface in surfaces]),
        torch.tensor([surface.spread for surface in surfaces]),
        torch.tensor([surface.room for surface in surfaces]),
        tilts,
    )


def _with_holders(
    layouts: Sequence[Layout],
    scene_of: Tensor,
    things: Things,
    rotation: Tensor,
    position: Tensor,
    placed: Tensor,
) -> Placed:
    """All that was placed, each scene's holder as its first object."""
    longest = placed.shape[1]
    slot = things.surface * longest + things.order
    keep = placed.view(-1)[slot]
    own = things.primitives.moved(rotation.view(-1, 3, 3)[slot], position.view(-1, 3)[slot])
    own, slot = own.rows(keep), slot[keep]
    scene = scene_of[things.surface[keep]]
    held = [(i, piece) for i, layout in enumerate(layouts) for piece in layout.holder]
    holders = primitives_of([piece for _, piece in held])
    holder_scene = torch.tensor([i for i, _ in held], dtype=torch.int64)
    holder_part = torch.tensor([piece.part for _, piece in held], dtype=torch.int64)

    # Objects are numbered through their scene's surfaces, after the holder if there is one.
    first = torch.searchsorted(scene_of, torch.arange(len(layouts))) * longest
    number = placed.view(-1).long().cumsum(0)
    before = number[first] - placed.view(-1)[first].long()
    has_holder = torch.tensor([len(layout.holder) > 0 for layout in layouts]).long()
    instance = number[slot] - before[scene] + has_holder[scene]
    # The holder's parts come before those of the objects in the first slot.
    part = torch.cat(
        [
            (2 * slot + 1) * _PARTS + things.part[keep],
            2 * first[holder_scene] * _PARTS + holder_part,
        ]
    )
    joined = Primitives(
        torch.cat([own.kind, holders.kind]),
        torch.cat([own.size, holders.size]),
        torch.cat([own.rotation, holders.rotation]),
        torch.cat([own.centre, holders.centre]),
    )
    scene = torch.cat([scene, holder_scene])
    instance = torch.cat([instance, torch.ones_like(holder_scene)])
    return Placed(joined, scene, instance, _numbered_parts(scene, part))


def _numbered_parts(scene: Tensor, key: Tensor) -> Tensor:
    """Part numbers from 1 within each scene; `key` ascends with scene and object."""
    _, number = torch.unique(key, return_inverse=True)
    first = torch.zeros(int(scene.max()) + 1 if len(scene) else 0, dtype=torch.int64)
    first.scatter_reduce_(0, scene, number, "amin", include_self=False)
    return number - first[scene] + 1
