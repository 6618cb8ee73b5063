"""Following a prompted object: its mask becomes the prompt for later clouds.

An old mask is projected: each point that the network sees of the new cloud takes the logit of its
nearest point of the old one, in the tracking frame. The mask that was prompted says what it knows,
and the last one the rest (sides that came into view): if each answer were all of the next prompt,
small errors would grow from cloud to cloud. What the network answers is compared with what was
expected; an object that is not seen again is lost, and never guessed. Where it was taken away, a
rim is left, which its mask held of its surroundings, and which is as wide as the object was: a
small part of the expected surface is not taken for it.

An object that was prompted in a look at its surroundings is looked for in a look of each new cloud,
as wide, about where it may be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from pointsam_model.cloud import looks
from pointsam_model.cloud.reduction import Ball
from pointsam_model.config.settings import TrackingConfig
from pointsam_model.device.transfer import sent
from pointsam_model.errors import PromptError
from pointsam_model.instances.instance import Instance
from pointsam_model.segment.embedding import Embedding
from pointsam_model.segment.prediction import SURE, MaskPrompt, Prediction, instances_of
from pointsam_model.segment.prompt import Prompt
from pointsam_model.tracking.shape import Motion, Shape, extent, in_frame, out_of_frame

SPACINGS = 3.0  # of the kept points: an old point farther away says nothing of a new one
FEWEST = 3  # kept points on an object that is asked for
CLICKS = 3  # on the object, and off it; one alone lets the mask shrink to a part or grow
RIM = 0.4  # of a mask's points are too near to its edge to be clicked
AROUND = 0.15, 0.5  # of a mask's radius: so far from it are clicks off it
ALIKE = 0.5  # IoU in space from which the prompted mask still tells of the object
LEAST_EXTENT = 0.4  # of the surface that is expected: less may be what is left where it was
SLOW = 0.1  # by so much of the difference each sighting changes what is expected
AT_REST = 0.02  # by so much a motion must explain an object better than none


class Follower:
    """One prompted object from cloud to cloud; drop it to release the object.

        follower = Follower(prediction, stamp_s, transform)
        prompt = follower.prompt(embedding, stamp_s, transform)     # of the next cloud
        (prediction,) = predictor.segment(embedding, [prompt])      # with others, if there are
        instance = follower.see(prediction, stamp_s, transform)     # None: not in this cloud

    Args:
        prediction: the prompted object; its best mask is followed.
        stamp_s: of its cloud [s].
        transform: (4, 4) from that cloud's coordinate frame into the tracking frame, which is the
            same for all clouds; None: they are the same.
        config: what counts as the same object.

    Raises:
        PromptError: the mask is empty.
        ValueError: no rigid transform.
    """

    def __init__(
        self,
        prediction: Prediction,
        stamp_s: float,
        transform: ArrayLike | None = None,
        config: TrackingConfig | None = None,
    ) -> None:
        self.config = config or TrackingConfig()
        found = instances_of(prediction.best())
        if not found:
            raise PromptError("the mask to follow is empty")
        shape = self._shape(found[0], transform)
        self._motion = Motion(shape, stamp_s)
        self._voxel_m = shape.voxel_m  # in which extents are counted
        self._extent = float(self._extent_of(found[0], transform))  # what is expected
        self._mask = _Mask.of(prediction, transform)
        self._look_m = _radius_of(prediction)
        self._told = _Told(self._mask, shape, np.zeros(3))
        self._moved = np.zeros(3)  # in the last cloud, since it was last seen
        self._missed = False  # in the last cloud in which it was looked for

    @property
    def seen_s(self) -> float:
        """The stamp of the newest cloud in which it was seen [s]."""
        return self._motion.seen_s

    def prompt(
        self, embedding: Embedding, stamp_s: float, transform: ArrayLike | None = None
    ) -> Prompt | None:
        """What to ask of a later cloud: clicks spread over the object and around it, and its mask.

        Args:
            embedding: of all of the cloud; it is looked at in part where the object needs that.
            stamp_s, transform: of that cloud.

        Returns:
            A prompt for `Predictor.segment`; None where too little is seen at the places where the
            object may be: it is hidden, out of view, or gone.

        Raises:
            ValueError: no rigid transform.
        """
        if self.lost(stamp_s):
            return None
        look = embedding.look_at(self._region(embedding, stamp_s, transform))
        kept = look.kept.points + look.kept.origin
        points = in_frame(kept, transform)
        best, logits = 0.0, np.zeros(0, np.float32)
        for moved in self._motion.moves(stamp_s):
            projected = self._projected(points - moved)
            if np.count_nonzero(projected > 0) < FEWEST:
                continue
            there = Shape.of(points[projected > 0], self.config.voxel_share, self.config.voxel_m)
            overlap = self._motion.shape.overlap(there, moved)
            if overlap > best:
                best, logits, self._moved = overlap, projected, moved
        self._missed = best < self.config.min_overlap
        if self._missed:
            return None
        on, off = _clicks_on(points, logits > 0), _clicks_off(points, logits > 0)
        labels = np.repeat([1, 0], [len(on), len(off)])
        mask = logits if look is embedding else _prompt_on(look, logits)
        return Prompt(kept[np.concatenate([on, off])], labels, mask)

    def see(
        self, prediction: Prediction, stamp_s: float, transform: ArrayLike | None = None
    ) -> Instance | None:
        """What was answered to `prompt`: the object, or None if this is something else.

        Raises:
            ValueError: no rigid transform.
        """
        if self.lost(stamp_s):
            return None
        self._missed = True  # unless it is found
        found = instances_of(prediction.best())
        if not found or found[0].score < self.config.follow_min_score:
            return None
        shape = self._shape(found[0], transform)
        if self._motion.overlaps([shape], stamp_s)[0] < self.config.min_overlap:
            return None
        shown = self._extent_of(found[0], transform)
        if shown < LEAST_EXTENT * self._extent:
            return None
        self._extent += SLOW * (shown - self._extent)
        self._motion.see(shape, stamp_s, self.config.max_speed)
        self._mask = _Mask.of(prediction, transform)
        self._told = self._told.at(shape, self._moved) or _Told(self._mask, shape, np.zeros(3))
        self._missed = False
        return found[0]

    def lost(self, stamp_s: float) -> bool:
        """Whether it was missed for longer than `keep_s`, or time went back behind it.

        One that was never looked for since it was seen is not lost, however long ago that was.
        """
        passed = stamp_s - self._motion.seen_s
        return passed < 0 or (self._missed and passed > self.config.keep_s)

    def _region(
        self, embedding: Embedding, stamp_s: float, transform: ArrayLike | None
    ) -> Ball | None:
        """The part of a cloud to look for it in; None: all of it, as before."""
        if self._look_m is None:
            return None
        way = self._motion.moves(stamp_s)[-1] / 2  # it may have stayed, or gone on
        (middle,) = out_of_frame((self._motion.shape.centroid + way)[None], transform)
        ball = looks.rounded(embedding, middle, self._look_m + float(np.linalg.norm(way)))
        return looks.wide_enough(embedding, ball, [middle])

    def _projected(self, points: NDArray[np.float64]) -> NDArray[np.float32]:
        """Logits (k,) of points (k, 3) of the tracking frame, as if it stood where last seen."""
        told = self._told.mask.projected(points - self._told.moved)
        logits = np.where(np.isnan(told), self._mask.projected(points), told)
        return np.nan_to_num(logits, nan=-SURE)

    def _extent_of(self, instance: Instance, transform: ArrayLike | None) -> int:
        return extent(in_frame(instance.points, transform), self._voxel_m)

    def _shape(self, instance: Instance, transform: ArrayLike | None) -> Shape:
        points = in_frame(instance.points, transform)
        return Shape.of(points, self.config.voxel_share, self.config.voxel_m)


def _radius_of(prediction: Prediction) -> float | None:
    """Of the look that it was answered from; None: from all of the cloud."""
    ball = prediction.embedding.region
    return None if ball is None else ball.radius


def _prompt_on(look: Embedding, logits: NDArray[np.float32]) -> MaskPrompt:
    """Logits (k,) of the kept points of a look, as a prompt that belongs to it."""
    return MaskPrompt(sent(logits, look.device), look.region)


@dataclass(frozen=True)
class _Mask:
    """Logits (m,) of a cloud's kept points in the tracking frame, and how far they reach [m]."""

    tree: cKDTree
    logits: NDArray[np.float32]
    reach_m: float

    @classmethod
    def of(cls, prediction: Prediction, transform: ArrayLike | None) -> _Mask:
        kept = prediction.embedding.kept
        points = in_frame(kept.points + kept.origin, transform)
        logits = prediction.logits[0].clip(-SURE, SURE)
        tree = cKDTree(points)
        # The spacing on the object: a LiDAR's grows with the distance.
        on = logits > 0
        distances, _ = tree.query(points[on] if on.sum() > 1 else points, k=2)
        return cls(tree, logits, SPACINGS * float(np.median(distances[:, 1])))

    def projected(self, points: NDArray[np.float64]) -> NDArray[np.float32]:
        """Logits (k,) of other points (k, 3) of the tracking frame; NaN: out of reach."""
        distances, nearest = self.tree.query(points, distance_upper_bound=self.reach_m)
        known = np.isfinite(distances)
        return np.where(known, self.logits[np.where(known, nearest, 0)], np.float32(np.nan))


