"""Cuts clouds into patches: centres, groups, and interpolation back to points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pointsam_model import ops


@dataclass(frozen=True)
class Patches:
    """The geometry of b clouds of n points cut into l patches of k points (paper, section 3).

    Attributes:
        centers: (b, l, 3) float32, patch centres in the unit sphere.
        groups: (b, l, k) int64, rows of each patch's points, the nearest to its centre first.
        offsets: (b, l, k, 3) float32, those points relative to their centre.
        index: (b, n, 3) int64, the three centres nearest to each point.
        weight: (b, n, 3) float32, their interpolation weights; they sum to 1.
    """

    centers: Tensor
    groups: Tensor
    offsets: Tensor
    index: Tensor
    weight: Tensor

    def gather(self, values: Tensor) -> Tensor:
        """Gathers values of points (b, n, c) by patch: (b, l, k, c)."""
        batch = torch.arange(len(self.groups), device=values.device)[:, None, None]
        return values[batch, self.groups]


def make_patches(coords: Tensor, num_patches: int, patch_size: int) -> Patches:
    """Cuts clouds into patches by farthest point sampling (from row 0) and nearest neighbours.

    Args:
        coords: (b, n, 3) float32, in the unit sphere.
        num_patches: l, at most n.
        patch_size: k, at most n.
    """
    batch = torch.arange(len(coords), device=coords.device)
    centers = coords[batch[:, None], ops.farthest_points(coords, num_patches)]
    groups = ops.nearest_neighbours(coords, centers, patch_size)
    offsets = coords[batch[:, None, None], groups] - centers[:, :, None]
    index, weight = ops.interpolation_table(coords, centers)
    return Patches(centers, groups, offsets, index, weight)
