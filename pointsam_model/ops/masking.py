"""Expands masks over kept points to rows of the source, in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor


def mask_rows(masks: Tensor, nearest: Tensor) -> tuple[Tensor, Tensor]:
    """`pointsam_model.ops.mask_rows`, one mask at a time to avoid a (c,n) array."""
    known = nearest >= 0
    kept = nearest.clamp_min(0).long()
    rows = [(mask[kept] & known).nonzero()[:, 0].int() for mask in masks]
    sizes = torch.tensor([0, *map(len, rows)], device=masks.device)
    return torch.cat([*rows, sizes.new_empty(0, dtype=torch.int32)]), sizes.cumsum(0)
