"""Boxes, frusta, ellipsoids and capsules: rays, normals, areas, points on them, what is inside.

Each function takes coordinates first, in the primitive's own frame: origins, directions and points
(3,m), size (4,m) as `primitives` lists it. `hit_*` give the first positive ray parameter (m,), inf
for a miss; `normal_*` outward normals (3,m) of any length; `area_*` areas (m,) [m^2]; `sample_*`
surface points (3,m) from uniform numbers (3,m); `depth_*` how far inside a point is (m,) [m], to
first order, negative outside and for shells, which have no inside.
"""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = 1e-9


def hit_box(o: Tensor, d: Tensor, size: Tensor) -> Tensor:
    enter, leave = span(o, d, size[:3])
    t = torch.where(enter > 0, enter, leave)
    return torch.where((enter <= leave) & (leave > 0), t, torch.inf)


def span(o: Tensor, d: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """Ray parameters between which the whole line is in the box of half sides (3,m)."""
    inverse = 1.0 / torch.where(d.abs() < _TINY, _TINY, d)
    middle, reach = -o * inverse, half * inverse.abs()
    return (middle - reach).amax(0), (middle + reach).amin(0)


def hit_frustum(o: Tensor, d: Tensor, size: Tensor) -> Tensor:
    lower, upper, half, caps = size
    slope = (upper - lower) / (2 * half)
    radius = 0.5 * (lower + upper) + slope * o[2]
    rate = slope * d[2]
    a = d[0] * d[0] + d[1] * d[1] - rate * rate
    b = o[0] * d[0] + o[1] * d[1] - rate * radius
    c = o[0] * o[0] + o[1] * o[1] - radius * radius
    t = torch.full_like(a, torch.inf)
    for root in _roots(a, b, c):
        z = o[2] + root * d[2]
        t = torch.minimum(t, torch.where((root > 0) & (z.abs() <= half), root, torch.inf))
    dz = torch.where(d[2].abs() < _TINY, _TINY, d[2])
    for sign, limit, present in ((-1.0, lower, caps % 2 >= 1), (1.0, upper, caps >= 2)):
        root = (sign * half - o[2]) / dz
        x, y = o[0] + root * d[0], o[1] + root * d[1]
        hit = present & (root > 0) & (x * x + y * y <= limit * limit)
        t = torch.minimum(t, torch.where(hit, root, torch.inf))
    return t


def hit_ellipsoid(o: Tensor, d: Tensor, size: Tensor) -> Tensor:
    scale = 1.0 / size[:3]
    clip = size[3]
    o, d = o * scale, d * scale
    t = torch.full_like(clip, torch.inf)
    for root in _roots((d * d).sum(0), (o * d).sum(0), (o * o).sum(0) - 1.0):
        hit = (root > 0) & (o[2] + root * d[2] <= clip)
        t = torch.minimum(t, torch.where(hit, root, torch.inf))
    return t


def hit_capsule(o: Tensor, d: Tensor, size: Tensor) -> Tensor:
    radius, half = size[0], size[1]
    squared = radius * radius
    flat = o[0] * o[0] + o[1] * o[1] - squared
    a = d[0] * d[0] + d[1] * d[1]
    b = o[0] * d[0] + o[1] * d[1]
    t = torch.full_like(a, torch.inf)
    for root in _roots(a, b, flat):
        hit = (root > 0) & ((o[2] + root * d[2]).abs() <= half)
        t = torch.minimum(t, torch.where(hit, root, torch.inf))
    a = a + d[2] * d[2]
    for sign in (-1.0, 1.0):
        z = o[2] - sign * half
        for root in _roots(a, b + z * d[2], flat + z * z):
            # Only the outer half of each ball belongs to the surface.
            outside = sign * (o[2] + root * d[2]) >= half
            t = torch.minimum(t, torch.where((root > 0) & outside, root, torch.inf))
    return t


def _roots(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Both roots of a t^2 + 2 b t + c = 0 without cancellation; inf where there is none."""
    discriminant = b * b - a * c
    q = -(b + torch.copysign(discriminant.clamp_min(0).sqrt(), b))
    real = discriminant >= 0
    first = torch.where(real & (a.abs() > _TINY), q / a, torch.inf)
    second = torch.where(real & (q.abs() > 0), c / q, torch.inf)
    return first, second


def normal_box(local: Tensor, size: Tensor) -> Tensor:
    """Along the axis on whose face the point lies."""
    outside = local.abs() - size[:3]
    return torch.where(outside == outside.amax(0), local.sign(), 0.0)


def normal_frustum(local: Tensor, size: Tensor) -> Tensor:
    """Of a cap, or of the side with its slope, whichever is nearer."""
    x, y, z = local
    lower, upper, half, _ = size
    slope = (upper - lower) / (2 * half)
    radius = torch.hypot(x, y)
    off_side = (radius - 0.5 * (lower + upper) - slope * z).abs()
    on_cap = (half - z.abs()).abs() < off_side
    zero = torch.zeros_like(x)
    cap = torch.stack([zero, zero, z.sign()])
    return torch.where(on_cap, cap, torch.stack([x, y, -slope * radius]))


def normal_ellipsoid(local: Tensor, size: Tensor) -> Tensor:
    return local / size[:3].square()


def normal_capsule(local: Tensor, size: Tensor) -> Tensor:
    x, y, z = local
    return torch.stack([x, y, z - torch.minimum(torch.maximum(z, -size[1]), size[1])])


def area_box(size: Tensor) -> Tensor:
    a, b, c, _ = size
    return 8 * (a * b + b * c + a * c)


def area_frustum(size: Tensor) -> Tensor:
    """With both caps, whether they are there or not."""
    lower, upper, half, _ = size
    side = (lower + upper) * torch.hypot(2 * half, lower - upper)
    return torch.pi * (side + lower * lower + upper * upper)


def area_ellipsoid(size: Tensor) -> Tensor:
    """Approximate, and of the whole: a clip is not counted."""
    a, b, c, _ = size
    return 4 * torch.pi * (a * b + b * c + a * c) / 3


def area_capsule(size: Tensor) -> Tensor:
    radius, half = size[0], size[1]
    return 4 * torch.pi * radius * (radius + half)


def sample_box(uniform: Tensor, size: Tensor, even: bool) -> Tensor:
    # Pushing 15 % of the samples over the edge and clamping puts them onto it.
    push = 1.0 if even else 1.18
    a, b, c, _ = size
    u, v, w = uniform
    su, sv = ((2 * u - 1) * push).clamp(-1, 1), ((2 * v - 1) * push).clamp(-1, 1)
    xy, yz, xz = a * b, b * c, a * c
    pick = w * (xy + yz + xz)
    on_z, on_x = pick < xy, pick < xy + yz
    share = torch.where(on_z, pick / xy, torch.where(on_x, (pick - xy) / yz, (pick - xy - yz) / xz))
    sign = torch.where(share < 0.5, -1.0, 1.0)
    x = torch.where(on_z | ~on_x, su * a, sign * a)
    y = torch.where(on_z, sv * b, torch.where(on_x, su * b, sign * b))
    z = torch.where(on_z, sign * c, sv * c)
    return torch.stack([x, y, z])


def sample_frustum(uniform: Tensor, size: Tensor, even: bool) -> Tensor:
    """On both caps, for an open one is closed by what stands in it; `even`: only on those there."""
    lower, upper, half, caps = size
    u, v, w = uniform
    disc_below, disc_above = lower * lower, upper * upper
    if even:
        disc_below = torch.where(caps % 2 >= 1, disc_below, 0.0)
        disc_above = torch.where(caps >= 2, disc_above, 0.0)
    side = (lower + upper) * torch.hypot(2 * half, lower - upper)
    pick = w * (side + disc_below + disc_above)
    on_side, on_lower = pick < side, pick < side + disc_below
    along = ((2 * v - 1) * (1.0 if even else 1.18)).clamp(-1, 1)
    ring = (v.sqrt() * (1.0 if even else 1.1)).clamp(max=1)
    wall = 0.5 * (lower + upper) + 0.5 * (upper - lower) * along
    radius = torch.where(on_side, wall, torch.where(on_lower, lower, upper) * ring)
    z = torch.where(on_side, along * half, torch.where(on_lower, -half, half))
    angle = 2 * torch.pi * u
    return torch.stack([radius * torch.cos(angle), radius * torch.sin(angle), z])


def sample_ellipsoid(uniform: Tensor, size: Tensor, even: bool) -> Tensor:
    """Evenly on the sphere that is then stretched."""
    a, b, c, clip = size
    height = -1 + uniform[1] * (1 + clip)
    level = (1 - height * height).clamp_min(0).sqrt()
    angle = 2 * torch.pi * uniform[0]
    return torch.stack([a * level * torch.cos(angle), b * level * torch.sin(angle), c * height])


def sample_capsule(uniform: Tensor, size: Tensor, even: bool) -> Tensor:
    """Half of the samples on the ends; `even`: by area."""
    radius, half, _, _ = size
    u, v, w = uniform
    ends = radius / (radius + half) if even else torch.full_like(radius, 0.5)
    on_end = w < ends
    height = 2 * v - 1
    level = torch.where(on_end, (1 - height * height).clamp_min(0).sqrt(), 1.0)
    along = torch.where(on_end, height.sign(), 2 * (w - ends) / (1 - ends) - 1) * half
    # Between the ends only the cylinder's wall is on the surface.
    z = along + torch.where(on_end, height * radius, 0.0)
    angle = 2 * torch.pi * u
    return torch.stack([radius * level * torch.cos(angle), radius * level * torch.sin(angle), z])


def depth_box(local: Tensor, size: Tensor) -> Tensor:
    return (size[:3] - local.abs()).amin(0)


def depth_frustum(local: Tensor, size: Tensor) -> Tensor:
    x, y, z = local
    lower, upper, half, caps = size
    wall = lower + (upper - lower) * (z + half) / (2 * half)
    inside = torch.minimum(wall - torch.hypot(x, y), half - z.abs())
    return torch.where(caps == 3, inside, -torch.inf)


def depth_ellipsoid(local: Tensor, size: Tensor) -> Tensor:
    axes = size[:3]
    inside = (1 - (local / axes).square().sum(0).sqrt()) * axes.amin(0)
    return torch.where(size[3] >= 1, inside, -torch.inf)


def depth_capsule(local: Tensor, size: Tensor) -> Tensor:
    return size[0] - normal_capsule(local, size).square().sum(0).sqrt()
