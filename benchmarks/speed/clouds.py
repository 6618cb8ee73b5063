"""Random clouds that look like what a sensor sees: points on surfaces, a few objects on a plane."""

from __future__ import annotations

import torch
from torch import Tensor

from pointsam_model import ops

OBJECTS = 12
NOISE = 0.002  # of a table of 1 x 1


def surface_cloud(points: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Coordinates (n, 3) float32 in the unit sphere and colours (n, 3) float32 in [-1, 1]."""
    random = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random)

    table = torch.cat([uniform(points, 2), torch.zeros(points, 1)], -1)
    radius = 0.03 + 0.07 * uniform(OBJECTS, 1)
    center = torch.cat([uniform(OBJECTS, 2), radius], -1)
    ball = torch.randint(OBJECTS, (points,), generator=random)
    direction = torch.nn.functional.normalize(torch.randn(points, 3, generator=random), dim=-1)
    on_ball = center[ball] + radius[ball] * direction
    xyz = torch.where(uniform(points, 1) < 0.5, table, on_ball)
    xyz = xyz + NOISE * torch.randn(points, 3, generator=random)
    return ops.normalise(xyz)[0], 2 * uniform(points, 3) - 1
