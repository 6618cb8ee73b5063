"""What is known of candidate masks that tells good ones from bad ones."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pointsam_model.geometry import Partition
from pointsam_model.geometry.occlusions import Pairs, occlusions
from pointsam_model.geometry.supports import Supports, supports
from pointsam_model.quality.candidates import UNKNOWN, Origin, Pool

Float = NDArray[np.float32]

RIM = 0.9  # of the distances from the middle: points beyond it are the rim of what is seen
CLICKED = 8  # points about a click whose colour is the click's
FARTHEST_OFF = 3.0  # extents of a mask: how far from what bears it, farther is all the same
PARTED = 0.5  # cut probability from which an edge is one between objects
ONE_HOT = tuple(origin for origin in Origin if origin not in (Origin.PART, Origin.NETWORK))
FEATURES = 50 + len(ONE_HOT)
NETWORKS_OWN = (*range(15, 20), 26, 27)  # numbers that rest on the logits or scores of a checkpoint


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What is the same for all pools on a partition.

    Attributes:
        weight: (m,) source points that each kept point speaks for.
        moments: (m,10) 1, x, y, z and their products about the middle.
        rim: (m,) bool.
        diagonal: of all points [m].
        edge: (6,e) 1, cut probability, whether it is likely, change of colour (0 to 1; 0 without
            colours), and the same of edges that are not cut, and of those that are.
        colors: (m,3) 0 to 1; None: there are none.
        supports: the planes that bear things.
        occlusions: rows of points, and of those that are seen behind them.
    """

    weight: Float
    moments: Float
    rim: NDArray[np.bool_]
    diagonal: float
    edge: Float
    colors: Float | None
    supports: Supports
    occlusions: Pairs

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        values = (getattr(self, it.name) for it in fields(self))
        arrays = sum(it.nbytes for it in values if isinstance(it, np.ndarray))
        return arrays + self.supports.nbytes + sum(it.nbytes for it in self.occlusions)

    @classmethod
    def of(
        cls,
        partition: Partition,
        weight: Float,
        colors: Float | None = None,
        sensor: NDArray[np.float64] | None = None,
    ) -> Surroundings:
        """Of a partition, (m,) source points for each of its points, (m,3) colours, 0 to 1, and
        (3,) the sensor's place in its coordinates, if it is known."""
        points = partition.points - partition.points.mean(0)
        x, y, z = points.T
        moments = np.stack([np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], 1)
        distance = np.sqrt(np.square(points).sum(1))
        cut = partition.cut
        step = np.zeros_like(cut)
        if colors is not None:
            step = np.abs(colors[partition.start] - colors[partition.end]).mean(1)
        return cls(
            np.asarray(weight, np.float32),
            moments.astype(np.float32),
            distance > np.quantile(distance, RIM),
            float(np.linalg.norm(points.max(0) - points.min(0))),
            np.stack(
                [np.ones_like(cut), cut, cut > PARTED, step, step * (1 - cut), step * cut]
            ).astype(np.float32),
            colors,
            supports(partition.points, partition.spacing),
            occlusions(partition.points, sensor, partition.spacing),
        )


def features_of(pool: Pool, partition: Partition, around: Surroundings) -> Float:
    """(c,FEATURES) numbers about each candidate of a pool."""
    masks = np.stack(pool.masks)
    columns = [
        *_sizes_and_borders(masks, partition, around),
        *_network_agreement(masks, pool, around),
        *_pool_agreement(masks, pool, around),
        *_own(pool),
        *_shape(masks, partition, around),
        *_about_click(masks, pool, around),
        *_request(masks, pool, around),
        *_occluded(masks, around),
        _unlike_click(masks, pool, around),
        *_supported(masks, around),
    ]
    return np.stack(columns, 1).astype(np.float32)


def _sizes_and_borders(
    masks: NDArray[np.bool_], partition: Partition, around: Surroundings
) -> list[Float]:
    by_point = np.ascontiguousarray(masks.T.view(np.uint8))
    one, other = by_point[partition.start], by_point[partition.end]
    of_crossing = around.edge @ (one ^ other).astype(np.float32)
    of_within = around.edge @ (one & other).astype(np.float32)
    crossing, cut_crossing, _, step_crossing, firm_step, step_at_cut = of_crossing
    within, cut_within, parted_within, step_within, _, step_at_cut_within = of_within
    firm_crossing = crossing - cut_crossing
    count = masks.sum(1).astype(np.float32)
    share = masks @ around.weight / around.weight.sum()
    root = np.sqrt(within + 1)
    return [
        np.log(count + 1),
        np.log(share + 1e-4),
        cut_crossing / (crossing + 1),
        firm_crossing / (crossing + within + 1),
        firm_crossing / root,
        cut_within / (within + 1),
        parted_within / root,
        parted_within / (within + 1),
        step_crossing / (crossing + 1),
        step_within / (within + 1),
        firm_step / (firm_crossing + 1),
        step_at_cut / (cut_crossing + 1),
        step_at_cut_within / (cut_within + 1),
    ]


