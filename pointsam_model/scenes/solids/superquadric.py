"""Superquadrics: from rounded boxes over ellipsoids to cushions and octahedra.

A point is on the surface where the gauge ((|x/a|^(2/h) + |y/b|^(2/h))^(h/v) + |z/c|^(2/v))^(v/2)
is 1, with exponents v (vertical) and h (horizontal): 0.1 nearly a box, 1 an ellipsoid, 2 an
octahedron. (Barr, Superquadrics and angle-preserving transformations, 1981.) Up to 2 the gauge is
a norm, so along a ray it is convex: Newton's steps from outside approach the first hit from one
side and never pass it.

Functions as in `quadrics`; the fourth number of a size is `packed(v, h)`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pointsam_model.scenes.solids.quadrics import sample_box, span

LEAST, MOST = 0.1, 2.0  # exponents
_STEPS = 9
_ON_SURFACE = 2e-3  # gauge; a ray that comes no nearer than this misses
_TINY = 1e-9
_GRID = 5  # cells a side of an octant's faces, for the area


def packed(vertical: float, horizontal: float) -> float:
    """Both exponents, 0.1 to 2, in one number: hundredths of one, quarters of the other."""
    return round(100 * vertical) + horizontal / 4


def hit(o: Tensor, d: Tensor, size: Tensor) -> Tensor:
    t = torch.full_like(size[0], torch.inf)
    enter, leave = span(o, d, size[:3])
    # Only rays that meet the bounding box are worth the powers.
    near = ((enter < leave) & (leave > 0)).nonzero().squeeze(1)
    if len(near):
        ends = enter[near].clamp_min(0), leave[near]
        t[near] = _between(o[:, near], d[:, near], size[:, near], *ends)
    return t


def _between(o: Tensor, d: Tensor, size: Tensor, enter: Tensor, leave: Tensor) -> Tensor:
    """First hit at ray parameters from `enter` to `leave`, the ends of the bounding box."""
    value, _ = _along(o, d, size, enter)
    # A ray from inside finds its way out from beyond it, backwards.
    t = torch.where((enter <= 0) & (value < 0), leave, enter)
    for _ in range(_STEPS):
        value, slope = _along(o, d, size, t)
        step = value / torch.where(slope.abs() < _TINY, torch.inf, slope)
        t = t - torch.where(value > 0, step, 0.0)
    value, _ = _along(o, d, size, t)
    # Past its nearest approach a ray that misses is sent back, out of the box.
    found = (value < _ON_SURFACE) & (t >= enter) & (t > 0)
    return torch.where(found, t, torch.inf)


def _along(o: Tensor, d: Tensor, size: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Gauge minus 1 at o + t d and its slope along the ray."""
    gauge, gradient = _gauge(o + t * d, size)
    return gauge - 1, (gradient * d).sum(0)


def normal(local: Tensor, size: Tensor) -> Tensor:
    return _gauge(local, size)[1]


def area(size: Tensor) -> Tensor:
    """By squares of an octant's surface, as seen through the faces of its box.

    In float64: another batch may add in another order, which float32 would show.
    """
    size = size.double()
    edge = torch.linspace(0, 1, _GRID + 1, dtype=size.dtype, device=size.device)
    u, v = (x.flatten() for x in torch.meshgrid(edge, edge, indexing="ij"))
    one = torch.ones_like(u)
    total = torch.zeros_like(size[0])
    for face in ((one, u, v), (u, one, v), (u, v, one)):
        corners = torch.stack(face)[:, :, None] * size[:3, None]
        sizes = size[:, None].repeat(1, len(u), 1)
        p = (corners / _gauge(corners, sizes)[0]).unflatten(1, (_GRID + 1, _GRID + 1))
        across = p[:, 1:, 1:] - p[:, :-1, :-1]
        along = p[:, 1:, :-1] - p[:, :-1, 1:]
        total = total + torch.linalg.cross(across, along, dim=0).norm(dim=0).sum((0, 1)) / 2
    return (8 * total).float()


def sample(uniform: Tensor, size: Tensor, even: bool) -> Tensor:
    """Points of its box, drawn in toward the middle: only nearly even."""
    on_box = sample_box(uniform, size, True)
    return on_box / _gauge(on_box, size)[0]


def depth(local: Tensor, size: Tensor) -> Tensor:
    return (1 - _gauge(local, size)[0]) * size[:3].amin(0)


def _gauge(local: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Gauge (m,) and its gradient (3,m)."""
    vertical = (size[3].floor() / 100).clamp(LEAST, MOST)
    horizontal = ((size[3] - size[3].floor()) * 4).clamp(LEAST, MOST)
    p, q = 2 / horizontal, 2 / vertical
    x, y, z = (local.abs() / size[:3]).clamp_min(1e-6)
    # Divided by the largest no power can overflow or vanish: the gauge is linear in scale.
    largest = torch.maximum(torch.maximum(x, y), z)
    x, y, z = x / largest, y / largest, z / largest
    x_power, y_power, z_power = x**p, y**p, z**q
    flat = (x_power + y_power).clamp_min(1e-30)
    disc = flat ** (q / p)
    total = disc + z_power
    gauge = total ** (1 / q)
    pull = gauge / total
    rim = pull * disc / flat
    gradient = torch.stack([rim * x_power / x, rim * y_power / y, pull * z_power / z])
    return gauge * largest, gradient * local.sign() / size[:3]
