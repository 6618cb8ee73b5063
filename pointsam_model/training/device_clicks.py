"""The clicks of `clicks`, of a whole batch on its device: a GPU does not wait for KD-trees.

Distances are measured between all points of a cloud, one cloud at a time: n² floats, 64 MB at 4,096
points.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class DeviceClicks:
    """Simulated clicks on b clouds of n points with m objects each.

    Args:
        coords: (b, n, 3) float32.
        truth: (b, m, n) bool.
        counted: (b, n) bool, points whose label is known.
        rng: draws which clicks are not in the middle, and where they are.
        centered: share of clicks on the point farthest from the complement.
    """

    def __init__(
        self,
        coords: Tensor,
        truth: Tensor,
        counted: Tensor,
        rng: np.random.Generator,
        centered: float,
    ) -> None:
        self.coords, self.counted, self.rng, self.centered = coords, counted, rng, centered
        self.truth = truth & counted[:, None]

    def first(self) -> Tensor:
        """A click on each object: rows (b, m)."""
        return self._click(self.truth)[0]

    def next(self, predicted: Tensor) -> tuple[Tensor, Tensor]:
        """A click on the deeper mistake of each mask: rows (b, f) and labels (b, f).

        A mask without mistakes is confirmed by a click on the object.

        Args:
            predicted: (b, f, n) bool, of the first f objects of each cloud.
        """
        truth = self.truth[:, : predicted.shape[1]]
        missed, miss_depth = self._click(truth & ~predicted)
        leaked, leak_depth = self._click(predicted & ~truth & self.counted[:, None])
        confirmed = self._anywhere(truth)
        right = (miss_depth < 0) & (leak_depth < 0)
        leaks = leak_depth > miss_depth
        rows = torch.where(leaks, leaked, torch.where(right, confirmed, missed))
        return rows, (~leaks).long()

    def _click(self, region: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and the regions' depths, (b, m) each; depth -1 for an empty region."""
        depths = self._depths(region)
        depth, middle = depths.max(-1)
        centered = self._uniform(region) < self.centered
        return torch.where(centered, middle, self._anywhere(region)), depth

    def _depths(self, region: Tensor) -> Tensor:
        """(b, m, n): how far each point of a region is from the counted points outside, else -1.

        A region of all counted points has no outside: its point nearest to its mean is deepest.
        """
        depths = torch.full(region.shape, -1.0, device=region.device)
        for cloud, points in enumerate(self.coords):
            apart = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
            for mask, inside in enumerate(region[cloud]):
                outside = self.counted[cloud] & ~inside
                nearest = apart.masked_fill(~outside, torch.inf).amin(1)
                depths[cloud, mask] = torch.where(inside, nearest, -1.0)
        share = region / region.sum(-1, keepdim=True).clamp(min=1)
        to_mean = (self.coords[:, None] - (share @ self.coords)[:, :, None]).norm(dim=-1)
        nearest_to_mean = to_mean.masked_fill(~region, torch.inf).argmin(-1, keepdim=True)
        rows = torch.arange(region.shape[-1], device=region.device)
        return torch.where(depths.isinf() & (rows != nearest_to_mean), 1e9, depths)

    def _anywhere(self, region: Tensor) -> Tensor:
        """A random row of each region, (b, m); 0 for an empty one."""
        wanted = (self._uniform(region) * region.sum(-1)).floor()
        return (region.cumsum(-1) > wanted[..., None]).byte().argmax(-1)

    def _uniform(self, region: Tensor) -> Tensor:
        drawn = self.rng.random(region.shape[:2], np.float32)
        return torch.from_numpy(drawn).to(region.device)
