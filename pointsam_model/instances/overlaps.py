"""Masks that overlap: how much, and which of them stay; all of it on the device that has them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointsam_model.device.transfer import fetched


def overlaps(masks: Tensor, others: Tensor, weight: Tensor) -> Tensor:
    """IoU of each mask with each of the others; two empty masks have none.

    One matrix product in float32, exact while a mask holds fewer than 2^24 points. Counting the
    bits of packed masks would be no faster: cells have weights, and without them PyTorch would
    count in a dozen passes over every pair of words, which moves a hundred times the memory.

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

    Who stays is the only set in which each mask is absent exactly where a better one of the set
    overlaps it. From all masks, each round settles at least the next best one, and mostly all that
    chains of overlaps of one more link decide: a few rounds, where going through the masks one by
    one would have the device wait for the host at each.

    Args:
        iou: (c, c), of `overlaps`.
        rank: (c,) float, higher is better; of equals the lower row.
        highest: IoU that two masks may have which both stay, 0 to 1.

    Returns:
        (k,) int64 rows that stay, best first.
    """
    order = torch.argsort(rank, descending=True, stable=True)
    rules_out = (iou[order][:, order] > highest).triu_(1)  # of a better row (first) over a worse
    stays = torch.ones_like(order, dtype=torch.bool)
    while True:
        left = ~rules_out[stays].any(0)
        if torch.equal(left, stays):
            return order[stays]
        stays = left


def to_host(masks: Tensor) -> NDArray[np.bool_]:
    """Masks (c, m) bool as an array; they travel as bits."""
    count = masks.shape[1]
    padded = torch.nn.functional.pad(masks, (0, -count % 8)).unflatten(1, (-1, 8))
    bits = (padded << _places(masks.device)).sum(2, dtype=torch.uint8)
    unpacked = np.unpackbits(fetched(bits)[0], axis=1, count=count, bitorder="little")
    return unpacked.view(np.bool_)


def _places(device: torch.device) -> Tensor:
    """Of a byte's bits."""
    return torch.arange(8, dtype=torch.uint8, device=device)
