"""Objects come to rest: dropped on a height map, tipping until they are supported.

An object is sampled by surface points. It falls straight down until a point touches the height
map of what lies there already; if its centre of mass is not above its contacts it tips about them
until the next point touches, and so on. So boxes lean, bridge and stack as they would.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pointsam_model.scenes.solids.casting import pixels_in_rectangles
from pointsam_model.scenes.solids.primitives import Primitives, compose, intersect

GRID = 160  # cells a side of the height map
CELL = 0.008  # m
REACH = GRID * CELL / 2 - 0.12  # objects' middles stay within this square [m]
_NO_SUPPORT = -10.0  # m
_TIPPINGS = 6
_CONTACT = 0.004  # m; a gap under this is a contact
_INSET = 0.003  # m; points look up the map this much further in, so neighbours may touch
_DIRECTIONS = 12
_HIGHEST = 0.28  # m; no centre of mass comes to rest above this
_SKY = 3.0  # m, from where rays fall


def bare_table(half: tuple[float, float], disc: bool) -> Tensor:
    """Height map (GRID,GRID) [m] of an empty table of half sides `half` [m], or the disc in it."""
    axis = (torch.arange(GRID) + 0.5 - GRID / 2) * CELL
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    square = (x.abs() < half[0]) & (y.abs() < half[1])
    inside = x * x + y * y < min(half) ** 2 if disc else square
    return torch.where(inside, 0.0, _NO_SUPPORT)


def settle(
    heights: Tensor,
    scenes: Tensor,
    points: Tensor,
    start: Tensor,
    xy: Tensor,
    may_tilt: Tensor,
    tilted: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Rest poses: rotation (s,3,3), centre of mass (s,3) [m], and whether there is one (s,).

    heights (b,GRID,GRID) [m]; scenes (s,) which of them each object falls in; points (s,P,3) [m]
    from its centre of mass; start (s,c,3,3) and xy (s,c,2) candidates, of which `tilted` (s,c)
    start tilted; may_tilt (s,): tip from those rather than take one that lies at once.
    """
    s, c = xy.shape[:2]
    drop = _drop(heights, scenes[:, None].expand(s, c), points[:, None], start, xy)
    order = torch.arange(c).expand(s, c)
    # The best of the candidates that lie stably at once: early and low ones.
    cost = torch.where(drop.stable, order * 0.02 + drop.height.clamp_min(0), torch.inf)
    cost, pick = cost.min(1)
    each = torch.arange(s)
    rotation, place, height = start[each, pick], xy[each, pick], drop.height[each, pick]
    found = torch.isfinite(cost)

    # Others tip until they rest, from the first candidate that started tilted.
    tipping = (may_tilt | ~found).nonzero().squeeze(1)
    first = torch.where(tilted, order, c - 1).amin(1)[tipping]
    turned, moved = start[tipping, first], xy[tipping, first]
    for round_ in range(_TIPPINGS + 1):
        state = _drop(heights, scenes[tipping], points[tipping], turned, moved)
        if round_ == _TIPPINGS or not len(tipping):
            break
        angle = torch.where(state.stable, 0.0, state.angle)
        shift = state.pivot * (1 - torch.cos(angle)) + state.pivot_depth * torch.sin(angle)
        moved = moved + shift[:, None] * state.direction
        heading = torch.atan2(state.direction[:, 1], state.direction[:, 0])
        turned = compose(rotation_about(heading + torch.pi / 2, angle), turned)
    rests = state.stable & (moved.abs().amax(1) < REACH)
    tipped = tipping[rests]
    rotation[tipped], place[tipped], height[tipped] = (
        turned[rests],
        moved[rests],
        state.height[rests],
    )
    found[tipped] = True
    return rotation, torch.cat([place, height[:, None]], 1), found


def raise_heights(heights: Tensor, scene: Tensor, resting: Primitives) -> None:
    """Adds the tops of primitives `resting` to the height maps of their scenes, from above."""
    corners = resting.corners()[..., :2] / CELL + GRID / 2
    low = corners.amin(1).floor().long().clamp(0, GRID)
    high = (corners.amax(1).ceil().long() + 1).clamp(0, GRID)
    for member, column, line in pixels_in_rectangles(torch.cat([low, high], 1), "cpu"):
        middle = (torch.stack([column, line], -1) + 0.5 - GRID / 2) * CELL
        origin = torch.cat([middle, torch.full_like(middle[:, :1], _SKY)], 1)
        down = torch.tensor([0.0, 0.0, -1.0]).expand_as(origin)
        top = _SKY - intersect(resting, member, origin, down)
        cell = (scene[member] * GRID + line) * GRID + column
        heights.view(-1).scatter_reduce_(0, cell, top, "amax")


def rotation_about(heading: Tensor, angle: Tensor, vertical: bool = False) -> Tensor:
    """Rotation (...,3,3) by `angle` about the horizontal axis at `heading`, or about z."""
    if vertical:
        x, y, z = torch.zeros_like(angle), torch.zeros_like(angle), torch.ones_like(angle)
    else:
        x, y, z = torch.cos(heading), torch.sin(heading), torch.zeros_like(angle)
    c, s = torch.cos(angle), torch.sin(angle)
    k = 1 - c
    rows = [
        c + x * x * k,
        x * y * k - z * s,
        x * z * k + y * s,
        y * x * k + z * s,
        c + y * y * k,
        y * z * k - x * s,
        z * x * k - y * s,
        z * y * k + x * s,
        c + z * z * k,
    ]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


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
    r = rotation.unsqueeze(-1)
    # Coordinates (...,P) from the centre of mass.
    x, y, z = (
        r[..., k, 0, :] * points[..., 0]
        + r[..., k, 1, :] * points[..., 1]
        + r[..., k, 2, :] * points[..., 2]
        for k in range(3)
    )
    inset = 1 - _INSET / (x * x + y * y).sqrt().clamp_min(_INSET)
    column = _cell(x * inset + xy[..., 0:1])
    line = _cell(y * inset + xy[..., 1:2])
    ground = heights.view(-1)[(scene[..., None] * GRID + line) * GRID + column]
    height, touching = (ground - z).max(-1)
    gap = z + height[..., None] - ground
    contact = gap < _CONTACT

    # How far the contacts reach in each direction; the others stand in for the one that touches.
    angles = torch.arange(_DIRECTIONS) * (2 * torch.pi / _DIRECTIONS)
    fan_x, fan_y = torch.cos(angles)[:, None], torch.sin(angles)[:, None]
    held_x = torch.where(contact, x, x.gather(-1, touching[..., None]))
    held_y = torch.where(contact, y, y.gather(-1, touching[..., None]))
    along = held_x[..., None, :] * fan_x + held_y[..., None, :] * fan_y
    least, worst = along.amax(-1).min(-1)
    direction = torch.stack([torch.cos(angles)[worst], torch.sin(angles)[worst]], -1)
    beyond = x * direction[..., 0:1] + y * direction[..., 1:2] - least[..., None]
    swing = torch.where(beyond > 0.008, torch.atan2(gap, beyond), torch.inf).amin(-1)
    axis_depth = -torch.where(contact, z, -torch.inf).amax(-1)
    # On an edge or a tip the hull has no width: a few millimetres count as inside. Towers higher
    # than the limit are no tabletop.
    stable = (least > -0.004) & (height > -0.5) & (height < _HIGHEST)
    return _Drop(height, stable, direction, least, axis_depth, swing.clamp(0.0, 0.6))


def _cell(position: Tensor) -> Tensor:
    return (position * (1 / CELL) + GRID / 2).long().clamp(0, GRID - 1)
