"""The losses of masks and predicted IoUs (paper, section 3, "Training").

Point-wise terms are means over the counted points: a point whose label is unknown counts in none,
and one that stands for others counts as often.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pointsam_model.training.config import TrainingConfig
from pointsam_model.training.masks import Masks

FOCAL_GAMMA = 2.0
DICE_SMOOTHING = 1e-3


def iteration_loss(masks: Masks, config: TrainingConfig) -> tuple[Tensor, Tensor]:
    """The loss of one iteration and the true IoUs (b, m, c).

    Of several masks the best one learns (hindsight), and so does the one that users would get, of
    the highest predicted IoU; the others learn a little, so that none dies. The IoU head learns
    from all of them: told only of the best, it cannot choose. Published is the best one alone, for
    mask and IoU: weights 0 and `all_ious` False. Masks of each click's own, where there are any,
    are compared with the object too.
    """
    logits, predicted = masks.logits, masks.predicted
    mask_loss = _mask_loss(logits, masks, config)
    with torch.no_grad():
        ious = mask_iou(logits, masks.truth, masks.weight)
    error = (predicted - ious) ** 2
    if not config.all_ious:
        error = error.take_along_dim(mask_loss.argmin(-1, keepdim=True), -1)
    hindsight = mask_loss.amin(-1).mean()
    if mask_loss.shape[-1] > 1:
        chosen = mask_loss.take_along_dim(predicted.argmax(-1, keepdim=True), -1)
        hindsight = hindsight + config.chosen_mask * chosen.mean()
        hindsight = hindsight + config.other_masks * mask_loss.mean()
    if masks.of_clicks is not None and masks.on_object is not None:
        own = _mask_loss(masks.of_clicks, masks, config)
        hindsight = hindsight + config.click_masks * _mean(own, masks.on_object).mean()
    return hindsight + config.iou * error.mean(), ious


def _mask_loss(logits: Tensor, masks: Masks, config: TrainingConfig) -> Tensor:
    """(b, m, c) of logits (b, m, c, n)."""
    focal = config.focal * focal_loss(logits, masks.truth, masks.weight)
    return focal + config.dice * dice_loss(logits, masks.truth, masks.weight)


def focal_loss(logits: Tensor, truth: Tensor, counted: Tensor | None = None) -> Tensor:
    """Focal loss without α. logits (..., n), truth (..., n) bool to (...)."""
    target = truth.to(logits.dtype)
    cross_entropy = F.softplus(logits) - logits * target
    miss = (logits.sigmoid() - target).abs()  # 1 - probability of the right answer
    return _mean(cross_entropy * miss**FOCAL_GAMMA, counted)


def dice_loss(logits: Tensor, truth: Tensor, counted: Tensor | None = None) -> Tensor:
    """1 - 2 Σpt / (Σp² + Σt), smoothed. logits (..., n), truth (..., n) bool to (...)."""
    probability, target = logits.sigmoid(), truth.to(logits.dtype)
    counts = 1.0 if counted is None else counted
    overlap = (probability * target * counts).sum(-1)
    total = (probability**2 * counts).sum(-1) + (target * counts).sum(-1)
    return 1 - (2 * overlap + DICE_SMOOTHING) / (total + DICE_SMOOTHING)


def mask_iou(logits: Tensor, truth: Tensor, counted: Tensor | None = None) -> Tensor:
    """IoU of the masks at threshold 0 with the truth; two empty masks agree fully."""
    mask = logits > 0
    counts = 1 if counted is None else counted
    union = ((mask | truth) * counts).sum(-1)
    overlap = ((mask & truth) * counts).sum(-1)
    return torch.where(union > 0, overlap / union.clamp(min=1), 1.0)


def _mean(values: Tensor, counted: Tensor | None) -> Tensor:
    if counted is None:
        return values.mean(-1)
    return (values * counted).sum(-1) / counted.sum(-1).clamp(min=1)
