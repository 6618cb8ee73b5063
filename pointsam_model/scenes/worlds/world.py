"""What sensors look at: placed primitives with their labels, looks and lights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import torch
from torch import Tensor

from pointsam_model.scenes.config import AppearanceConfig
from pointsam_model.scenes.shapes.objects import Piece, Vector
from pointsam_model.scenes.solids.primitives import Primitives, rotate
from pointsam_model.scenes.worlds.appearance import Light, Look, draw_looks
from pointsam_model.scenes.worlds.settling import rotation_about
from pointsam_model.scenes.worlds.things import primitives_of


@dataclass(frozen=True)
class Material:
    """What a part is made of, as far as rays care."""

    leaves: float = 0.0  # mean depth that rays enter before they meet a leaf [m]; 0: solid
    relief: float = 0.0  # height of its bumps [m]
    lost: float = 0.0  # share of rays that never come back, as on glass


SOLID = Material()
GLASS = Material(lost=0.8)


@dataclass(frozen=True)
class Thing:
    """An object, or a piece of background, set up in the world.

    Attributes:
        pieces: in its own coordinate frame, z up.
        position: of that frame's origin in the world [m].
        yaw: about the world's z [rad].
        background: belongs to no instance, as ground and walls.
        plant: a tree or bush, which some annotate as objects and most as background.
        surfaces: of the parts that are not plain and solid.
    """

    pieces: Sequence[Piece]
    position: Vector
    yaw: float = 0.0
    background: bool = False
    plant: bool = False
    surfaces: Mapping[int, Material] = field(default_factory=dict)

    def part_numbers(self) -> list[int]:
        """Its parts, ascending."""
        return sorted({piece.part for piece in self.pieces})


@dataclass(frozen=True)
class World:
    """Placed primitives of a batch of b scenes, scene by scene; z up, metres."""

    primitives: Primitives
    scene: Tensor  # (n,) int64
    instance: Tensor  # (n,) int64, 0 for the background, from 1 in each scene
    part: Tensor  # (n,) int64, 0 for the background, from 1 in each scene
    looks: Tensor  # (n,15) rows of `Look`
    lights: Tensor  # (b,14) rows of `Light`
    leaves: Tensor  # (n,) see `Material`
    relief: Tensor  # (n,)

    def to(self, device: torch.device) -> World:
        """The same on another device."""
        solids = self.primitives
        moved = Primitives(
            solids.kind.to(device),
            solids.size.to(device),
            solids.rotation.to(device),
            solids.centre.to(device),
        )
        names = ("scene", "instance", "part", "looks", "lights", "leaves", "relief")
        return World(moved, **{name: getattr(self, name).to(device) for name in names})

    def seen_from(self, rotation: Tensor, position: Tensor) -> Primitives:
        """The primitives in the coordinate frames of sensors, one a scene.

        rotation (b,3,3) world to sensor, position (b,3) [m] of the sensors in the world.
        """
        turn = rotation[self.scene]
        return self.primitives.moved(turn, rotate(turn, -position[self.scene]))

    def repeated(self, times: int) -> World:
        """One scene as `times` equal ones, for as many views of it."""
        n = len(self.primitives)
        rows = torch.arange(n).repeat(times)
        return replace(
            self,
            primitives=self.primitives.rows(rows),
            scene=torch.arange(times).repeat_interleave(n),
            lights=self.lights.expand(times, -1),
            **{
                name: getattr(self, name)[rows]
                for name in ("instance", "part", "looks", "leaves", "relief")
            },
        )

    def only(self, scene: int) -> World:
        """One scene of the batch."""
        rows = (self.scene == scene).nonzero().squeeze(1)
        return replace(
            self,
            primitives=self.primitives.rows(rows),
            scene=torch.zeros(len(rows), dtype=torch.int64),
            lights=self.lights[scene : scene + 1],
            **{
                name: getattr(self, name)[rows]
                for name in ("instance", "part", "looks", "leaves", "relief")
            },
        )


def dress(
    rng: Random, things: Sequence[Thing], config: AppearanceConfig, table: bool = False
) -> list[list[Look]]:
    """Looks of each thing's parts; the first background is the floor, the others are walls.

    table: the first background is a table instead, the second the floor.
    """
    counts = [len(thing.part_numbers()) for thing in things if not thing.background]
    looks, background = draw_looks(rng, counts, config)
    dressed: list[list[Look]] = []
    walls = 0
    for thing in things:
        count = len(thing.part_numbers())
        if thing.background:
            dressed.append([background[min(walls + (not table), 2)]] * count)
            walls += 1
        else:
            dressed.append(looks[:count])
            looks = looks[count:]
    return dressed


def build_world(things: Sequence[Thing], looks: Sequence[Sequence[Look]], light: Light) -> World:
    """A world of one scene.

    looks: of each thing, one for each of its parts in ascending order.
    """
    pieces: list[Piece] = []
    owner: list[int] = []
    instance, part, look_rows, leaves, relief = [], [], [], [], []
    instances = parts = 0
    for number, (thing, own) in enumerate(zip(things, looks, strict=True)):
        order = {number: place for place, number in enumerate(thing.part_numbers())}
        instances += not thing.background
        rows = [look.row() for look in own]
        for piece in thing.pieces:
            pieces.append(piece)
            owner.append(number)
            instance.append(0 if thing.background else instances)
            part.append(0 if thing.background else parts + order[piece.part] + 1)
            surface = thing.surfaces.get(piece.part, SOLID)
            row = rows[order[piece.part]]
            look_rows.append([*row[:-1], max(row[-1], surface.lost)])
            leaves.append(surface.leaves)
            relief.append(surface.relief)
        parts += 0 if thing.background else len(order)
    yaw = torch.tensor([thing.yaw for thing in things])[owner]
    position = torch.tensor([thing.position for thing in things])[owner]
    stand = rotation_about(torch.zeros_like(yaw), yaw, vertical=True)
    return World(
        primitives_of(pieces).moved(stand, position),
        torch.zeros(len(pieces), dtype=torch.int64),
        torch.tensor(instance),
        torch.tensor(part),
        torch.tensor(look_rows),
        torch.tensor([light.row()]),
        torch.tensor(leaves),
        torch.tensor(relief),
    )


def bounds(
    objects: Sequence[Sequence[Piece]],
) -> list[tuple[Vector, Vector]]:
    """Lowest and highest coordinates of each object's pieces, in its own frame [m]."""
    if not objects:
        return []
    pieces = [piece for own in objects for piece in own]
    owner = torch.tensor([k for k, own in enumerate(objects) for _ in own])
    corners = primitives_of(pieces).corners()
    low, high = torch.full((len(objects), 3), torch.inf), torch.full((len(objects), 3), -torch.inf)
    index = owner[:, None].expand(-1, 3)
    low.scatter_reduce_(0, index, corners.amin(1), "amin")
    high.scatter_reduce_(0, index, corners.amax(1), "amax")
    return [
        (tuple(a), tuple(b))  # type: ignore[misc]
        for a, b in zip(low.tolist(), high.tolist(), strict=True)
    ]
