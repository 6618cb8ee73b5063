"""How a candidate stands to those of its pool that are nearly the same, to the next smaller one
that it holds, and to the next larger one that holds it.

Merging one pair of parts after the other leaves many candidates that differ by slivers. So they
count as one where candidates agree; and that nothing but slivers was added over a wide span of
borders says that a thing ends there, as in maximally stable regions (Matas et al., BMVC 2002). What
the next step adds tells whether it goes on: it looks alike, and the network holds it as probable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Double = NDArray[np.float64]

SAME = 0.88  # IoU from which two candidates are nearly the same
HELD = 0.95  # of the smaller one's source points in the larger one, which then holds it
STEP = 1.25  # by which the next one's source points are more, or fewer, at least
FEATURES = 13


@dataclass(frozen=True)
class Sums:
    """What is known of c candidates.

    Attributes:
        weight: (c,) source points.
        shared: (c,c) source points in two of them.
        overlap: (c,c) IoU.
        probable: (c,) source points that the network's best answer holds, as probably as it says.
        colors: (c,3) sums of the source points' colours.
    """

    weight: Double
    shared: Double
    overlap: Double
    probable: Double
    colors: Double


def nesting(
    sums: Sums, part: NDArray[np.bool_], height: NDArray[np.floating], above: NDArray[np.floating]
) -> list[Double]:
    """FEATURES numbers (c,) each.

    Args:
        sums: of the candidates.
        part: (c,) which of them are parts of a merge tree.
        height, above: (c,) of those the border inside and around.
    """
    same = sums.overlap >= SAME
    inner = _next(sums, larger=False)
    outer = _next(sums, larger=True)
    return [
        *_agreement(sums.overlap, same, part),
        *_persistence(same, part, height, above),
        *_added(sums, inner, np.arange(len(inner))),
        *_added(sums, np.arange(len(outer)), outer),
    ]


def _agreement(overlap: Double, same: NDArray[np.bool_], part: NDArray[np.bool_]) -> list[Double]:
    """Mean IoU with all candidates, with the parts, and with the others, each group of nearly the
    same ones as heavy as another."""
    means = []
    for those in (np.ones_like(part), part, ~part):
        alike = same[:, those].sum(1)[those]
        share = 1 / np.maximum(alike, 1)
        means.append(overlap[:, those] @ share / max(float(share.sum()), 1e-9))
    return means


def _persistence(
    same: NDArray[np.bool_],
    part: NDArray[np.bool_],
    height: NDArray[np.floating],
    above: NDArray[np.floating],
) -> list[Double]:
    """The lowest border inside, and the highest around, of the parts that are nearly the same as
    each candidate; 0 where none is."""
    parts = same & part
    some = parts.any(1)
    lowest = np.where(parts, height, np.inf).min(1)
    highest = np.where(parts, above, -np.inf).max(1)
    return [np.where(some, lowest, 0.0), np.where(some, highest, 0.0)]


def _next(sums: Sums, *, larger: bool) -> NDArray[np.int64]:
    """(c,) the smallest candidate that holds each one and is clearly larger, or the largest that it
    holds and that is clearly smaller; -1: there is none."""
    weight = np.maximum(sums.weight, 1e-9)
    if larger:
        fits = (sums.shared >= HELD * weight[:, None]) & (weight >= STEP * weight[:, None])
        sizes = np.where(fits, weight, np.inf)
        return np.where(fits.any(1), sizes.argmin(1), -1)
    fits = (sums.shared >= HELD * weight) & (STEP * weight <= weight[:, None])
    return np.where(fits.any(1), np.where(fits, weight, -np.inf).argmax(1), -1)


def _added(sums: Sums, small: NDArray[np.int64], large: NDArray[np.int64]) -> list[Double]:
    """What a step from one candidate to a larger one adds: how much; how far its mean colour is
    from the smaller one's; how much less the network holds it as probable; and whether there is
    such a step. 0 without."""
    there = (small >= 0) & (large >= 0)
    few, many = np.maximum(sums.weight[small], 1e-9), np.maximum(sums.weight[large], 1e-9)
    more = np.maximum(many - few, 1e-9)
    before = sums.colors[small] / few[:, None]
    after = (sums.colors[large] - sums.colors[small]) / more[:, None]
    unlike = np.abs(after - before).mean(1).clip(0, 1)
    probable = sums.probable[small] / few
    grown = ((sums.probable[large] - sums.probable[small]) / more).clip(0, 1)
    columns = np.log(many / few), unlike, probable - grown, np.ones_like(few)
    return [np.where(there, column, 0.0) for column in columns]
