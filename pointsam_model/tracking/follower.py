"""Following a prompted object: its mask becomes the prompt for later clouds.

An earlier mask is projected: each kept point of the new cloud takes the logit of its nearest kept
point in the old one, in the tracking frame. The mask that was prompted takes precedence, and the
latest one supplies the rest, such as sides that came into view; if the next prompt were the latest
answer alone, small errors would accumulate. The network's answer is compared with what was
expected: an object that is not seen is reported as missing, never guessed. When an object is
removed, its mask's rim on the surroundings remains, as wide as the object was; so an answer that
covers only a small part of the expected surface is rejected.

An object that was prompted in a look at its surroundings is searched for in a look of the same
width at each new cloud, around where it may be.
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

SPACINGS = 3.0  # spacings of kept points: an old point farther away does not determine a new one
FEWEST = 3  # least kept points on an object that is prompted for
CLICKS = 3  # on the object, and as many off it; with one, the mask may shrink to a part or grow
RIM = 0.4  # share of a mask's points that are too near its edge to be clicked
AROUND = 0.15, 0.5  # distance from the mask of clicks off it, in radii of the mask
ALIKE = 0.5  # least IoU in space at which the prompted mask is still used
LEAST_EXTENT = 0.4  # least share of the expected surface: less may be the rim that is left behind
SLOW = 0.1  # rate at which sightings change the expected extent
AT_REST = 0.02  # IoU by which a motion must fit better than none


class Follower:
    """Follows one prompted object from cloud to cloud.

        follower = Follower(prediction, stamp_s, transform)
        prompt = follower.prompt(embedding, stamp_s, transform)     # for the next cloud
        (prediction,) = predictor.segment(embedding, [prompt])      # perhaps with other prompts
        instance = follower.see(prediction, stamp_s, transform)     # None: not in this cloud

    Args:
        prediction: the prompted object; its best mask is followed.
        stamp_s: the stamp of its cloud [s].
        transform: (4, 4) from that cloud's coordinate frame to the tracking frame, which is the
            same for all clouds; None: identity.
        config: when an answer counts as the same object.

    Raises:
        PromptError: the mask is empty.
        ValueError: the transform is not rigid.
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
        self._voxel_m = shape.voxel_m  # voxels in which extents are counted
        self._extent = float(self._extent_of(found[0], transform))  # expected, in voxels
        self._mask = _Mask.of(prediction, transform)
        self._look_m = _radius_of(prediction)
        self._told = _Told(self._mask, shape, np.zeros(3))
        self._moved = np.zeros(3)  # assumed in the last prompt, since it was last seen [m]
        self._missed = False  # in the last cloud that was searched

    @property
    def seen_s(self) -> float:
        """The stamp of the last cloud in which the object was seen [s]."""
        return self._motion.seen_s

    def prompt(
        self, embedding: Embedding, stamp_s: float, transform: ArrayLike | None = None
    ) -> Prompt | None:
        """Makes the prompt for a later cloud: clicks on and around the object, and its mask.

        Args:
            embedding: of the whole cloud; a look is used if the object was prompted in one.
            stamp_s, transform: of that cloud, as in the constructor.

        Returns:
            A prompt for `Predictor.segment`; None if too few points are where the object may be:
            it is hidden, out of view, or gone.

        Raises:
            ValueError: the transform is not rigid.
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
        """Checks the answer to `prompt`: returns the object, or None if it is something else.

        Args:
            prediction: the answer of `Predictor.segment`.
            stamp_s, transform: of its cloud.

        Raises:
            ValueError: the transform is not rigid.
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
        """Whether the object was missing for longer than `keep_s`, or time jumped back before it.

        An object that was not searched for since it was seen is not lost, however long ago.
        """
        passed = stamp_s - self._motion.seen_s
        return passed < 0 or (self._missed and passed > self.config.keep_s)

    def _region(
        self, embedding: Embedding, stamp_s: float, transform: ArrayLike | None
    ) -> Ball | None:
        """The part of a cloud to search; None: all of it, as when the object was prompted."""
        if self._look_m is None:
            return None
        way = self._motion.moves(stamp_s)[-1] / 2  # midway: it may have stayed or moved on
        (middle,) = out_of_frame((self._motion.shape.centroid + way)[None], transform)
        ball = looks.rounded(embedding, middle, self._look_m + float(np.linalg.norm(way)))
        return looks.wide_enough(embedding, ball, [middle])

    def _projected(self, points: NDArray[np.float64]) -> NDArray[np.float32]:
        """Logits (k,) at points (k, 3) [m] in the tracking frame, with the object as last seen."""
        told = self._told.mask.projected(points - self._told.moved)
        logits = np.where(np.isnan(told), self._mask.projected(points), told)
        return np.nan_to_num(logits, nan=-SURE)

    def _extent_of(self, instance: Instance, transform: ArrayLike | None) -> int:
        return extent(in_frame(instance.points, transform), self._voxel_m)

    def _shape(self, instance: Instance, transform: ArrayLike | None) -> Shape:
        points = in_frame(instance.points, transform)
        return Shape.of(points, self.config.voxel_share, self.config.voxel_m)


