"""What is connected on a cloud's surface: holes and specks of masks, where the masks are."""

from __future__ import annotations

import torch
from torch import Tensor

from pointsam_model import ops

NEIGHBOURS = 8
FARTHEST = 3.0  # times the median distance of direct neighbours: beyond it nothing is connected


class NeighbourGraph:
    """The points of a cloud, each connected to its nearest neighbours where they are near.

    Of more than 8 equally near neighbours any 8 count, so that devices may differ there.

    Args:
        points: (m, 3) float32, at least one.
    """

    def __init__(self, points: Tensor) -> None:
        count = min(NEIGHBOURS + 1, len(points))
        near = ops.nearest_neighbours(points, points, count)
        exact = points.double()  # a link is then one on every device
        distance = (exact[near] - exact[:, None]).square().sum(2).sqrt()
        reach = FARTHEST * _median(distance[:, min(1, count - 1)])
        own = torch.arange(len(points), device=points.device)
        self._links = torch.where(distance <= reach, near, own[:, None])

    def cleaned(self, masks: Tensor, share: float) -> Tensor:
        """Masks (c, m) bool without specks, and with their holes filled.

        Args:
            share: of a mask's largest piece; smaller ones are specks, see `ops.cleaned_masks`.
        """
        return ops.cleaned_masks(masks, self._links, share)


def _median(values: Tensor) -> Tensor:
    """Of (n,): the middle one, or the mean of the two in the middle."""
    ordered = values.sort().values
    return (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2
