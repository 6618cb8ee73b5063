"""Solids and shells with an analytic ray intersection, normal and surface sampling.

All live in their own coordinate frame, centred on the origin, axis along z:

| kind         | size                                                                       |
|--------------|----------------------------------------------------------------------------|
| BOX          | half sides x, y, z                                                         |
| FRUSTUM      | radius at -z, radius at +z, half height, caps (1 below, 2 above, 3 both)   |
| ELLIPSOID    | half axes x, y, z, clip: only z <= clip * half axis is there (1: all)      |
| CAPSULE      | radius, half length of the axis                                            |
| SUPERQUADRIC | half axes x, y, z, exponents as `superquadric.packed`                      |
| TORUS        | radius of the ring (in z = 0), of the tube, none, half arc about +x [rad]  |

A frustum without a cap and a clipped ellipsoid are thin shells, seen from both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pointsam_model.scenes.solids import quadrics, superquadric, torus

KINDS = BOX, FRUSTUM, ELLIPSOID, CAPSULE, SUPERQUADRIC, TORUS = range(6)
_TINY = 1e-9
_HIT = (
    quadrics.hit_box,
    quadrics.hit_frustum,
    quadrics.hit_ellipsoid,
    quadrics.hit_capsule,
    superquadric.hit,
    torus.hit,
)
_NORMAL = (
    quadrics.normal_box,
    quadrics.normal_frustum,
    quadrics.normal_ellipsoid,
    quadrics.normal_capsule,
    superquadric.normal,
    torus.normal,
)
_AREA = (
    quadrics.area_box,
    quadrics.area_frustum,
    quadrics.area_ellipsoid,
    quadrics.area_capsule,
    superquadric.area,
    torus.area,
)
_SAMPLE = (
    quadrics.sample_box,
    quadrics.sample_frustum,
    quadrics.sample_ellipsoid,
    quadrics.sample_capsule,
    superquadric.sample,
    torus.sample,
)
_DEPTH = (
    quadrics.depth_box,
    quadrics.depth_frustum,
    quadrics.depth_ellipsoid,
    quadrics.depth_capsule,
    superquadric.depth,
    torus.depth,
)


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

    def to(self, device: torch.device) -> Primitives:
        """The same on another device."""
        return Primitives(
            self.kind.to(device),
            self.size.to(device),
            self.rotation.to(device),
            self.centre.to(device),
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
        ring = x + y
        x_out = torch.where(kind == FRUSTUM, wide, torch.where(kind == TORUS, ring, x))
        y_out = torch.where(kind == FRUSTUM, wide, torch.where(kind == TORUS, ring, y))
        y_out = torch.where(kind == CAPSULE, x, y_out)
        z_out = torch.where(kind == CAPSULE, ring, torch.where(kind == TORUS, y, z))
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
    for kind in KINDS:
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
    return _HIT[kind](origin, direction, size)


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
    for kind in KINDS:
        chosen = (kinds == kind).nonzero().squeeze(1)
        if len(chosen):
            size = primitives.size.t()[:, row[chosen]]
            normal[:, chosen] = _NORMAL[kind](local[:, chosen], size)
    return normal * normal.square().sum(0).clamp_min(_TINY**2).rsqrt()


def areas(primitives: Primitives) -> Tensor:
    """Surface area (n,) [m^2] of the whole primitive; of ellipsoids and superquadrics nearly."""
    area = torch.empty_like(primitives.size[:, 0])
    for kind in KINDS:
        chosen = (primitives.kind == kind).nonzero().squeeze(1)
        if len(chosen):
            area[chosen] = _AREA[kind](primitives.size[chosen].t().contiguous())
    return area


def sample_surface(
    primitives: Primitives, row: Tensor, uniform: Tensor, even: bool = False
) -> Tensor:
    """Points (m,3) on the surfaces of primitives `row`, in the outer frame.

    uniform (m,3) in 0..1 says where. Edges, rims and corners get more than their share, for they
    are where objects touch each other, and absent caps of frusta theirs; with `even`, points are
    spread by area and only where a surface is.
    """
    local = torch.empty_like(uniform)
    kinds = primitives.kind[row]
    for kind in KINDS:
        chosen = (kinds == kind).nonzero().squeeze(1)
        if len(chosen):
            size = primitives.size.t()[:, row[chosen]]
            local[chosen] = _SAMPLE[kind](uniform[chosen].t(), size, even).t()
    return rotate(primitives.rotation[row], local) + primitives.centre[row]


def depths(primitives: Primitives, row: Tensor, points: Tensor) -> Tensor:
    """How deep points (m,3) of the outer frame are inside primitives `row`: (m,) [m].

    Exact on the surface, near it to first order; negative outside, and for shells, which have no
    inside.
    """
    offset = (points - primitives.centre[row]).t()
    local = local_direction(primitives, row, offset)
    depth = torch.empty_like(local[0])
    kinds = primitives.kind[row]
    for kind in KINDS:
        chosen = (kinds == kind).nonzero().squeeze(1)
        if len(chosen):
            size = primitives.size.t()[:, row[chosen]]
            depth[chosen] = _DEPTH[kind](local[:, chosen], size)
    return depth
