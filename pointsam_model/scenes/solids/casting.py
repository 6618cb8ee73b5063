"""Nearest hits of image rays on many primitives of many scenes at once.

Only pixels inside a primitive's bounding rectangle are tested against it; the (primitive, pixel)
pairs of the whole batch are worked through in pieces that stay in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pointsam_model.scenes.solids.primitives import (
    KINDS,
    Primitives,
    intersect_local,
    local_direction,
)

_PAIRS_AT_ONCE = {"cpu": 1 << 17, "cuda": 1 << 23}


def pixels_in_rectangles(
    rectangles: Tensor, device_type: str
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """All (rectangle row, u, v), in pieces, of rectangles (n,4) u0, v0, u1, v1 (ends excluded)."""
    wide = (rectangles[:, 2] - rectangles[:, 0]).clamp_min(0)
    high = (rectangles[:, 3] - rectangles[:, 1]).clamp_min(0)
    counts = torch.where(high > 0, wide, 0) * high
    ends = counts.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    step = _PAIRS_AT_ONCE["cpu" if device_type == "cpu" else "cuda"]
    for first in range(0, total, step):
        pair = torch.arange(first, min(first + step, total), device=rectangles.device)
        row = torch.searchsorted(ends, pair, right=True)
        inside = pair - (ends - counts)[row]
        row_of_pixels = torch.div(inside, wide[row], rounding_mode="floor")
        yield (
            row,
            rectangles[row, 0] + inside - row_of_pixels * wide[row],
            rectangles[row, 1] + row_of_pixels,
        )


def nearest_hits(
    primitives: Primitives, scene: Tensor, rectangles: Tensor, rays: Tensor
) -> tuple[Tensor, Tensor]:
    """Depth (b,h,w), inf where nothing is hit, and primitive row (b,h,w), -1 there.

    Rays start at the origin, the camera: rays (b,3,h,w) are directions, and depth is in their
    unit. scene (n,) int64 gives each primitive's scene; rectangles (n,4) the pixels that may see
    it. Of equally near primitives the first row wins.
    """
    b, _, h, w = rays.shape
    directions = rays.transpose(0, 1).reshape(3, -1)
    sizes = primitives.size.t()
    rows = torch.arange(len(primitives), device=rays.device)
    origins = local_direction(primitives, rows, -primitives.centre.t())
    # Depth (its bits sort as it does while positive) above the row: one minimum gives both.
    nothing = torch.iinfo(torch.int64).max
    key = torch.full((b * h * w,), nothing, device=rays.device)
    for kind in KINDS:
        members = (primitives.kind == kind).nonzero().squeeze(1)
        for member, u, v in pixels_in_rectangles(rectangles[members], rays.device.type):
            row = members[member]
            pixel = (scene[row] * h + v) * w + u
            local = local_direction(primitives, row, directions[:, pixel])
            t = intersect_local(kind, origins[:, row], local, sizes[:, row])
            hit = torch.isfinite(t).nonzero().squeeze(1)
            depth_bits = t[hit].view(torch.int32).to(torch.int64)
            key.scatter_reduce_(0, pixel[hit], (depth_bits << 32) | row[hit], "amin")
    seen = key != nothing
    depth = torch.where(seen, (key >> 32).to(torch.int32).view(torch.float32), torch.inf)
    row = torch.where(seen, key & 0xFFFFFFFF, -1)
    return depth.view(b, h, w), row.view(b, h, w)
