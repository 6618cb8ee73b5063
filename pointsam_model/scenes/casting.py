"""Nearest hits of image rays on many primitives of many scenes at once.

Only pixels inside a primitive's bounding rectangle are tested against it; the (primitive, pixel)
pairs of the whole batch are worked through in pieces that stay in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pointsam_model.scenes.primitives import Primitives, intersect

_PAIRS_AT_ONCE = {"cpu": 1 << 17, "cuda": 1 << 23}


def pixels_in_rectangles(rectangles: Tensor, device_type: str) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """All (rectangle row, u, v) of rectangles (n,4) int64 u0, v0, u1, v1 (ends excluded), in pieces."""
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
        yield row, rectangles[row, 0] + inside - row_of_pixels * wide[row], rectangles[row, 1] + row_of_pixels


def nearest_hits(
    primitives: Primitives, scene: Tensor, rectangles: Tensor, rays: Tensor, origin: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Depth (b,h,w), inf where nothing is hit, and primitive row (b,h,w), -1 there.

    scene (n,) int64 gives each primitive's scene; rectangles (n,4) the pixels that may see it;
    rays (b,h,w,3) directions, and depth is in their unit. origin (b,h,w,3) defaults to zero, the
    camera. Of equally near primitives the first row wins.
    """
    b, h, w, _ = rays.shape
    flat = rays.reshape(-1, 3)
    starts = None if origin is None else origin.reshape(-1, 3)
    # Depth (its bits sort as it does while positive) above the row: one minimum gives both.
    nothing = torch.iinfo(torch.int64).max
    key = torch.full((b * h * w,), nothing, device=rays.device)
    for row, u, v in pixels_in_rectangles(rectangles, rays.device.type):
        pixel = (scene[row] * h + v) * w + u
        start = flat.new_zeros(3).expand(len(pixel), 3) if starts is None else starts[pixel]
        t = intersect(primitives, row, start, flat[pixel])
        hit = torch.isfinite(t).nonzero().squeeze(1)
        depth_bits = t[hit].view(torch.int32).to(torch.int64)
        key.scatter_reduce_(0, pixel[hit], (depth_bits << 32) | row[hit], "amin")
    seen = key != nothing
    depth = torch.where(seen, (key >> 32).to(torch.int32).view(torch.float32), torch.inf)
    row = torch.where(seen, key & 0xFFFFFFFF, -1)
    return depth.view(b, h, w), row.view(b, h, w)
