"""Simulated clicks on training clouds: the evaluation's, with some anywhere in the region."""

from __future__ import annotations

import numpy as np

from pointsam_model.evaluation.clicks import innermost


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
