"""Solids and shells with an analytic ray intersection, normal and surface sampling.

All live in their own coordinate frame, centred on the origin, axis along z:

| kind      | size                                                                       |
|-----------|----------------------------------------------------------------------------|
| BOX       | half sides x, y, z                                                         |
| FRUSTUM   | radius at -z, radius at +z, half height, caps (1 below, 2 above, 3 both)   |
| ELLIPSOID | half axes x, y, z, clip: only z <= clip * half axis is there (1: all)      |
| CAPSULE   | radius, half length of the axis                                            |

A frustum without a cap and a clipped ellipsoid are thin shells, seen from both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BOX, FRUSTUM, ELLIPSOID, CAPSULE = range(4)
_TINY = 1e-9


@dataclass(frozen=True)
class Primitives:
    """Rows of primitives: kind (n,) int64, size (n,4) [m], rotation (n,3,3), centre (n,3) [m].

    `rotation` takes vectors from the primitive's coordinate frame to the outer one.
    """

    kind: Tensor
    size: Tensor
    rotation: Tensor
    centre: Tensor

    def __len__(self) -> int:
        return len(self.kind)

    def rows(self, index: Tensor) -> Primitives:
        """The primitives at `index` (int64 rows or a boolean mask)."""
        return Primitives(
            self.kind[index], self.size[index], self.rotation[index], self.centre[index]
        )

    def moved(self, rotation: Tensor, translation: Tensor) -> Primitives:
        """All in an outer frame: rotation (n,3,3) or (3,3), translation (n,3) or (3,) [m]."""
        return Primitives(
            self.kind,
            self.size,
            compose(rotation, self.rotation),
            rotate(rotation, self.centre) + translation,
        )

    def half_extent(self) -> Tensor:
        """Half sides (n,3) of the bounding box in each primitive's own frame."""
        kind, size = self.kind, self.size
        x, y, z = size[:, 0], size[:, 1], size[:, 2]
        wide = torch.maximum(x, y)
        x_out = torch.where(kind == FRUSTUM, wide, x)
        y_out = torch.where(kind == FRUSTUM, wide, torch.where(kind == CAPSULE, x, y))
        z_out = torch.where(kind == CAPSULE, x + y, z)
        return torch.stack([x_out, y_out, z_out], -1)

    def corners(self) -> Tensor:
        """Corners (n,8,3) of that bounding box, in the outer frame."""
        signs = torch.tensor(
            [[i, j, k] for i in (-1.0, 1.0) for j in (-1.0, 1.0) for k in (-1.0, 1.0)],
            device=self.size.device,
        )
        local = signs * self.half_extent()[:, None]
        return rotate(self.rotation[:, None], local) + self.centre[:, None]


def rotate(rotation: Tensor, vectors: Tensor) -> Tensor:
    """rotation (...,3,3) applied to vectors (...,3).

    Written out: a batched matrix product may round differently in another batch size, and a
    scene must not depend on the batch it was made in.
    """
    return (
        rotation[..., 0] * vectors[..., 0:1]
        + rotation[..., 1] * vectors[..., 1:2]
        + rotation[..., 2] * vectors[..., 2:3]
    )


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Product (...,3,3) of rotations, rounded alike in any batch size."""
    columns = [rotate(outer, inner[..., k]) for k in range(3)]
    return torch.stack(columns, -1)


def intersect(primitives: Primitives, row: Tensor, origin: Tensor, direction: Tensor) -> Tensor:
    """First positive ray parameter t (m,), inf where ray i misses primitive `row[i]`.

    row (m,) int64; origin (m,3) [m] and direction (m,3) (any length) in the outer frame.
    """
    t = torch.full(row.shape, torch.inf, device=row.device)
    kinds = primitives.kind[row]
    for kind in range(4):
        chosen = (kinds == kind).nonzero().squeeze(1)
        if len(chosen):
            rows = row[chosen]
            offset = (origin[chosen] - primitives.centre[rows]).t()
            o = local_direction(primitives, rows, offset)
            d = local_direction(primitives, rows, direction[chosen].t())
            t[chosen] = intersect_local(kind, o, d, primitives.size.t()[:, rows])
    return t


def intersect_local(kind: int, origin: Tensor, direction: Tensor, size: Tensor) -> Tensor:
    """`intersect` for primitives of one kind and rays in their frames: (3,m), (3,m), size (4,m)."""
    return (_box, _frustum, _ellipsoid, _capsule)[kind](origin, direction, size)


def local_direction(primitives: Primitives, row: Tensor, direction: Tensor) -> Tensor:
    """Vectors (3,m) of the outer frame in the frames of primitives `row`: (3,m).

    Coordinates come first here and below: rows of pixels stay contiguous, which is several times
    faster than rows of three.
    """
    axes = primitives.rotation.flatten(1).t()[:, row]
    x, y, z = direction
    return torch.stack([axes[k] * x + axes[3 + k] * y + axes[6 + k] * z for k in range(3)])


def local_normals(primitives: Primitives, row: Tensor, local: Tensor) -> Tensor:
    """Outward unit normals (3,m) at surface points `local` (3,m), in the primitives' own frames."""
    kinds = primitives.kind[row]
    normal = torch.empty_like(local)
    functions = (_box_normal, _frustum_normal, _ellipsoid_normal, _capsule_normal)
    for kind, function in enumerate(functions):
        chosen = (kinds == kind).nonzero().squeeze(1)
        if len(chosen):
            size = primitives.size.t()[:, row[chosen]]
            normal[:, chosen] = function(local[:, chosen], size)
    return normal * normal.square().sum(0).clamp_min(_TINY**2).rsqrt()


