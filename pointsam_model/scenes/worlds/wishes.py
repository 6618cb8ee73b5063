"""Where objects would like to lie: starting poses on, beside and around others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pointsam_model.scenes.solids.primitives import compose
from pointsam_model.scenes.worlds.settling import rotation_about
from pointsam_model.scenes.worlds.things import Things

CANDIDATES = 7  # poses tried for an object
STYLES = ("scattered", "pile", "stack", "row")


@dataclass(frozen=True)
class Wishes:
    """Of s surfaces with at most l objects."""

    style: Tensor  # (s,) int64, rows of STYLES
    spread: Tensor  # (s,) radius of the area that objects aim at [m]
    room: Tensor  # (s,2) half sides of the rectangle in which their middles stay [m]
    tilts: Tensor  # (s,l) which may come to rest tilted


def candidates(
    things: Things,
    wishes: Wishes,
    rows: Tensor,
    step: int,
    uniform: Tensor,
    rotation: Tensor,
    position: Tensor,
    placed: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Starting poses of object `step` of surfaces `rows` (r,), c of them for each.

    uniform (r,c,8) in 0..1 decides; rotation (s,l,3,3), position (s,l,3) [m] and placed (s,l): of
    the objects before. Returns rotation (r,c,3,3), xy (r,c,2) and which start tilted (r,c).
    """
    s, c = uniform.shape[:2]
    style = wishes.style[rows][:, None]
    angle = 2 * torch.pi * uniform[..., 0]
    # Uniform in a disc, or denser in its middle.
    radius = wishes.spread[rows][:, None] * torch.where(
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
    at = rows[:, None], last
    there = placed[at] if step else torch.zeros(s, c, dtype=torch.bool)
    other_xy, other_extent, other_rotation = position[at][..., :2], things.extent[at], rotation[at]
    other_yaw = torch.atan2(other_rotation[..., 1, 0], other_rotation[..., 0, 0])
    own_extent = things.extent[rows, step][:, None]

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
    # On top, off the middle, or just on it: so bowls nest and rings lie around things.
    off_middle = torch.where(uniform[..., 4:5] < 0.6, uniform[..., 5:7] - 0.5, 0.0)
    on = other_xy + off_middle * other_extent[..., :2]

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

    tilted = wishes.tilts[rows, step][:, None] & ~is_beside & ~last_resort & (uniform[..., 4] < 0.7)
    tilt = torch.where(tilted, 0.15 + 1.1 * uniform[..., 6], 0.0)
    about = angle + torch.pi / 2
    limit = wishes.room[rows][:, None]
    xy = torch.maximum(torch.minimum(xy, limit), -limit)
    upright = rotation_about(torch.zeros_like(yaw), yaw, vertical=True)
    return compose(rotation_about(about, tilt), upright), xy, tilted
