"""Positions of patches relative to the clicks, added to each object's cloud embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pointsam_model.nn.drawing import begins_with_zero

HIDDEN = 64
VALUES = 6  # of each kind of click
NEAR = 0.02  # distance [units of the sphere] below which the logarithm tells no more


class NearestClicks(nn.Module):
    """Positions relative to the nearest click on the object and to the nearest off it.

    Otherwise attention has to infer the distance of a patch from a click from two positional
    encodings. The network is initialised to zero output. Its result differs between objects, so
    the first view of a cloud cannot be cached.

    Args:
        dim: d, the decoder's width.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first = nn.Linear(2 * VALUES, HIDDEN)
        self.last = begins_with_zero(nn.Linear(HIDDEN, dim))

    def forward(
        self, centers: Tensor, clicks: Tensor, labels: Tensor, visible: Tensor | None
    ) -> Tensor:
        """What is added to the embeddings of b clouds for m objects of each.

        Args:
            centers: (b, l, 3) float32, patch centres in the unit sphere.
            clicks: (b, m, q, 3) float32, in the unit sphere.
            labels: (b, m, q), 1 on the object, 0 off it, any other: of neither kind.
            visible: (b, m, q) bool, False where a click is padding; None: no padding.

        Returns:
            (b, m, l, d).
        """
        offsets = centers[:, None, :, None] - clicks[:, :, None]  # (b, m, l, q, 3)
        distances = offsets.norm(dim=-1)
        kinds = []
        for label in (1, 0):
            wanted = labels == label
            wanted = wanted if visible is None else wanted & visible
            kinds.append(_to_nearest(offsets, distances, wanted[:, :, None]))
        values = torch.cat(kinds, -1).to(self.first.weight.dtype)
        return self.last(nn.functional.gelu(self.first(values)))


def _to_nearest(offsets: Tensor, distances: Tensor, wanted: Tensor) -> Tensor:
    """(b, m, l, VALUES) of the nearest of the clicks `wanted` (b, m, 1, q); zeros without one."""
    apart = distances.masked_fill(~wanted, torch.inf)
    distance, row = apart.min(-1, keepdim=True)
    offset = offsets.take_along_dim(row[..., None], -2)[..., 0, :]
    there = distance.isfinite()
    near = (distance + NEAR).log()
    values = torch.cat([offset, distance, near, torch.ones_like(distance)], -1)
    return values.where(there, 0.0)
