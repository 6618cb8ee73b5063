"""Following a prompted object: its mask in one cloud becomes the prompt for the next.

The old mask is projected: each point that the network sees of the new cloud takes the logit of its
nearest point of the old one, in the tracking frame. What the network answers is compared with what
was expected; an object that is not seen again is lost, and never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from pointsam_model.config import TrackingConfig
from pointsam_model.embedding import Embedding
from pointsam_model.errors import PromptError
from pointsam_model.instances import Instance, instances_of
from pointsam_model.prompt import Prediction, Prompt
from pointsam_model.tracking_shapes import Motion, Shape, in_frame

SURE = 8.0  # logits beyond it count as this: an old mask does not overrule a new cloud
SPACINGS = 3.0  # of the kept points: an old point farther away says nothing of a new one
FEWEST = 3  # kept points on an object that is asked for
CLICKS = 3  # of a prompt; one alone lets the mask shrink to a part or grow from cloud to cloud
RIM = 0.4  # of a mask's points are too near to its edge to be clicked


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
        self._motion = Motion(self._shape(found[0], transform), stamp_s)
        self._mask = _Mask.of(prediction, transform)
        self._missed = False  # in the last cloud in which it was looked for

    @property
    def seen_s(self) -> float:
        """The stamp of the newest cloud in which it was seen [s]."""
        return self._motion.seen_s

    def prompt(
        self, embedding: Embedding, stamp_s: float, transform: ArrayLike | None = None
    ) -> Prompt | None:
        """What to ask of a later cloud: clicks spread over the object, and its old mask.

        Returns:
            A prompt for `Predictor.segment`; None where too little is seen at the places where the
            object may be: it is hidden, out of view, or gone.

        Raises:
            ValueError: no rigid transform.
        """
        if self.lost(stamp_s):
            return None
        kept = embedding.kept.points + embedding.kept.origin
        points = in_frame(kept, transform)
        best, logits = 0.0, np.zeros(0, np.float32)
        for moved in self._motion.moves(stamp_s):
            projected = self._mask.projected(points - moved)
            if np.count_nonzero(projected > 0) < FEWEST:
                continue
            there = Shape.of(points[projected > 0], self.config.voxel_share, self.config.voxel_m)
            overlap = self._motion.shape.overlap(there, moved)
            if overlap > best:
                best, logits = overlap, projected
        self._missed = best < self.config.min_overlap
        if self._missed:
            return None
        return Prompt(kept[_clicks(points, logits > 0)], mask=logits)

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
        self._motion.see(shape, stamp_s, self.config.max_speed)
        self._mask = _Mask.of(prediction, transform)
        self._missed = False
        return found[0]

    def lost(self, stamp_s: float) -> bool:
        """Whether it was missed for longer than `keep_s`, or time went back behind it.

        One that was never looked for since it was seen is not lost, however long ago that was.
        """
        passed = stamp_s - self._motion.seen_s
        return passed < 0 or (self._missed and passed > self.config.keep_s)

    def _shape(self, instance: Instance, transform: ArrayLike | None) -> Shape:
        points = in_frame(instance.points, transform)
        return Shape.of(points, self.config.voxel_share, self.config.voxel_m)


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
        """Logits (k,) of other points (k, 3) of the tracking frame."""
        distances, nearest = self.tree.query(points, distance_upper_bound=self.reach_m)
        known = np.isfinite(distances)
        return np.where(known, self.logits[np.where(known, nearest, 0)], -SURE).astype(np.float32)


def _clicks(points: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows of a mask's innermost point and of others well within it, each far from those before."""
    rows = np.flatnonzero(mask)
    if len(rows) == len(points):
        depth = -np.linalg.norm(points - points.mean(0), axis=1)
    else:
        depth, _ = cKDTree(points[~mask]).query(points[rows])
    within = rows[depth >= np.quantile(depth, RIM)]
    clicks = [int(rows[depth.argmax()])]
    apart = np.full(len(within), np.inf)
    for _ in range(CLICKS - 1):
        step = np.linalg.norm(points[within] - points[clicks[-1]], axis=1)
        apart = np.minimum(apart, step)
        clicks.append(int(within[apart.argmax()]))
    return np.array(clicks)
