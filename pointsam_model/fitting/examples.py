"""Examples of candidate masks and what they are worth, from clicks simulated in generated scenes.

Objects are clicked as in an evaluation, one click after the other where the mask is still wrong,
and so is what is no object. Half as many scenes more are clicked as proposals do, in the middle of
parts whatever they are of: there is more to learn of what is no object than of objects. Every
candidate of every pool on the way is a row: what is known of it (`features_of`), and the IoU that
it really has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree  # type: ignore[import-untyped]

from pointsam_model.data.clicks import first_click, next_click
from pointsam_model.device.transfer import sent
from pointsam_model.errors import PromptError
from pointsam_model.fitting.scenes import UNMEANT_KINDS, UNMEANT_SEED, fitting_scenes, shown
from pointsam_model.quality import Pool, Quality
from pointsam_model.quality.features import features_of
from pointsam_model.scenes import Scene
from pointsam_model.segment.asking import Asking
from pointsam_model.segment.choosing import Target, pools_of
from pointsam_model.segment.embedding import Embedding
from pointsam_model.segment.part_proposals import middles_of_parts
from pointsam_model.segment.predictor import Predictor
from pointsam_model.segment.prompt import Prompt

OBJECTS, BACKGROUND = 3, 1  # clicked in each scene, at most
ONCE = 16  # first clicks on objects beside those, in each scene
PARTS, PARTS_ALONE = 10, 16  # clicked in each scene as proposals do; where nothing else is
BACKGROUND_ALONE = 2  # clicks on what is no object there
FEWEST_POINTS = 15  # of an object
CLICKS = 8
CLAIMED = 0.5  # share of objects that a box or a mask tells of, too
LOOSE = 0.25  # most by which a side of such a box may be off, of the box's
MASK_OFF = 0.3  # most by which such a mask may be off, of the object's width
DEEPEST = 0.6  # share of first clicks at the deepest point; the others anywhere on the object
ANYWHERE = 0.3  # share of later clicks anywhere where the mask is wrong
NOISE = 0.12  # of the truth by which candidates are chosen while there is no quality yet


@dataclass(frozen=True)
class Examples:
    """Candidates and what became of them.

    Attributes:
        features: (r,f).
        truth: (r,2) IoU with what was meant (NaN: nothing was), and with the object that it fits
            best (NaN: not told, after the first click).
        first: (r,) whether they are of a first click.
        pool: (r,) which pool they are of; the rows of a pool follow each other.
    """

    features: NDArray[np.float32]
    truth: NDArray[np.float32]
    first: NDArray[np.bool_]
    pool: NDArray[np.int64]

    @classmethod
    def together(cls, examples: Sequence[Examples]) -> Examples:
        """All of several in one."""
        pools = [int(part.pool.max()) + 1 for part in examples]
        before = np.concatenate(([0], np.cumsum(pools)[:-1]))
        return cls(
            np.concatenate([part.features for part in examples]),
            np.concatenate([part.truth for part in examples]),
            np.concatenate([part.first for part in examples]),
            np.concatenate([part.pool + more for part, more in zip(examples, before, strict=True)]),
        )


def quality_examples(
    predictor: Predictor,
    numbers: Sequence[int],
    quality: Quality | None = None,
    told: Callable[[int], None] | None = None,
) -> Examples:
    """Clicks through generated scenes.

    Args:
        predictor: embeds them.
        numbers: which scenes.
        quality: chooses the masks that later clicks correct; None: the truth does, with noise.
        told: called with the number of scenes done.
    """
    asking = Asking(predictor.model, predictor.config)
    rows: list[Examples] = []

    def clicks_on(number: int, scene: Scene) -> _Clicked:
        rng = np.random.default_rng(number)
        embedding = predictor.embed(shown(scene, rng))
        return _Clicked(predictor, asking, quality, embedding, scene, rng)

    for done, (number, scene) in enumerate(fitting_scenes(numbers)):
        clicked = clicks_on(number, scene)
        rng = clicked.rng
        valid = clicked.whole.cloud.valid
        labels, counts = np.unique(scene.instance[valid], return_counts=True)
        objects = labels[(labels > 0) & (counts >= FEWEST_POINTS)]
        for label in rng.permutation(objects)[:OBJECTS].tolist():
            rows += clicked.object(label)
            if rng.random() < CLAIMED:
                rows += clicked.claimed(label)
        rows += clicked.once(rng.permutation(objects)[:ONCE].tolist())
        for _ in range(BACKGROUND if len(objects) else OBJECTS):
            rows += clicked.background()
        rows += clicked.parts(PARTS)
        if told:
            told(done + 1)
    unmeant = [number // 2 for number in numbers if number % 2]
    for number, scene in fitting_scenes(unmeant, UNMEANT_KINDS, UNMEANT_SEED):
        clicked = clicks_on(number, scene)
        for _ in range(BACKGROUND_ALONE):
            rows += clicked.background()
        rows += clicked.parts(PARTS_ALONE)
    return Examples.together(rows)


class _Clicked:
    """Clicks on one scene."""

    def __init__(
        self,
        predictor: Predictor,
        asking: Asking,
        quality: Quality | None,
        embedding: Embedding,
        scene: Scene,
        rng: np.random.Generator,
    ) -> None:
        self.predictor, self.asking, self.quality = predictor, asking, quality
        self.whole, self.scene, self.rng = embedding, scene, rng
        self.counted = embedding.cloud.valid & (scene.instance >= 0)

    def object(self, label: int) -> list[Examples]:
        """Clicks on an object until it is right, or CLICKS of them."""
        xyz, truth = self.scene.xyz, self.scene.instance == label
        row = self._place(label)
        if row is None:
            return []
        look = self.predictor.look(self.whole, self._at(row))
        counts = _Counts(look, self.scene.instance, self.counted)
        seen = self.counted & (look.kept.nearest >= 0)
        target = Target(np.empty((0, 3)), np.empty(0, np.int64), None, None, True)
        next_one: tuple[int, int] | None = (row, 1)
        examples = []
        while next_one and len(target.labels) < CLICKS:
            pool = self._pool(look, target, *next_one)
            iou = counts.iou(pool, label)
            any_object = counts.best(pool) if target.done == 0 else np.full(len(iou), np.nan)
            features = features_of(pool, look.partition, look.surroundings)
            examples.append(_examples(features, iou, any_object, target.done == 0))
            if self.quality is None:
                best = int((iou + self.rng.normal(0, NOISE, len(iou))).argmax())
            else:
                rows = torch.from_numpy(features)
                best = int(self.quality.estimator.logits(rows)[:, 0].argmax())
            target.so_far = pool.masks[best]
            target.mask = sent(pool.logits_of(best), look.device)
            target.done = len(target.labels)
            mask = np.append(target.so_far, False)[look.kept.nearest]
            next_one = next_click(xyz, truth, mask, seen)
            if next_one and self.rng.random() < ANYWHERE:
                wrong = int(self.rng.choice(np.flatnonzero((mask != truth) & seen)))
                next_one = wrong, int(truth[wrong])
            if next_one and look.kept.nearest[next_one[0]] in target.rows:
                break  # finer than the kept points: no mask of this look can obey
        return examples

    def once(self, labels: Sequence[int]) -> list[Examples]:
        """First clicks only, at most ONCE of them, as many on each object as another: what is meant
        by a click is what most is to be learned of, and a first click costs least."""
        by_look: dict[int, tuple[Embedding, list[tuple[int, int]]]] = {}
        for number in range(ONCE if labels else 0):
            label = labels[number % len(labels)]
            row = self._place(label)
            if row is not None:
                look = self.predictor.look(self.whole, self._at(row))
                by_look.setdefault(id(look), (look, []))[1].append((label, row))
        examples = []
        for look, clicks in by_look.values():
            counts = _Counts(look, self.scene.instance, self.counted)
            pools = self._first_pools(look, [row for _, row in clicks])
            for (label, _), pool in zip(clicks, pools, strict=True):
                features = features_of(pool, look.partition, look.surroundings)
                examples.append(
                    _examples(features, counts.iou(pool, label), counts.best(pool), True)
                )
        return examples

    def _place(self, label: int) -> int | None:
        """The row of a first click on an object; None: it has no place for one."""
        truth = self.scene.instance == label
        if self.rng.random() < DEEPEST:
            return first_click(self.scene.xyz, truth, self.counted)
        there = np.flatnonzero(truth & self.counted)
        return int(self.rng.choice(there)) if len(there) else None

    def _at(self, row: int) -> NDArray[np.float64]:
        return self.scene.xyz[row : row + 1].astype(np.float64)

    def _first_pools(self, look: Embedding, rows: Sequence[int]) -> list[Pool]:
        """Candidates for first clicks on rows of the scene."""
        targets = []
        for row in rows:
            target = Target(self._at(row), np.ones(1, np.int64), None, None, True)
            target.rows = [int(look.kept.nearest[row])]
            targets.append(target)
        return pools_of(self.asking, look, targets)

    def claimed(self, label: int) -> list[Examples]:
        """An object told by a loose box, or by a mask that is somewhat beside it."""
        xyz, truth = self.scene.xyz, (self.scene.instance == label) & self.counted
        points = xyz[truth].astype(np.float64)
        low, high = points.min(0), points.max(0)
        side = np.maximum(high - low, 1e-3)
        if self.rng.random() < 0.5:
            off = self.rng.uniform(-0.3, 1, (2, 3)) * LOOSE * side
            prompt = Prompt(box=np.stack([low - off[0], high + off[1]]))
        else:
            shift = self.rng.uniform(-MASK_OFF, MASK_OFF, 3) * side
            grown = self.rng.uniform(0, MASK_OFF) * float(side.mean())
            valid = self.whole.cloud.valid
            near = cKDTree(points + shift).query(xyz[valid], distance_upper_bound=grown + 1e-3)[0]
            mask = np.zeros(len(xyz), np.bool_)
            mask[valid] = np.isfinite(near)
            prompt = Prompt(mask=mask)
        try:
            resolved = self.predictor.resolved(self.whole, prompt)
        except PromptError:
            return []  # off by so much that it claims nothing
        look = resolved.look
        target = Target(
            resolved.points, resolved.labels, resolved.mask, resolved.claimed_kept, False
        )
        target.rows = look.kept_rows(resolved.points)
        (pool,) = pools_of(self.asking, look, [target])
        iou = _Counts(look, self.scene.instance, self.counted).iou(pool, label)
        features = features_of(pool, look.partition, look.surroundings)
        return [_examples(features, iou, np.full(len(iou), np.nan), False)]

    def background(self) -> list[Examples]:
        """One click on what is no object."""
        nothing = np.flatnonzero(self.counted & (self.scene.instance == 0))
        if len(nothing) == 0:
            return []
        row = int(self.rng.choice(nothing))
        look = self.predictor.look(self.whole, self._at(row))
        return self._unmeant(look, [row])

    def parts(self, most: int) -> list[Examples]:
        """Clicks in the middle of some parts of a look, whatever they are of."""
        anywhere = int(self.rng.choice(np.flatnonzero(self.counted)))
        look = self.predictor.look(self.whole, self._at(anywhere))
        middles = look.kept.rows[middles_of_parts(look.partition)]
        middles = middles[self.counted[middles]]
        return self._unmeant(look, self.rng.permutation(middles)[:most].tolist())

    def _unmeant(self, look: Embedding, rows: Sequence[int]) -> list[Examples]:
        """Clicks that mean nothing of themselves: what matters is whether they find an object."""
        if not rows:
            return []
        counts = _Counts(look, self.scene.instance, self.counted)
        examples = []
        for pool in self._first_pools(look, rows):
            best = counts.best(pool)
            features = features_of(pool, look.partition, look.surroundings)
            examples.append(_examples(features, np.full(len(best), np.nan), best, True))
        return examples

    def _pool(self, look: Embedding, target: Target, row: int, label: int) -> Pool:
        target.clicks = np.concatenate((target.clicks, self.scene.xyz[row : row + 1]))
        target.labels = np.append(target.labels, label)
        target.rows = [*target.rows, int(look.kept.nearest[row])]
        (pool,) = pools_of(self.asking, look, [target])
        return pool


class _Counts:
    """How many points of which object each kept point of a look speaks for."""

    def __init__(
        self, look: Embedding, label: NDArray[np.integer], counted: NDArray[np.bool_]
    ) -> None:
        nearest, m = look.kept.nearest, len(look.kept)
        seen = counted & (nearest >= 0)
        self.all = np.bincount(nearest[seen], minlength=m).astype(np.float32)
        self.labels = np.unique(label[counted & (label > 0)])
        number = np.searchsorted(self.labels, label.clip(0))
        known = seen & (label > 0)
        of_object = np.bincount(number[known] * m + nearest[known], minlength=len(self.labels) * m)
        self.objects = of_object.reshape(-1, m).astype(np.float32)
        self.sizes = np.bincount(number[counted & (label > 0)], minlength=len(self.labels))

    def ious(self, pool: Pool) -> NDArray[np.float32]:
        """(c,o) IoU of each candidate with each object, also with what lies beyond the look."""
        masks = np.stack(pool.masks).astype(np.float32)
        shared = masks @ self.objects.T
        union = (masks @ self.all)[:, None] + self.sizes - shared
        return np.asarray(shared / np.maximum(union, 1), np.float32)

    def iou(self, pool: Pool, label: int) -> NDArray[np.float32]:
        """(c,) with one object."""
        return self.ious(pool)[:, int(np.searchsorted(self.labels, label))]

    def best(self, pool: Pool) -> NDArray[np.float32]:
        """(c,) with the object that fits best; 0 without any object."""
        if len(self.labels) == 0:
            return np.zeros(len(pool), np.float32)
        return np.asarray(self.ious(pool).max(1), np.float32)


def _examples(
    features: NDArray[np.float32],
    iou: NDArray[np.floating],
    any_object: NDArray[np.floating],
    first: bool,
) -> Examples:
    truth = np.stack([iou, any_object], 1).astype(np.float32)
    one = np.zeros(len(truth), np.int64)
    return Examples(features, truth, np.full(len(truth), first), one)
