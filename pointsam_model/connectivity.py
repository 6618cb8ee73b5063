"""What is connected on a cloud's surface: holes and specks of masks, where the masks are."""

from __future__ import annotations

import torch
from torch import Tensor

from pointsam_model import ops

NEIGHBOURS = 8
FARTHEST = 3.0  # times the median distance of direct neighbours: beyond it nothing is connected


class Surface:
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
        """Masks without specks, and with their holes filled.

        Args:
            masks: (c, m) bool.
            share: connected pieces smaller than this share of a mask's largest piece are specks;
                pieces of what is not in the mask that are as small and touch it are holes.

        Returns:
            (c, m) other masks.
        """
        pieces, _ = ops.connected_pieces(masks, self._links)
        sizes = _totals(torch.ones_like(pieces), pieces)
        least = share * torch.where(masks, sizes, 0).amax(1, keepdim=True).double()
        cleaned = masks & (sizes >= least)
        pieces, bordering = ops.connected_pieces(cleaned, self._links)
        small = ~cleaned & (_totals(torch.ones_like(pieces), pieces) < least)
        # A small piece that borders on nothing is a speck of something else.
        return cleaned | (small & (_totals(bordering.long(), pieces) > 0))


def _median(values: Tensor) -> Tensor:
    """Of (n,): the middle one, or the mean of the two in the middle."""
    ordered = values.sort().values
    return (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2


def _totals(values: Tensor, pieces: Tensor) -> Tensor:
    """(c, m) for each point the sum of values (c, m) int64 over its piece."""
    return torch.zeros_like(values).scatter_add_(1, pieces, values).gather(1, pieces)
