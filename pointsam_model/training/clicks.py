"""Simulated clicks on training clouds (paper, appendix C), with some anywhere in the region."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree


def first_clicks(
    xyz: np.ndarray, truth: np.ndarray, rng: np.random.Generator, centered: float
) -> np.ndarray:
    """A click on each object.

    Args:
        xyz: (n, 3).
        truth: (m, n) bool, none of them empty.
        centered: share of clicks on the point farthest from the complement.

    Returns:
        (m,) rows.
    """
    return np.array([_click(xyz, mask, rng, centered)[0] for mask in truth])


def next_clicks(
    xyz: np.ndarray,
    truth: np.ndarray,
    predicted: np.ndarray,
    counted: np.ndarray,
    rng: np.random.Generator,
    centered: float,
) -> tuple[np.ndarray, np.ndarray]:
    """A click on the greater mistake of each object.

    Args:
        truth, predicted: (m, n) bool.
        counted: (n,) bool, points whose label is known.

    Returns:
        rows (m,) and labels (m,): 1 where the object was missed, 0 where the mask leaked; a mask
        without mistakes is confirmed by a click on the object.
    """
    rows, labels = [], []
    for mask, guess in zip(truth, predicted, strict=True):
        missed, leaked = mask & ~guess & counted, ~mask & guess & counted
        miss, depth = _click(xyz, missed, rng, centered)
        leak, leak_depth = _click(xyz, leaked, rng, centered)
        if depth < 0 and leak_depth < 0:
            miss = _click(xyz, mask, rng, 0.0)[0]
        rows.append(leak if leak_depth > depth else miss)
        labels.append(int(leak_depth <= depth))
    return np.array(rows), np.array(labels)


def _click(
    xyz: np.ndarray, region: np.ndarray, rng: np.random.Generator, centered: float
) -> tuple[int, float]:
    """A row of the region and the region's depth; -1 for an empty one."""
    rows = np.flatnonzero(region)
    if len(rows) == 0:
        return 0, -1.0
    rest = xyz[~region]
    if len(rest) == 0:
        return int(rng.choice(rows)), np.inf
    depth = cKDTree(rest, balanced_tree=False, compact_nodes=False).query(xyz[rows])[0]
    deepest = int(depth.argmax())
    chosen = deepest if rng.random() < centered else int(rng.integers(len(rows)))
    return int(rows[chosen]), float(depth[deepest])
