"""Masks as an iteration of training gives them, beside the truth."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Masks:
    """What one iteration gives of m objects in each of b clouds.

    Attributes:
        logits: (b, m, c, n) float32 at all points, or (b, m, c, p) at the judged ones; c is 3 for
            a first click without a mask prompt, then 1.
        predicted: (b, m, c) IoUs.
        truth: (b, m, 1, n or p) bool.
        weight: (b, m or 1, 1, n or p), how many points each stands for; 0: its label is not known.
        of_clicks: (b, m, q, n or p) float32, logits of the masks of each click's own; None: none.
        on_object: (b, m, q) bool, whether each of these clicks is on the object.
    """

    logits: Tensor
    predicted: Tensor
    truth: Tensor
    weight: Tensor
    of_clicks: Tensor | None = None
    on_object: Tensor | None = None
