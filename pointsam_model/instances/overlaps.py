"""Overlaps of masks, and non-maximum suppression, on the device that holds them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointsam_model.device.transfer import fetched


def overlaps(masks: Tensor, others: Tensor, weight: Tensor) -> Tensor:
    """IoU of each mask with each of the others; 0 for two empty masks.

    One matrix product in float32, exact for masks of fewer than 2^24 points. Counting the bits of
    packed masks would not be faster: it does not support weights, and PyTorch would need a dozen
    passes over every pair of words, which moves a hundred times the memory.

    Args:
        masks: (.., a, l) bool, over l cells (kept points or patches).
        others: (.., b, l) bool.
        weight: (l,) float32, number of source points in each cell.

    Returns:
        (.., a, b) float32, 0 to 1.
    """
    first, second = masks.float(), others.float()
    shared = (first * weight) @ second.transpose(-1, -2)
    sizes = (first @ weight)[..., :, None] + (second @ weight)[..., None, :]
    return shared / (sizes - shared).clamp_min(1)


def suppress(iou: Tensor, rank: Tensor, highest: float) -> Tensor:
    """Non-maximum suppression: greedily by rank, drops masks that overlap a better one kept.

    The result is the only set from which a mask is missing exactly if a better mask in the set
    overlaps it. It is found by iteration from all masks: each round settles at least the next best
    mask, and usually many, so a few rounds suffice, where one mask at a time would synchronise the
    device with the host for each.

    Args:
        iou: (c, c), from `overlaps`.
        rank: (c,) float, higher is better; ties go to the lower row.
        highest: greatest IoU of two masks that are both kept, 0 to 1.

    Returns:
        (k,) int64 rows of the masks kept, best first.
    """
    order = torch.argsort(rank, descending=True, stable=True)
    rules_out = (iou[order][:, order] > highest).triu_(1)  # [better, worse]
    stays = torch.ones_like(order, dtype=torch.bool)
    while True:
        left = ~rules_out[stays].any(0)
        if torch.equal(left, stays):
            return order[stays]
        stays = left


def to_host(masks: Tensor) -> NDArray[np.bool_]:
    """Copies masks (c, m) bool to the host, packed as bits."""
    count = masks.shape[1]
    padded = torch.nn.functional.pad(masks, (0, -count % 8)).unflatten(1, (-1, 8))
    bits = (padded << _places(masks.device)).sum(2, dtype=torch.uint8)
    unpacked = np.unpackbits(fetched(bits)[0], axis=1, count=count, bitorder="little")
    return unpacked.view(np.bool_)


def _places(device: torch.device) -> Tensor:
    """The values of a byte's bits."""
    return torch.arange(8, dtype=torch.uint8, device=device)
