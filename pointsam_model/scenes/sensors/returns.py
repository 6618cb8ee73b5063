"""Where rays end: at the first solid, or somewhere among leaves on the way to it."""

from __future__ import annotations

import torch
from torch import Tensor

from pointsam_model.scenes.solids.casting import nearest_hits
from pointsam_model.scenes.solids.primitives import Primitives

_THROUGH = 0.35  # share of rays that find a gap in a crown


def first_returns(
    seen: Primitives,
    scene: Tensor,
    leaves: Tensor,
    index: Tensor,
    rectangles: Tensor,
    rays: Tensor,
    draws: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """`nearest_hits` through leaves: ray parameter and primitive row, both (b,h,w).

    index (k,) and rectangles (k,4): which primitive may be seen in which pixels; a primitive may
    have several rectangles. leaves (n,) [m]: see `world.Material`. draws (b,2,h,w) uniform, None
    where nothing has leaves.
    """
    leafy = leaves > 0
    if draws is None:
        return _cast(seen, scene, index, rectangles, rays)
    own = leafy[index]
    solid_t, solid_row = _cast(seen, scene, index[~own], rectangles[~own], rays)
    t, row = _cast(seen, scene, index[own], rectangles[own], rays)
    at = row.clamp_min(0)
    depth = -leaves[at] * draws[:, 0].clamp_min(1e-6).log()
    # Never out of the far side.
    deepest = 0.8 * seen.half_extent().amin(1)[at]
    t = t + torch.minimum(depth, deepest) / rays.square().sum(1).sqrt()
    shown = (row >= 0) & (t < solid_t) & (draws[:, 1] >= _THROUGH)
    return torch.where(shown, t, solid_t), torch.where(shown, row, solid_row)


def _cast(
    seen: Primitives, scene: Tensor, index: Tensor, rectangles: Tensor, rays: Tensor
) -> tuple[Tensor, Tensor]:
    t, place = nearest_hits(seen.rows(index), scene[index], rectangles, rays)
    if not len(index):
        return t, place
    return t, torch.where(place >= 0, index[place.clamp_min(0)], -1)
