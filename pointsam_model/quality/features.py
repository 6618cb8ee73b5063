"""What is known of candidate masks that tells good ones from bad ones."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pointsam_model.geometry import Partition
from pointsam_model.geometry.occlusions import Pairs, occlusions
from pointsam_model.geometry.supports import Supports, supports
from pointsam_model.quality import nesting
from pointsam_model.quality.candidates import UNKNOWN, Origin, Pool
from pointsam_model.quality.regions import Regions

Float = NDArray[np.float32]
Double = NDArray[np.float64]

RIM = 0.9  # of the distances from the middle: points beyond it are the rim of what is seen
CLICKED = 8  # points about a click whose colour is the click's
FARTHEST_OFF = 3.0  # extents of a mask: how far from what bears it, farther is all the same
PARTED = 0.5  # cut probability from which an edge is one between objects
ONE_HOT = tuple(origin for origin in Origin if origin not in (Origin.PART, Origin.NETWORK))
FEATURES = 50 + nesting.FEATURES + len(ONE_HOT)
NETWORKS_OWN = (*range(15, 20), 26, 27, 64, 68)  # what rests on logits or scores of a checkpoint


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What is the same for all pools on a partition.

    Attributes:
        weight: (m,) source points that each kept point speaks for.
        points: (4,m) x, y, z about the middle [m], and 1.
        summed: (m,21+p) float64, what is summed over masks: 1, x, y, z and their products; weight;
            whether it is at the rim; half the sum of `edge` over the edges that end there; colours
            times weight (0 without colours); whether it is in each of the planes that bear things.
        diagonal: of all points [m].
        edge: (e,6) 1, cut probability, whether it is likely, change of colour (0 to 1; 0 without
            colours), and the same of edges that are not cut, and of those that are.
        colors: (m,3) 0 to 1; None: there are none.
        supports: the planes that bear things.
        occlusions: rows of points, and of those that are seen behind them.
    """

    weight: Float
    points: Float
    summed: Double
    diagonal: float
    edge: Float
    colors: Float | None
    supports: Supports
    occlusions: Pairs

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        values = (getattr(self, field.name) for field in fields(self))
        arrays = sum(value.nbytes for value in values if isinstance(value, np.ndarray))
        return (
            arrays + self.supports.nbytes + sum(occlusion.nbytes for occlusion in self.occlusions)
        )

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
        x, y, z = points.T.astype(np.float64)
        one = np.ones_like(x)
        moments = one, x, y, z, x * x, y * y, z * z, x * y, x * z, y * z
        distance = np.sqrt(np.square(points).sum(1))
        cut = partition.cut
        step = np.zeros_like(cut)
        if colors is not None:
            step = np.abs(colors[partition.start] - colors[partition.end]).mean(1)
        edge = np.ones_like(cut), cut, cut > PARTED, step, step * (1 - cut), step * cut
        ends, m = (partition.start, partition.end), len(partition)
        half = (sum(np.bincount(end, weight, m) for end in ends) / 2 for weight in edge)
        rim = distance > np.quantile(distance, RIM)
        bearing = supports(partition.points, partition.spacing)
        shades = np.zeros((m, 3)) if colors is None else colors * weight[:, None]
        return cls(
            np.asarray(weight, np.float32),
            np.stack([x, y, z, one]).astype(np.float32),
            np.stack([*moments, weight, rim, *half, *shades.T, *bearing.within], 1),
            float(np.linalg.norm(points.max(0) - points.min(0))),
            np.stack(edge, 1).astype(np.float32),
            colors,
            bearing,
            occlusions(partition.points, sensor, partition.spacing),
        )


