"""Mask prompts that come from elsewhere: the truth, damaged as partitions and detectors damage it.

A network that has seen only its own masks as prompts takes any other for its own. With one that is
too large and a negative click it must take away, with one that is too small and a click on it it
must complete: what this teaches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pointsam_model.training.batches import Batch
from pointsam_model.training.clicks import Choice, first_clicks, next_clicks

FIRST, CORRECTING, BOTH = 0.45, 0.3, 0.25  # shares of batches by the clicks that come with the mask
LOGITS = 2.0, 10.0  # size of a prompt's logits; drawn by its logarithm
BLUR = 0.1  # standard deviation of a prompt's logits, of their size
STEP = 0.05, 0.5  # how far masks grow, of the object's extent; they shrink by up to a third of it
SAMPLE = 64  # points of a mask that it is grown about
SPECKLED, SPECKLES = 0.4, 0.03  # share of the masks with wrong single points, and most of them


@dataclass(frozen=True)
class MaskPrompts:
    """What the first f objects of b clouds are prompted with.

    Attributes:
        rows, labels: (b, f, q) int64, the clicks.
        logits: (b, f, n) float32.
    """

    rows: np.ndarray
    labels: np.ndarray
    logits: np.ndarray


def mask_prompts(
    batch: Batch, objects: int, rng: np.random.Generator, choice: Choice
) -> MaskPrompts:
    """Draws prompts of the first `objects` of each cloud; all of them have as many clicks.

    The clicks are one on the object, where mask and object overlap if they do, as the part under a
    first click is what a partition gives; or one on the deeper mistake of the mask, which may be
    the only click and negative; or both.
    """
    style = rng.choice(3, p=(FIRST, CORRECTING, BOTH))
    clouds = []
    for xyz, truth, counted in zip(batch.coords, batch.truth, batch.counted, strict=True):
        masks = np.stack([damaged(xyz, truth, number, rng) for number in range(objects)])
        wanted = truth[:objects]
        shared = masks & wanted & counted
        shared = np.where(shared.any(-1, keepdims=True), shared, wanted)
        first = first_clicks(xyz, shared, counted, choice), np.ones(objects, np.int64)
        second = next_clicks(xyz, wanted, masks, counted, choice)
        clicks = ((first,), (second,), (first, second))[style]
        clouds.append((*(np.stack(values, -1) for values in zip(*clicks, strict=True)), masks))
    rows, labels, masks = (np.stack(values) for values in zip(*clouds, strict=True))
    low, high = np.log(LOGITS)
    size = np.exp(rng.uniform(low, high, (*masks.shape[:2], 1)))
    logits = size * (np.where(masks, 1.0, -1.0) + rng.normal(0, BLUR, masks.shape))
    return MaskPrompts(rows, labels, logits.astype(np.float32))


def damaged(
    xyz: np.ndarray, truth: np.ndarray, number: int, rng: np.random.Generator
) -> np.ndarray:
    """(n,) one of the masks `truth` (m, n) as another might have drawn it; never empty."""
    damage, _ = DAMAGES[rng.choice(len(DAMAGES), p=[share for _, share in DAMAGES])]
    mask = damage(xyz, truth, number, rng)
    if rng.random() < SPECKLED:
        mask = mask ^ (rng.random(len(mask)) < rng.uniform(0, SPECKLES))
    return mask if mask.any() else truth[number].copy()


def _whole(xyz: np.ndarray, truth: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    return truth[number].copy()


def _grown(xyz: np.ndarray, truth: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    mask = truth[number]
    some = rng.permutation(np.flatnonzero(mask))[:SAMPLE]
    return mask | (_distance(xyz, some) <= rng.uniform(*STEP) * _extent(xyz[mask]))


def _shrunk(
    xyz: np.ndarray, truth: np.ndarray, number: int, rng: np.random.Generator
) -> np.ndarray:
    mask = truth[number]
    depth = _distance(xyz, np.flatnonzero(~mask))
    return mask & (depth > rng.uniform(0, 1 / 3) * _extent(xyz[mask]))


def _cut(xyz: np.ndarray, truth: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """One side of a plane, seldom less than a fifth of the object, as the side of a box is."""
    mask = truth[number]
    along = xyz @ rng.normal(size=3)
    return mask & (along >= np.quantile(along[mask], rng.uniform(0, 0.8)))


def _merged(
    xyz: np.ndarray, truth: np.ndarray, number: int, rng: np.random.Generator
) -> np.ndarray:
    """With the nearest of the other objects; one that is alone grows."""
    mask = truth[number]
    apart = [other for other in truth if other.any() and not (other & mask).any()]
    if not apart:
        return _grown(xyz, truth, number, rng)
    middle = xyz[mask].mean(0)
    return mask | min(apart, key=lambda other: float(((xyz[other] - middle) ** 2).sum(1).min()))


def _with_ball(
    xyz: np.ndarray, truth: np.ndarray, number: int, rng: np.random.Generator
) -> np.ndarray:
    """With all that is about one of its points: a piece of table or wall."""
    mask = truth[number]
    center = rng.choice(np.flatnonzero(mask))
    return mask | (_distance(xyz, np.array([center])) <= rng.uniform(0.3, 1.2) * _extent(xyz[mask]))


Damage = Callable[[np.ndarray, np.ndarray, int, np.random.Generator], np.ndarray]
DAMAGES: tuple[tuple[Damage, float], ...] = (
    (_whole, 0.1),
    (_grown, 0.15),
    (_shrunk, 0.15),
    (_cut, 0.25),
    (_merged, 0.2),
    (_with_ball, 0.15),
)


def _extent(points: np.ndarray) -> float:
    """The diagonal of the bounding box."""
    return float(np.linalg.norm(np.ptp(points, axis=0)))


def _distance(xyz: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(n,) of each point to the nearest of some of them; infinite where there is none."""
    if len(rows) == 0:
        return np.full(len(xyz), np.inf)
    some = xyz[rows]
    squared = ((some**2).sum(1) - 2 * xyz @ some.T).min(1) + (xyz**2).sum(1)
    return np.sqrt(np.maximum(squared, 0))