@dataclass(frozen=True, eq=False)
class _Told:
    """The mask that was prompted, the shape it gave, and how far (3,) that has moved since [m]."""

    mask: _Mask
    shape: Shape
    moved: NDArray[np.float64]

    def at(self, seen: Shape, moved: NDArray[np.float64]) -> _Told | None:
        """Where it is by now; None: the object looks so different that it tells no more of it.

        Args:
            seen: the object now.
            moved: (3,) [m], by which it was thought to move since it was last seen.
        """
        ways = [self.moved, self.moved + moved, seen.centroid - self.shape.centroid]
        overlaps = np.array([self.shape.overlap(seen, way) for way in ways])
        best = int((overlaps + np.array([AT_REST, 0, 0])).argmax())
        return replace(self, moved=ways[best]) if overlaps[best] >= ALIKE else None


def _clicks_on(points: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows of a mask's innermost point and of others well within it, each far from those before."""
    rows = np.flatnonzero(mask)
    if len(rows) == len(points):
        depth = -np.linalg.norm(points - points.mean(0), axis=1)
    else:
        depth, _ = cKDTree(points[~mask]).query(points[rows])
    within = rows[depth >= np.quantile(depth, RIM)]
    return _spread(points, within, int(rows[depth.argmax()]))


def _clicks_off(points: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows of points around a mask, each far from those before; none where there are none."""
    middle = points[mask].mean(0)
    radius = np.linalg.norm(points[mask] - middle, axis=1).max()
    least, most = (share * radius for share in AROUND)
    rows = np.flatnonzero(~mask)
    away, _ = cKDTree(points[mask]).query(points[rows], distance_upper_bound=most)
    around = rows[(away > least) & np.isfinite(away)]
    if not len(around):
        return around
    farthest = np.linalg.norm(points[around] - middle, axis=1).argmax()
    return _spread(points, around, int(around[farthest]))


def _spread(points: NDArray[np.float64], rows: NDArray[np.int64], first: int) -> NDArray[np.int64]:
    """The first of CLICKS rows and others among `rows`, each far from those before."""
    clicks = [first]
    apart = np.full(len(rows), np.inf)
    for _ in range(CLICKS - 1):
        step = np.linalg.norm(points[rows] - points[clicks[-1]], axis=1)
        apart = np.minimum(apart, step)
        clicks.append(int(rows[apart.argmax()]))
    return np.array(clicks)
