"""Which way normals point."""

from __future__ import annotations

import torch
from torch import Tensor


def facing(normals: Tensor, points: Tensor, sensor: Tensor) -> Tensor:
    """Normals (m,3) of points (m,3), turned to the side of the sensor (3,)."""
    away = ((sensor - points) * normals).sum(1, keepdim=True) < 0
    return torch.where(away, -normals, normals)