def _network_agreement(masks: NDArray[np.bool_], pool: Pool, around: Surroundings) -> list[Float]:
    logits, scores = pool.network.logits, pool.network.scores
    overlap = _overlap(masks, logits > 0, around.weight)
    weighted = masks * around.weight
    probability = 1 / (1 + np.exp(-logits.clip(-30, 30)))
    shared = weighted @ probability.T
    soft = shared / np.maximum(weighted.sum(1)[:, None] + probability @ around.weight - shared, 1)
    best = int(scores.argmax())
    return [
        overlap.max(1),
        overlap.mean(1),
        overlap[:, best],
        soft.max(1),
        soft.mean(1),
        (overlap * scores).max(1),
        np.full(len(masks), scores[best], np.float32),
    ]


def _pool_agreement(masks: NDArray[np.bool_], pool: Pool, around: Surroundings) -> list[Float]:
    overlap = _overlap(masks, masks, around.weight)
    part = np.array([origin == Origin.PART for origin in pool.origin])
    nothing = np.zeros(len(masks), np.float32)
    return [
        (overlap.sum(1) - 1) / max(len(masks) - 1, 1),
        overlap[:, part].mean(1) if part.any() else nothing,
        overlap[:, ~part].mean(1) if not part.all() else nothing,
    ]


def _own(pool: Pool) -> list[Float]:
    part = [origin == Origin.PART for origin in pool.origin]
    values = part, pool.height, pool.above, pool.score, pool.stability
    return [np.array(value, np.float32) for value in values]


def _shape(masks: NDArray[np.bool_], partition: Partition, around: Surroundings) -> list[Float]:
    """How long, broad and thick a mask is, and how much of it is at the rim."""
    count, *rest = (masks.astype(np.float32) @ around.moments).T
    count = np.maximum(count, 1)
    mean = np.stack(rest[:3], 1) / count[:, None]
    covariance = np.empty((len(masks), 3, 3))
    for (a, b), value in zip(
        ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)), rest[3:], strict=True
    ):
        covariance[:, a, b] = covariance[:, b, a] = value / count - mean[:, a] * mean[:, b]
    variances, directions = np.linalg.eigh(covariance)
    axes = np.sqrt(variances.clip(0))[:, ::-1]
    long = np.maximum(axes[:, 0], 1e-9)
    coplanar, one_sided = _about_plane(masks, mean, directions[:, :, 0], partition, around)
    return [
        coplanar,
        one_sided,
        np.log(4 * axes[:, 0] / max(around.diagonal, 1e-9) + 1e-3),
        axes[:, 1] / long,
        axes[:, 2] / long,
        np.log(axes[:, 2] / max(partition.spacing, 1e-9) + 1e-2),
        (masks & around.rim).sum(1) / count,
        count / count.max(),
    ]


def _about_plane(
    masks: NDArray[np.bool_],
    mean: NDArray[np.floating],
    normal: NDArray[np.floating],
    partition: Partition,
    around: Surroundings,
) -> tuple[Float, Float]:
    """What else lies in the plane that fits a mask best (c,), and how much of the rest lies on one
    side of it (c,): a floor, a wall or a table top has little else in it, and all on one side."""
    points = around.moments[:, 1:4]
    off = points @ normal.T.astype(np.float32) - (mean * normal).sum(1).astype(np.float32)
    rest = ~masks * around.weight
    within = np.abs(off.T) < partition.spacing
    beside = (rest * within).sum(1)
    one, other = ((rest * (~within & side)).sum(1) for side in (off.T > 0, off.T < 0))
    own = np.maximum(masks @ around.weight, 1)
    return (
        np.asarray(beside / (own + beside), np.float32),
        np.asarray(np.maximum(one, other) / (one + other + 1), np.float32),
    )


