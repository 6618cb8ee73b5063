"""Simulated clicks on training clouds: the evaluation's, with some anywhere in the region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pointsam_model.data.clicks import innermost


class Clicks:
    """Simulated clicks on b clouds of n points with m objects each, one after the other.

    Args:
        coords: (b, n, 3).
        truth: (b, m, n) bool, each with a counted point.
        counted: (b, n) bool, points whose label is known.
        rng: draws which clicks are not in the middle, and where they are.
        centered: share of clicks on the point farthest from the complement.
        candidates: points of a region, drawn anew, of which the farthest is taken; 0: all of them,
            which takes ten times as long.
    """

    def __init__(
        self,
        coords: np.ndarray,
        truth: np.ndarray,
        counted: np.ndarray,
        rng: np.random.Generator,
        centered: float,
        candidates: int = 0,
    ) -> None:
        self.clouds = list(zip(coords, truth, counted, strict=True))
        self.choice = Choice(rng, centered, candidates)

    def first(self) -> Tensor:
        """A click on each object: rows (b, m)."""
        rows = [first_clicks(*cloud, self.choice) for cloud in self.clouds]
        return torch.from_numpy(np.stack(rows))

    def next(self, predicted: Tensor) -> tuple[Tensor, Tensor]:
        """A click on the deeper mistake of each mask: rows (b, f) and labels (b, f).

        Args:
            predicted: (b, f, n) bool, of the first f objects of each cloud.
        """
        made = [
            next_clicks(xyz, truth[: len(masks)], masks, counted, self.choice)
            for (xyz, truth, counted), masks in zip(self.clouds, predicted.numpy(), strict=True)
        ]
        rows, labels = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*made, strict=True))
        return rows, labels


class DeviceClicks:
    """The same of a whole batch on its device: a GPU does not wait for KD-trees.

    Distances are measured between all points of a cloud, one cloud at a time: n² floats, 64 MB at
    4,096 points.

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


@dataclass(frozen=True)
class Choice:
    """How a click is chosen in its region: see `Clicks`."""

    rng: np.random.Generator
    centered: float
    candidates: int = 0


def first_clicks(
    xyz: np.ndarray, truth: np.ndarray, counted: np.ndarray, choice: Choice
) -> np.ndarray:
    """A click on each object.

    Args:
        xyz: (n, 3).
        truth: (m, n) bool, each with a counted point.
        counted: (n,) bool, points whose label is known.

    Returns:
        (m,) rows.
    """
    return np.array([_click(xyz, mask & counted, counted, choice)[0] for mask in truth])


def next_clicks(
    xyz: np.ndarray,
    truth: np.ndarray,
    predicted: np.ndarray,
    counted: np.ndarray,
    choice: Choice,
) -> tuple[np.ndarray, np.ndarray]:
    """A click on the deeper mistake of each object.

    Args:
        truth, predicted: (m, n) bool.

    Returns:
        rows (m,) and labels (m,): 1 where the object was missed, 0 where the mask leaked; a mask
        without mistakes is confirmed by a click on the object.
    """
    rows, labels = [], []
    for mask, guess in zip(truth, predicted, strict=True):
        missed, miss_depth = _click(xyz, mask & ~guess & counted, counted, choice)
        leaked, leak_depth = _click(xyz, guess & ~mask & counted, counted, choice)
        if miss_depth < 0 and leak_depth < 0:
            missed = int(choice.rng.choice(np.flatnonzero(mask & counted)))
        rows.append(leaked if leak_depth > miss_depth else missed)
        labels.append(int(leak_depth <= miss_depth))
    return np.array(rows), np.array(labels)


def _click(
    xyz: np.ndarray, region: np.ndarray, counted: np.ndarray, choice: Choice
) -> tuple[int, float]:
    """A row of the region and the region's depth; depth -1 for an empty one."""
    inside = np.flatnonzero(region)
    if len(inside) == 0:
        return 0, -1.0
    if choice.candidates:
        row, depth = _deepest_of_some(xyz, inside, counted & ~region, choice)
    else:
        found = innermost(xyz, region, counted)
        assert found is not None
        row, depth = found
    return (row if choice.rng.random() < choice.centered else int(choice.rng.choice(inside))), depth


def _deepest_of_some(
    xyz: np.ndarray, inside: np.ndarray, outside: np.ndarray, choice: Choice
) -> tuple[int, float]:
    """Of some rows of a region the one whose nearest point outside is farthest, and how far."""
    if len(inside) > choice.candidates:
        inside = choice.rng.choice(inside, choice.candidates, replace=False, shuffle=False)
    around = xyz[outside]
    if len(around) == 0:
        return int(inside[0]), np.inf
    points = xyz[inside]
    # |a - b|² without |a|², by one matrix product: in the unit sphere float32 is exact enough.
    nearest = ((around**2).sum(1) - 2 * points @ around.T).min(1) + (points**2).sum(1)
    best = int(nearest.argmax())
    return int(inside[best]), float(np.sqrt(max(nearest[best], 0.0)))