def _radius_of(prediction: Prediction) -> float | None:
    """Radius [m] of the look that gave a prediction; None: the whole cloud."""
    ball = prediction.embedding.region
    return None if ball is None else ball.radius


def _prompt_on(look: Embedding, logits: NDArray[np.float32]) -> MaskPrompt:
    """A mask prompt from logits (k,) over the kept points of a look."""
    return MaskPrompt(sent(logits, look.device), look.region)


@dataclass(frozen=True)
class _Mask:
    """Logits (m,) of a cloud's kept points in the tracking frame, and how far each is valid [m]."""

    tree: cKDTree
    logits: NDArray[np.float32]
    reach_m: float

    @classmethod
    def of(cls, prediction: Prediction, transform: ArrayLike | None) -> _Mask:
        kept = prediction.embedding.kept
        points = in_frame(kept.points + kept.origin, transform)
        logits = prediction.logits[0].clip(-SURE, SURE)
        tree = cKDTree(points)
        # The spacing on the object: a LiDAR's grows with range.
        on = logits > 0
        distances, _ = tree.query(points[on] if on.sum() > 1 else points, k=2)
        return cls(tree, logits, SPACINGS * float(np.median(distances[:, 1])))

    def projected(self, points: NDArray[np.float64]) -> NDArray[np.float32]:
        """Logits (k,) at other points (k, 3) [m] in the tracking frame; NaN: out of reach."""
        distances, nearest = self.tree.query(points, distance_upper_bound=self.reach_m)
        known = np.isfinite(distances)
        return np.where(known, self.logits[np.where(known, nearest, 0)], np.float32(np.nan))


@dataclass(frozen=True, eq=False)
class _Told:
    """The mask that was prompted, its shape, and the object's motion (3,) since then [m]."""

    mask: _Mask
    shape: Shape
    moved: NDArray[np.float64]

    def at(self, seen: Shape, moved: NDArray[np.float64]) -> _Told | None:
        """The mask moved to where the object is now; None: the object looks too different.

        Args:
            seen: the object now.
            moved: (3,) [m], the assumed motion since it was last seen.
        """
        ways = [self.moved, self.moved + moved, seen.centroid - self.shape.centroid]
        overlaps = np.array([self.shape.overlap(seen, way) for way in ways])
        best = int((overlaps + np.array([AT_REST, 0, 0])).argmax())
        return replace(self, moved=ways[best]) if overlaps[best] >= ALIKE else None


def _clicks_on(points: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows of a mask's innermost point and of others well inside, each far from those before."""
    rows = np.flatnonzero(mask)
    if len(rows) == len(points):
        depth = -np.linalg.norm(points - points.mean(0), axis=1)
    else:
        depth, _ = cKDTree(points[~mask]).query(points[rows])
    within = rows[depth >= np.quantile(depth, RIM)]
    return _spread(points, within, int(rows[depth.argmax()]))


def _clicks_off(points: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows of points around a mask, each far from those before; may be empty."""
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
    """At most CLICKS of `rows`, beginning with `first`, each far from those before."""
    clicks = [first]
    apart = np.full(len(rows), np.inf)
    for _ in range(CLICKS - 1):
        step = np.linalg.norm(points[rows] - points[clicks[-1]], axis=1)
        apart = np.minimum(apart, step)
        clicks.append(int(rows[apart.argmax()]))
    return np.array(clicks)
