"""Which points of a cloud a mask is judged at, where judging it at all of them costs too much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Judged:
    """Points that b · m masks are judged at.

    Attributes:
        rows: (b, m, p) int64.
        weight: (b, m, p) float32, how many counted points of the cloud each of them stands for.
    """

    rows: np.ndarray
    weight: np.ndarray


def judged_points(
    truth: np.ndarray, counted: np.ndarray, count: int, rng: np.random.Generator
) -> Judged:
    """Draws points for each mask, at most half of them on the object, the rest off it.

    A small object is judged at all of its points. Weighted sums over the drawn points are those
    over the cloud on average, so losses and IoUs are too (an IoU but for its quotient).

    Args:
        truth: (b, m, n) bool; counted: (b, n) bool.
        count: p, at most n.
    """
    drawn = [
        _drawn(mask, known, count, rng)
        for masks, known in zip(truth, counted, strict=True)
        for mask in masks
    ]
    shape = *truth.shape[:2], count
    rows, weight = (np.stack(values).reshape(shape) for values in zip(*drawn, strict=True))
    return Judged(rows, weight)


def _drawn(
    mask: np.ndarray, known: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    inside, outside = np.flatnonzero(mask & known), np.flatnonzero(~mask & known)
    few = min(len(inside), max(count // 2, count - len(outside)))
    many = min(len(outside), count - few)
    rows = np.zeros(count, np.int64)
    weight = np.zeros(count, np.float32)
    rows[:few] = rng.choice(inside, few, replace=False, shuffle=False)
    rows[few : few + many] = rng.choice(outside, many, replace=False, shuffle=False)
    weight[:few] = len(inside) / max(few, 1)
    weight[few : few + many] = len(outside) / max(many, 1)
    return rows, weight
