"""Normalises points to the unit sphere, in plain PyTorch for both devices."""

from __future__ import annotations

import torch
from torch import Tensor


def normalise(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`pointsam_model.ops.normalise`, computed in float64."""
    exact = points.double()
    center = exact.mean(dim=-2)
    coords = exact - center.unsqueeze(-2)
    scale = coords.square().sum(-1).amax(-1).sqrt()
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return (coords / scale[..., None, None]).float(), center, scale