@dataclass(frozen=True, eq=False)
class _Summed:
    """What is summed over the points of each of c candidates.

    Attributes:
        masks: (c,m).
        count: (c,) points; weight: (c,) source points; rim: (c,) points at the rim.
        moments: (c,9) x, y, z and their products.
        crossing: (c,6) sums of `Surroundings.edge` over the edges that leave a candidate.
        within: (c,6) the same of those inside of it.
        soft: (c,a) IoU with the network's answers, each point counted as their probability says.
        overlap: (c,o) IoU with the candidates, with the network's a answers, and with the mask
            before, if there is one.
        supported: (c,p) points in each plane that bears things.
        off_support: (c,) distance of the nearest point to any of these planes [m]; infinite
            without any.
        hidden: (c,) its points right behind one that is not its own, as the sensor sees them;
            hides: (c,) such points behind its own.
        nested: what `nesting` goes by.
    """

    masks: NDArray[np.bool_]
    count: Double
    weight: Double
    rim: Double
    moments: Double
    crossing: Double
    within: Double
    soft: Double
    overlap: Double
    supported: Double
    off_support: Double
    hidden: Double
    hides: Double
    nested: nesting.Sums

    @classmethod
    def of(cls, pool: Pool, partition: Partition, around: Surroundings) -> _Summed:
        masks, so_far = np.stack(pool.masks), pool.asked.before
        others = pool.network.logits > 0
        every = [masks, others] if so_far is None else [masks, others, so_far[None]]
        regions = Regions.of(np.concatenate(every))
        c = len(masks)
        inside = regions.inside.astype(np.float64)
        of_regions = regions.sums(around.summed)
        sums = inside @ of_regions
        probability = 1 / (1 + np.exp(-pool.network.logits.clip(-30, 30)))
        probable = regions.sums((probability * around.weight).T)
        probably_both = inside[:c] @ probable
        one, other = regions.number[partition.start], regions.number[partition.end]
        # Within a region no edge can leave a mask.
        between = np.flatnonzero(one != other)
        holding = np.ascontiguousarray(regions.inside[:c].T)
        leaves = holding[one[between]] != holding[other[between]]
        crossing = (around.edge[between].T @ leaves.astype(np.float32)).T.astype(np.float64)
        near, far = around.occlusions
        before, behind = holding[regions.number[near]], holding[regions.number[far]]
        off = np.full((len(around.supports.away), regions.inside.shape[1]), np.inf)
        for nearest, away in zip(off, around.supports.away, strict=True):
            np.minimum.at(nearest, regions.number, away)
        weight = sums[:, 10]
        shared = (inside[:c] * of_regions[:, 10]) @ inside.T
        overlap = shared / np.maximum(weight[:c, None] + weight - shared, 1)
        sums = sums[:c]
        either = sums[:, 10, None] + probable.sum(0) - probably_both
        return cls(
            masks,
            sums[:, 0],
            sums[:, 10],
            sums[:, 11],
            sums[:, 1:10],
            crossing,
            # Half the edges at its points: those within once, those that leave it half.
            np.maximum(sums[:, 12:18] - crossing / 2, 0),
            probably_both / np.maximum(either, 1),
            overlap,
            sums[:, 21:],
            np.where(regions.inside[:c], off.min(0, initial=np.inf), np.inf).min(1),
            (behind & ~before).sum(0).astype(np.float64),
            (before & ~behind).sum(0).astype(np.float64),
            nesting.Sums(
                sums[:, 10],
                shared[:, :c],
                overlap[:, :c],
                probably_both[:, int(pool.network.scores.argmax())],
                sums[:, 18:21],
            ),
        )

    def __len__(self) -> int:
        """Number c of candidates."""
        return len(self.masks)


def features_of(pool: Pool, partition: Partition, around: Surroundings) -> Float:
    """(c,FEATURES) numbers about each candidate of a pool."""
    summed = _Summed.of(pool, partition, around)
    columns = [
        *_sizes_and_borders(summed, around),
        *_network_agreement(summed, pool),
        *_pool_agreement(summed, pool),
        *_own(pool),
        *_shape(summed, partition, around),
        *_about_click(summed, pool, around),
        *_request(summed, pool, around),
        *_occluded(summed),
        _unlike_click(summed, pool, around),
        *_supported(summed, around),
        *_nested(summed, pool),
    ]
    return np.stack(columns, 1).astype(np.float32)


