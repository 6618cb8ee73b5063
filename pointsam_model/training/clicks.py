"""Simulated clicks on training clouds: the evaluation's, with some anywhere in the region."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pointsam_model.evaluation.clicks import innermost


class Clicks:
    """Simulated clicks on b clouds of n points with m objects each, one after the other.

    Args:
        coords: (b, n, 3).
        truth: (b, m, n) bool, each with a counted point.
        counted: (b, n) bool, points whose label is known.
        rng: draws which clicks are not in the middle, and where they are.
        centered: share of clicks on the point farthest from the complement.
    """

    def __init__(
        self,
        coords: np.ndarray,
        truth: np.ndarray,
        counted: np.ndarray,
        rng: np.random.Generator,
        centered: float,
    ) -> None:
        self.clouds = list(zip(coords, truth, counted, strict=True))
        self.rng, self.centered = rng, centered

    def first(self) -> Tensor:
        """A click on each object: rows (b, m)."""
        rows = [first_clicks(*cloud, self.rng, self.centered) for cloud in self.clouds]
        return torch.from_numpy(np.stack(rows))

    def next(self, predicted: Tensor) -> tuple[Tensor, Tensor]:
        """A click on the deeper mistake of each mask: rows (b, f) and labels (b, f).

        Args:
            predicted: (b, f, n) bool, of the first f objects of each cloud.
        """
        made = [
            next_clicks(xyz, truth[: len(masks)], masks, counted, self.rng, self.centered)
            for (xyz, truth, counted), masks in zip(self.clouds, predicted.numpy(), strict=True)
        ]
        rows, labels = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*made, strict=True))
        return rows, labels


def first_clicks(
    xyz: np.ndarray,
    truth: np.ndarray,
    counted: np.ndarray,
    rng: np.random.Generator,
    centered: float,
) -> np.ndarray:
    """A click on each object.

    Args:
        xyz: (n, 3).
        truth: (m, n) bool, each with a counted point.
        counted: (n,) bool, points whose label is known.
        centered: share of clicks on the point farthest from the complement.

    Returns:
        (m,) rows.
    """
    return np.array([_click(xyz, mask & counted, counted, rng, centered)[0] for mask in truth])


def next_clicks(
    xyz: np.ndarray,
    truth: np.ndarray,
    predicted: np.ndarray,
    counted: np.ndarray,
    rng: np.random.Generator,
    centered: float,
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
        missed, miss_depth = _click(xyz, mask & ~guess & counted, counted, rng, centered)
        leaked, leak_depth = _click(xyz, guess & ~mask & counted, counted, rng, centered)
        if miss_depth < 0 and leak_depth < 0:
            missed = _click(xyz, mask & counted, counted, rng, 0.0)[0]
        rows.append(leaked if leak_depth > miss_depth else missed)
        labels.append(int(leak_depth <= miss_depth))
    return np.array(rows), np.array(labels)


def _click(
    xyz: np.ndarray,
    region: np.ndarray,
    counted: np.ndarray,
    rng: np.random.Generator,
    centered: float,
) -> tuple[int, float]:
    """A row of the region and the region's depth; depth -1 for an empty one."""
    found = innermost(xyz, region, counted)
    if found is None:
        return 0, -1.0
    row, depth = found
    return (row if rng.random() < centered else int(rng.choice(np.flatnonzero(region)))), depth
