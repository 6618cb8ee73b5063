"""The losses of mask and predicted IoU (paper, section 3, "Training").

Point-wise terms are means over the counted points: a point whose label is unknown counts in none.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FOCAL_GAMMA = 2.0
DICE_SMOOTHING = 1e-3


def focal_loss(logits: Tensor, truth: Tensor, counted: Tensor | None = None) -> Tensor:
    """Focal loss without α. logits (..., n), truth (..., n) bool to (...)."""
    target = truth.to(logits.dtype)
    cross_entropy = F.softplus(logits) - logits * target
    miss = (logits.sigmoid() - target).abs()  # 1 - probability of the right answer
    return _mean(cross_entropy * miss**FOCAL_GAMMA, counted)


def dice_loss(logits: Tensor, truth: Tensor, counted: Tensor | None = None) -> Tensor:
    """1 - 2 Σpt / (Σp² + Σt), smoothed. logits (..., n), truth (..., n) bool to (...)."""
    probability, target = logits.sigmoid(), truth.to(logits.dtype)
    if counted is not None:
        probability, target = probability * counted, target * counted
    overlap = (probability * target).sum(-1)
    total = (probability**2).sum(-1) + target.sum(-1)
    return 1 - (2 * overlap + DICE_SMOOTHING) / (total + DICE_SMOOTHING)


def mask_iou(logits: Tensor, truth: Tensor, counted: Tensor | None = None) -> Tensor:
    """IoU of the masks at threshold 0 with the truth; two empty masks agree fully."""
    mask = logits > 0
    if counted is not None:
        mask, truth = mask & counted, truth & counted
    union = (mask | truth).sum(-1)
    overlap = (mask & truth).sum(-1)
    return torch.where(union > 0, overlap / union.clamp(min=1), 1.0)


def _mean(values: Tensor, counted: Tensor | None) -> Tensor:
    if counted is None:
        return values.mean(-1)
    return (values * counted).sum(-1) / counted.sum(-1).clamp(min=1)
