"""Masks that overlap: how much, and which of them stay."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def overlaps(masks: Tensor, others: Tensor, weight: Tensor) -> Tensor:
    """IoU of each mask with each of the others; two empty masks have none.

    Args:
        masks: (.., a, l) bool, over l cells.
        others: (.., b, l) bool.
        weight: (l,) float32, points in each cell.

    Returns:
        (.., a, b) float32, 0 to 1.
    """
    first, second = masks.float(), others.float()
    shared = (first * weight) @ second.transpose(-1, -2)
    sizes = (first @ weight)[..., :, None] + (second @ weight)[..., None, :]
    return shared / (sizes - shared).clamp_min(1)


def suppress(iou: Tensor, rank: Tensor, highest: float) -> Tensor:
    """Non-maximum suppression: greedily by rank, none that overlaps a better one that stayed.

    Args:
        iou: (c, c), of `overlaps`.
        rank: (c,) float, higher is better; of equals the lower row.
        highest: IoU that two masks may have which both stay, 0 to 1.

    Returns:
        (k,) int64 rows that stay, best first.
    """
    order = torch.argsort(rank, descending=True, stable=True)
    rules_out = (iou[order][:, order] > highest).cpu().numpy()
    stays = np.ones(len(order), bool)
    for row in range(len(order)):
        if stays[row]:
            stays[row + 1 :] &= ~rules_out[row, row + 1 :]
    return order[torch.from_numpy(stays).to(order.device)]