def _sizes_and_borders(summed: _Summed, around: Surroundings) -> list[Double]:
    crossing, cut_crossing, _, step_crossing, firm_step, cut_step = summed.crossing.T
    within, cut_within, parted_within, step_within, _, cut_step_within = summed.within.T
    firm_crossing = crossing - cut_crossing
    root = np.sqrt(within + 1)
    return [
        np.log(summed.count + 1),
        np.log(summed.weight / around.weight.sum() + 1e-4),
        cut_crossing / (crossing + 1),
        firm_crossing / (crossing + within + 1),
        firm_crossing / root,
        cut_within / (within + 1),
        parted_within / root,
        parted_within / (within + 1),
        step_crossing / (crossing + 1),
        step_within / (within + 1),
        firm_step / (firm_crossing + 1),
        cut_step / (cut_crossing + 1),
        cut_step_within / (cut_within + 1),
    ]


def _network_agreement(summed: _Summed, pool: Pool) -> list[Double]:
    scores, c = pool.network.scores, len(summed)
    overlap = summed.overlap[:, c : c + len(scores)]
    soft = summed.soft
    best = int(scores.argmax())
    return [
        overlap.max(1),
        overlap.mean(1),
        overlap[:, best],
        soft.max(1),
        soft.mean(1),
        (overlap * scores).max(1),
        np.full(c, scores[best], np.float64),
    ]


def _pool_agreement(summed: _Summed, pool: Pool) -> list[Double]:
    c = len(summed)
    overlap = summed.overlap[:, :c]
    part = np.array([origin == Origin.PART for origin in pool.origin])
    nothing = np.zeros(c)
    return [
        (overlap.sum(1) - 1) / max(c - 1, 1),
        overlap[:, part].mean(1) if part.any() else nothing,
        overlap[:, ~part].mean(1) if not part.all() else nothing,
    ]


def _own(pool: Pool) -> list[Double]:
    part = [origin == Origin.PART for origin in pool.origin]
    values = part, pool.height, pool.above, pool.score, pool.stability
    return [np.array(value, np.float64) for value in values]


def _shape(summed: _Summed, partition: Partition, around: Surroundings) -> list[Double]:
    """How long, broad and thick a mask is, and how much of it is at the rim."""
    count = np.maximum(summed.count, 1)
    mean = summed.moments[:, :3] / count[:, None]
    covariance = np.empty((len(summed), 3, 3))
    for (a, b), value in zip(
        ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)), summed.moments[:, 3:].T, strict=True
    ):
        covariance[:, a, b] = covariance[:, b, a] = value / count - mean[:, a] * mean[:, b]
    variances, directions = np.linalg.eigh(covariance)
    axes = np.sqrt(variances.clip(0))[:, ::-1]
    long = np.maximum(axes[:, 0], 1e-9)
    coplanar, one_sided = _about_plane(summed, mean, directions[:, :, 0], partition, around)
    return [
        coplanar,
        one_sided,
        np.log(4 * axes[:, 0] / max(around.diagonal, 1e-9) + 1e-3),
        axes[:, 1] / long,
        axes[:, 2] / long,
        np.log(axes[:, 2] / max(partition.spacing, 1e-9) + 1e-2),
        summed.rim / count,
        count / count.max(),
    ]


def _about_plane(
    summed: _Summed, mean: Double, normal: Double, partition: Partition, around: Surroundings
) -> tuple[Double, Double]:
    """What else lies in the plane that fits a mask best (c,), and how much of the rest lies on one
    side of it (c,): a floor, a wall or a table top has little else in it, and all on one side."""
    plane = np.concatenate((normal, -(mean * normal).sum(1, keepdims=True)), 1)
    off = plane.astype(np.float32) @ around.points
    rest = ~summed.masks
    one, other = (
        (side & rest).astype(np.float32) @ around.weight
        for side in (off >= partition.spacing, off <= -partition.spacing)
    )
    beside = np.maximum(around.weight.sum() - summed.weight - one - other, 0)
    own = np.maximum(summed.weight, 1)
    return beside / (own + beside), np.maximum(one, other) / (one + other + 1)


