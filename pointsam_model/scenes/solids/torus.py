"""Rings and arcs of a round tube: handles, hoops, rings.

The tube's middle runs in the plane z = 0 around the origin, over angles up to `half arc` to both
sides of +x; an arc ends in flat faces. Size: ring radius, tube radius, nothing, half arc [rad].
Functions as in `quadrics`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pointsam_model.scenes.solids.quadrics import span

WHOLE = torch.pi
_SAMPLES = 32
_HALVINGS = 7


def hit(o: Tensor, d: Tensor, size: Tensor) -> Tensor:
    t = torch.full_like(size[0], torch.inf)
    reach = size[0] + size[1]
    enter, leave = span(o, d, torch.stack([reach, reach, size[1]]))
    near = ((enter < leave) & (leave > 0)).nonzero().squeeze(1)
    if len(near):
        ends = enter[near].clamp_min(0), leave[near]
        t[near] = _first_change(o[:, near], d[:, near], size[:, near], *ends)
    return t


def _first_change(o: Tensor, d: Tensor, size: Tensor, enter: Tensor, leave: Tensor) -> Tensor:
    """Ray parameter where the depth first changes its sign between `enter` and `leave`."""
    step = (leave - enter) / _SAMPLES
    was_inside = depth(o + enter * d, size) > 0
    started_inside = was_inside
    low = torch.full_like(enter, torch.inf)
    for k in range(1, _SAMPLES + 1):
        is_inside = depth(o + (enter + k * step) * d, size) > 0
        change = (is_inside != was_inside) & torch.isinf(low)
        low = torch.where(change, enter + (k - 1) * step, low)
        was_inside = is_inside
    found = torch.isfinite(low)
    low = torch.where(found, low, 0.0)
    high = low + step
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        before = (depth(o + middle * d, size) > 0) == started_inside
        low, high = torch.where(before, middle, low), torch.where(before, high, middle)
    # The last bit by the secant.
    first, last = depth(o + low * d, size), depth(o + high * d, size)
    share = (first / torch.where(first == last, 1.0, first - last)).clamp(0, 1)
    return torch.where(found, low + share * (high - low), torch.inf)


def normal(local: Tensor, size: Tensor) -> Tensor:
    x, y, z = local
    tube, cut, radius = _distances(local, size)
    outward = 1 - size[0] / radius.clamp_min(1e-9)
    sine, cosine = torch.sin(size[3]), torch.cos(size[3])
    face = torch.stack([-sine, cosine * y.sign(), torch.zeros_like(x)])
    return torch.where(cut > tube, face, torch.stack([x * outward, y * outward, z]))


def area(size: Tensor) -> Tensor:
    ring, tube, _, arc = size
    faces = torch.where(arc < WHOLE, 2 * torch.pi * tube * tube, 0.0)
    return 4 * torch.pi * ring * tube * arc + faces


def sample(uniform: Tensor, size: Tensor, even: bool) -> Tensor:
    """On the tube, not on an arc's end faces."""
    ring, tube, _, arc = size
    along = (2 * uniform[0] - 1) * arc
    around = 2 * torch.pi * uniform[1]
    # There is more surface on the outer side.
    around = around - tube / ring * torch.sin(around)
    radius = ring + tube * torch.cos(around)
    return torch.stack(
        [radius * torch.cos(along), radius * torch.sin(along), tube * torch.sin(around)]
    )


def depth(local: Tensor, size: Tensor) -> Tensor:
    tube, cut, _ = _distances(local, size)
    return -torch.maximum(tube, cut)


def _distances(local: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Signed distance (m,) to the tube, to an arc's end (along the arc), and from the axis."""
    x, y, z = local
    radius = torch.hypot(x, y)
    tube = torch.hypot(radius - size[0], z) - size[1]
    cut = (torch.atan2(y, x).abs() - size[3]) * radius
    return tube, torch.where(size[3] < WHOLE, cut, -torch.inf), radius