def _about_click(masks: NDArray[np.bool_], pool: Pool, around: Surroundings) -> tuple[Float, Float]:
    """How far off the middle of a mask (c,), and how deep inside it (c,), the first click on the
    object is, in its extents: people click well inside of what they mean. 0 without a click."""
    nothing = np.zeros(len(masks), np.float32)
    if not pool.asked.on:
        return nothing, nothing
    points = around.moments[:, 1:4]
    count = np.maximum(masks.sum(1), 1).astype(np.float32)
    middle = masks @ points / count[:, None]
    extent = np.sqrt(
        np.maximum(masks @ np.square(points).sum(1) / count - np.square(middle).sum(1), 1e-12)
    )
    away = np.sqrt(np.square(points - points[pool.asked.on[0]]).sum(1))
    depth = np.where(masks, np.float32(np.inf), away).min(1)
    depth = np.where(np.isfinite(depth), depth, around.diagonal)
    off = np.sqrt(np.square(middle - points[pool.asked.on[0]]).sum(1))
    return np.asarray(off / extent, np.float32), np.asarray(depth / extent, np.float32)


def _request(masks: NDArray[np.bool_], pool: Pool, around: Surroundings) -> list[Float]:
    """How candidates stand to the clicks and to the mask so far."""
    asked, c = pool.asked, len(masks)
    before = asked.so_far if asked.so_far is not None else asked.claimed
    kept, growth = np.zeros(c, np.float32), np.zeros(c, np.float32)
    if before is not None:
        kept = _overlap(masks, before[None], around.weight)[:, 0]
        size = max(float(around.weight[before].sum()), 1.0)
        growth = np.log(masks @ around.weight / size + 1e-3)
    numbers = len(asked.clicks), len(asked.off)
    origin = np.array(pool.origin)
    return [
        *(np.full(c, number, np.float32) for number in numbers),
        pool.disobedience().astype(np.float32),
        kept,
        growth,
        np.full(c, float(pool.score.count(UNKNOWN) < c), np.float32),
        *((origin == own).astype(np.float32) for own in ONE_HOT),
    ]


def _unlike_click(masks: NDArray[np.bool_], pool: Pool, around: Surroundings) -> Float:
    """How far the colours of a mask are from that about the first click on the object, in the mean
    (c,); 0 without colours or clicks."""
    if around.colors is None or not pool.asked.on:
        return np.zeros(len(masks), np.float32)
    points, click = around.moments[:, 1:4], pool.asked.on[0]
    away = np.square(points - points[click]).sum(1)
    about = np.argpartition(away, min(CLICKED, len(away) - 1))[:CLICKED]
    off = np.abs(around.colors - around.colors[about].mean(0)).mean(1)
    count = np.maximum(masks.sum(1), 1).astype(np.float32)
    return np.asarray(masks @ off.astype(np.float32) / count, np.float32)


def _occluded(masks: NDArray[np.bool_], around: Surroundings) -> list[Float]:
    """How much of a mask's outline is hidden behind other things, and hides them itself: what is
    seen as a whole hides, and is hidden by nothing."""
    near, far = around.occlusions
    by_point = np.ascontiguousarray(masks.T)
    before, behind = by_point[near], by_point[far]
    root = np.sqrt(masks.sum(1) + 1).astype(np.float32)
    hidden = (behind & ~before).sum(0) / root
    hides = (before & ~behind).sum(0) / root
    return [hidden.astype(np.float32), hides.astype(np.float32)]


def _supported(masks: NDArray[np.bool_], around: Surroundings) -> list[Float]:
    """How much of a mask is a plane that bears things, how much of such a plane it covers at most,
    and how far from one it ends, in its own extent: most things stand or lie on something."""
    within, away = around.supports.within, around.supports.away
    nothing = np.zeros(len(masks), np.float32)
    if len(within) == 0:
        return [nothing, nothing, nothing]
    count = np.maximum(masks.sum(1), 1).astype(np.float32)
    as_numbers = masks.astype(np.float32)
    shared = as_numbers @ within.T.astype(np.float32)
    own = shared.max(1) / count
    covered = (shared / within.sum(1)).max(1)
    ends = np.stack([np.where(masks, of, np.float32(np.inf)).min(1) for of in away]).min(0)
    middle = as_numbers @ around.moments[:, 1:4] / count[:, None]
    squares = as_numbers @ np.square(around.moments[:, 1:4]).sum(1) / count
    extent = np.sqrt(np.maximum(squares - np.square(middle).sum(1), 1e-12))
    floating = np.minimum(np.where(np.isfinite(ends), ends, 0) / extent, FARTHEST_OFF)
    return [own, covered, floating.astype(np.float32)]


def _overlap(masks: NDArray[np.bool_], others: NDArray[np.bool_], weight: Float) -> Float:
    """IoU (c,o) of masks (c,m) and others (o,m) over source points."""
    weighted = masks * weight
    shared = weighted @ others.T.astype(np.float32)
    union = weighted.sum(1)[:, None] + others @ weight - shared
    return np.asarray(shared / np.maximum(union, 1), np.float32)