def _about_click(summed: _Summed, pool: Pool, around: Surroundings) -> tuple[Double, Double]:
    """How far off the middle of a mask (c,), and how deep inside it (c,), the first click on the
    object is, in its extents: people click well inside of what they mean. 0 without a click."""
    nothing = np.zeros(len(summed))
    if not pool.asked.on:
        return nothing, nothing
    points = around.points[:3]
    click = points[:, pool.asked.on[0]]
    middle, extent = _middle_and_extent(summed)
    away = np.sqrt(np.square(points - click[:, None]).sum(0))
    depth = np.where(summed.masks, np.float32(np.inf), away).min(1)
    depth = np.where(np.isfinite(depth), depth, around.diagonal)
    off = np.sqrt(np.square(middle - click).sum(1))
    return off / extent, depth / extent


def _request(summed: _Summed, pool: Pool, around: Surroundings) -> list[Double]:
    """How candidates stand to the clicks and to the mask so far."""
    asked, c = pool.asked, len(summed)
    before = asked.before
    kept, growth = np.zeros(c), np.zeros(c)
    if before is not None:
        kept = summed.overlap[:, -1]
        size = max(float(around.weight[before].sum()), 1.0)
        growth = np.log(summed.weight / size + 1e-3)
    numbers = len(asked.clicks), len(asked.off)
    origin = np.fromiter(pool.origin, np.int64, c)[:, None] == np.array(ONE_HOT)
    return [
        *(np.full(c, number, np.float64) for number in numbers),
        pool.disobedience().astype(np.float64),
        kept,
        growth,
        np.full(c, float(pool.score.count(UNKNOWN) < c)),
        *origin.astype(np.float64).T,
    ]


def _occluded(summed: _Summed) -> list[Double]:
    """How much of a mask's outline is hidden behind other things, and hides them itself: what is
    seen as a whole hides, and is hidden by nothing."""
    root = np.sqrt(summed.count + 1)
    return [summed.hidden / root, summed.hides / root]


def _unlike_click(summed: _Summed, pool: Pool, around: Surroundings) -> Double:
    """How far the colours of a mask are from that about the first click on the object, in the mean
    (c,); 0 without colours or clicks."""
    if around.colors is None or not pool.asked.on:
        return np.zeros(len(summed))
    points = around.points[:3]
    away = np.square(points - points[:, pool.asked.on[:1]]).sum(0)
    about = np.argpartition(away, min(CLICKED, len(away) - 1))[:CLICKED]
    off = np.abs(around.colors - around.colors[about].mean(0)).mean(1)
    return np.asarray(summed.masks @ off / np.maximum(summed.count, 1), np.float64)


def _supported(summed: _Summed, around: Surroundings) -> list[Double]:
    """How much of a mask is a plane that bears things, how much of such a plane it covers at most,
    and how far from one it ends, in its own extent: most things stand or lie on something."""
    within = around.supports.within
    nothing = np.zeros(len(summed))
    if len(within) == 0:
        return [nothing, nothing, nothing]
    own = summed.supported.max(1) / np.maximum(summed.count, 1)
    covered = (summed.supported / within.sum(1)).max(1)
    _, extent = _middle_and_extent(summed)
    off = np.where(np.isfinite(summed.off_support), summed.off_support, 0)
    return [own, covered, np.minimum(off / extent, FARTHEST_OFF)]


def _nested(summed: _Summed, pool: Pool) -> list[Double]:
    part = np.array([origin == Origin.PART for origin in pool.origin])
    return nesting.nesting(summed.nested, part, np.array(pool.height), np.array(pool.above))


def _middle_and_extent(summed: _Summed) -> tuple[Double, Double]:
    """The middle (c,3) of masks, about that of all points, and their extent (c,) about it [m]."""
    count = np.maximum(summed.count, 1)
    middle = summed.moments[:, :3] / count[:, None]
    squares = summed.moments[:, 3:6].sum(1) / count
    return middle, np.sqrt(np.maximum(squares - np.square(middle).sum(1), 1e-12))
