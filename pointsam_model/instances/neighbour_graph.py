"""Connectivity of a cloud's surface, to clean masks of specks and holes on their device."""

from __future__ import annotations

import torch
from torch import Tensor

from pointsam_model import ops

NEIGHBOURS = 8
FARTHEST = 3.0  # greatest length of a link, in median distances of nearest neighbours


class NeighbourGraph:
    """The points of a cloud, each linked to its nearest neighbours within a distance.

    If more than 8 neighbours are equally near, any 8 are taken, and devices may differ.

    Args:
        points: (m, 3) float32, at least one.
    """

    def __init__(self, points: Tensor) -> None:
        count = min(NEIGHBOURS + 1, len(points))
        near = ops.nearest_neighbours(points, points, count)
        exact = points.double()  # so that every device has the same links
        distance = (exact[near] - exact[:, None]).square().sum(2).sqrt()
        reach = FARTHEST * _median(distance[:, min(1, count - 1)])
        own = torch.arange(len(points), device=points.device)
        self._links = torch.where(distance <= reach, near, own[:, None])

    def cleaned(self, masks: Tensor, share: float) -> Tensor:
        """Removes specks from masks (c, m) bool and fills their holes; see `ops.cleaned_masks`.

        Args:
            masks: over the points.
            share: size below which pieces are specks, as a share of the mask's largest piece.
        """
        return ops.cleaned_masks(masks, self._links, share)


def _median(values: Tensor) -> Tensor:
    """The median of (n,) values; the mean of the middle two if n is even."""
    ordered = values.sort().values
    return (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2