def areas(primitives: Primitives) -> Tensor:
    """Surface area (n,) [m^2] of the whole primitive; an ellipsoid's is approximate."""
    a, b, c = primitives.size[:, 0], primitives.size[:, 1], primitives.size[:, 2]
    box = 8 * (a * b + b * c + a * c)
    frustum = torch.pi * ((a + b) * torch.hypot(2 * c, a - b) + a * a + b * b)
    ellipsoid = 4 * torch.pi * (a * b + b * c + a * c) / 3
    capsule = 4 * torch.pi * a * (a + b)
    return torch.stack([box, frustum, ellipsoid, capsule], -1).gather(1, primitives.kind[:, None])[
        :, 0
    ]


def sample_surface(primitives: Primitives, row: Tensor, uniform: Tensor) -> Tensor:
    """Points (m,3) on the surfaces of primitives `row`, in the outer frame.

    uniform (m,3) in 0..1 says where. Edges, rims and corners get more than their share: they are
    where objects touch each other.
    """
    kind, size = primitives.kind[row], primitives.size[row]
    a, b, c = size[:, 0], size[:, 1], size[:, 2]
    u, v, w = uniform.unbind(-1)
    # Pushing 15 % of the samples over the edge and clamping puts them onto it.
    su = ((2 * u - 1) * 1.18).clamp(-1, 1)
    sv = ((2 * v - 1) * 1.18).clamp(-1, 1)
    angle = 2 * torch.pi * u
    cos, sin = torch.cos(angle), torch.sin(angle)

    xy, yz, xz = a * b, b * c, a * c
    pick = w * (xy + yz + xz)
    share = torch.where(
        pick < xy, pick / xy, torch.where(pick < xy + yz, (pick - xy) / yz, (pick - xy - yz) / xz)
    )
    sign = torch.where(share < 0.5, -1.0, 1.0)
    box = torch.where(
        (pick < xy)[:, None],
        torch.stack([su * a, sv * b, sign * c], -1),
        torch.where(
            (pick < xy + yz)[:, None],
            torch.stack([sign * a, su * b, sv * c], -1),
            torch.stack([su * a, sign * b, sv * c], -1),
        ),
    )

    side = (a + b) * torch.hypot(2 * c, a - b)
    pick = w * (side + a * a + b * b)
    on_side, on_lower = pick < side, pick < side + a * a
    ring = (v.sqrt() * 1.1).clamp(max=1)
    radius = torch.where(
        on_side, 0.5 * (a + b) + 0.5 * (b - a) * sv, torch.where(on_lower, a, b) * ring
    )
    z = torch.where(on_side, sv * c, torch.where(on_lower, -c, c))
    frustum = torch.stack([radius * cos, radius * sin, z], -1)

    clip = torch.where(kind == ELLIPSOID, size[:, 3], torch.ones_like(a))
    height = -1 + v * (1 + clip)
    level = (1 - height * height).clamp_min(0).sqrt()
    ellipsoid = torch.stack([a * level * cos, b * level * sin, c * height], -1)

    ball = torch.stack([level * cos, level * sin, height], -1) * a[:, None]
    along = torch.where(w < 0.5, height.sign(), (w - 0.75) * 4) * b
    capsule = ball + torch.stack([torch.zeros_like(a), torch.zeros_like(a), along], -1)
    # Between the ends only the cylinder's wall is on the surface.
    wall = torch.stack([a * cos, a * sin, along], -1)
    capsule = torch.where((w < 0.5)[:, None], capsule, wall)

    k = kind[:, None]
    local = torch.where(
        k == BOX,
        box,
        torch.where(k == FRUSTUM, frustum, torch.where(k == CAPSULE, capsule, ellipsoid)),
    )
    return rotate(primitives.rotation[row], local) + primitives.centre[row]


def _box(o: Tensor, d: Tensor, size: Tensor) -> Tensor:
    half = size[:3]
    inverse = 1.0 / torch.where(d.abs() < _TINY, _TINY, d)
    middle, reach = -o * inverse, half * inverse.abs()
    enter = (middle - reach).amax(0)
    leave = (middle + reach).amin(0)
    t = torch.where(enter > 0, enter, leave)
    return torch.where((enter <= leave) & (leave > 0), t, torch.inf)


def _frustum(o: Tensor, d: Tensor, size: Tensor) -> Tensor:
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


def _ellipsoid(o: Tensor, d: Tensor, size: Tensor) -> Tensor:
    scale = 1.0 / size[:3]
    clip = size[3]
    o, d = o * scale, d * scale
    t = torch.full_like(clip, torch.inf)
    for root in _roots((d * d).sum(0), (o * d).sum(0), (o * o).sum(0) - 1.0):
        hit = (root > 0) & (o[2] + root * d[2] <= clip)
        t = torch.minimum(t, torch.where(hit, root, torch.inf))
    return t


def _capsule(o: Tensor, d: Tensor, size: Tensor) -> Tensor:
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


def _box_normal(local: Tensor, size: Tensor) -> Tensor:
    """Along the axis on whose face the point lies."""
    outside = local.abs() - size[:3]
    return torch.where(outside == outside.amax(0), local.sign(), 0.0)


def _frustum_normal(local: Tensor, size: Tensor) -> Tensor:
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


def _ellipsoid_normal(local: Tensor, size: Tensor) -> Tensor:
    return local / size[:3].square()


def _capsule_normal(local: Tensor, size: Tensor) -> Tensor:
    x, y, z = local
    return torch.stack([x, y, z - torch.minimum(torch.maximum(z, -size[1]), size[1])])
