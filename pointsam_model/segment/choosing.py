"""Answers from network and geometry together: the best of a pool of candidate masks.

Clicks are answered one after the other. A later click that the mask already satisfies is skipped,
unless it is the last one. When several clicks are given at once, each of those on the object is
tried as the first, and the best answer, by its estimated IoU, is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pointsam_model.device.transfer import fetched, sent
from pointsam_model.quality import Asked, NetworkAnswer, Pool, Quality, pool_of
from pointsam_model.quality.quality import best_different
from pointsam_model.segment.asking import Asking, Question
from pointsam_model.segment.embedding import Embedding
from pointsam_model.segment.prediction import stability_of

MOST_MASKS = 3  # answers to an ambiguous click
SURELY_BETTER = 0.06  # estimated IoU that another order of the clicks must gain over the given one
MOST_FIRST = 4  # at most so many of the clicks given at once are tried as the first


@dataclass
class Target:
    """One prompted object, on the m kept points of one look.

    Attributes:
        clicks: (q,3) [m]; labels: (q,) 1 on, 0 off the object.
        mask: (m,) logits of the mask so far, or of the claim, or None.
        claimed: (m,) bool, kept points that a box or a mask of the source claims, or None.
        multimask: whether a first click is answered with up to three masks, or the best one.
        rows: (q,) indices of the kept points nearest to the clicks.
        done: number of clicks answered so far.
        so_far: (m,) bool, the mask of those, or None.
    """

    clicks: NDArray[np.float64]
    labels: NDArray[np.int64]
    mask: Tensor | None
    claimed: NDArray[np.bool_] | None
    multimask: bool
    rows: list[int] = field(default_factory=list)
    done: int = 0
    so_far: NDArray[np.bool_] | None = None

    @property
    def open(self) -> bool:
        """Whether clicks are left."""
        return self.done < len(self.labels)


class _Answer(NamedTuple):
    """Logits (c,m), best first, their estimated IoUs (c,), and the estimated IoU of the best."""

    logits: Tensor
    ious: Tensor
    iou: float


class Choosing:
    """Answers targets with the best candidates of their pools.

    Args:
        asking: runs the network.
        quality: estimates the IoU of candidates.
    """

    def __init__(self, asking: Asking, quality: Quality) -> None:
        self.asking = asking
        self.quality = quality

    def answers(
        self, embedding: Embedding, targets: Sequence[Target]
    ) -> list[tuple[Tensor, Tensor]]:
        """For each target: logits (c,m), best first, and their estimated IoUs (c,)."""
        for target in targets:
            target.rows = embedding.kept_rows(target.clicks)
            _newest_of_each_point(target)
            if target.mask is not None:
                if target.claimed is None:
                    target.so_far = fetched(target.mask > 0)[0]
                else:
                    target.done = len(target.labels) - 1
        tried = [(row, order) for row, target in enumerate(targets) for order in _begun(target)]
        answers = self._answered(embedding, [order for _, order in tried])
        best: dict[int, _Answer] = {}
        for (row, _), answer in zip(tried, answers, strict=True):
            if row not in best or answer.iou > best[row].iou + SURELY_BETTER:
                best[row] = answer
        return [(best[row].logits, best[row].ious) for row in range(len(targets))]

    def _answered(self, embedding: Embedding, targets: Sequence[Target]) -> list[_Answer]:
        """Answers each target's clicks one after the other, all targets in shared batches."""
        found: dict[int, _Answer] = {}
        while open_targets := [row for row, target in enumerate(targets) if target.open]:
            asked = [targets[row] for row in open_targets]
            for target in asked:
                self._skip_obeyed(target)
            pools = self.pools(embedding, asked)
            for row, target, pool in zip(open_targets, asked, pools, strict=True):
                found[row] = self._chosen(embedding, target, pool)
        return [found[row] for row in range(len(targets))]

    def pools(self, embedding: Embedding, targets: Sequence[Target]) -> list[Pool]:
        """Candidates for the next click of each target."""
        return pools_of(self.asking, embedding, targets)

    def _skip_obeyed(self, target: Target) -> None:
        """Skips to the first click that the mask does not satisfy, or to the last."""
        if target.so_far is None:
            return
        last = len(target.labels) - 1
        while target.done < last and target.so_far[target.rows[target.done]] == bool(
            target.labels[target.done]
        ):
            target.done += 1

    def _chosen(self, embedding: Embedding, target: Target, pool: Pool) -> _Answer:
        around = embedding.surroundings
        judged = self.quality.judge(pool, embedding.partition, around)
        target.done += 1
        several = target.multimask and not target.open
        most = MOST_MASKS if several else 1
        best = best_different(np.stack(pool.masks), judged.choice, around.weight, most)
        logits = np.stack([pool.logits_of(row) for row in best])
        device = embedding.device
        # The chosen mask has the highest score, so that picking by score picks it.
        scores = np.minimum.accumulate(judged.iou[best])
        there, ious = sent(logits, device), sent(scores, device)
        target.so_far, target.mask = pool.masks[best[0]], there[0]
        return _Answer(there, ious, float(scores[0]))


def pools_of(asking: Asking, embedding: Embedding, targets: Sequence[Target]) -> list[Pool]:
    """Candidates for the next click of each target, from the network and the cloud's geometry."""
    questions = [_question(embedding, target) for target in targets]
    answers = asking.answers(embedding, questions)
    counts = embedding.source_counts
    pools = []
    for target, (logits, scores) in zip(targets, answers, strict=True):
        stability = stability_of(logits, counts)
        network = NetworkAnswer(*fetched(logits, scores, stability))
        upto = target.done + 1
        asked = Asked(
            target.rows[:upto], target.labels[:upto].tolist(), target.so_far, target.claimed
        )
        pools.append(pool_of(embedding.partition, asked, network))
    return pools


def _begun(target: Target) -> list[Target]:
    """The target, once for each click on the object that is tried as the first.

    Clicks given at once have no order of their own, but the answer depends on it.
    """
    if target.mask is not None:
        return [target]
    begun = []
    for first in np.flatnonzero(target.labels)[:MOST_FIRST].tolist():
        order = [first, *(row for row in range(len(target.labels)) if row != first)]
        begun.append(
            replace(
                target,
                clicks=target.clicks[order],
                labels=target.labels[order],
                rows=[target.rows[row] for row in order],
            )
        )
    return begun


def _newest_of_each_point(target: Target) -> None:
    """Keeps the newest of the clicks on each kept point: it repeats or revokes the earlier ones."""
    later = {row: number for number, row in enumerate(target.rows)}
    stay = [number for number, row in enumerate(target.rows) if later[row] == number]
    if target.mask is None and not target.labels[stay].any():
        return  # no click on the object would be left, and there is no mask yet
    target.clicks, target.labels = target.clicks[stay], target.labels[stay]
    target.rows = [target.rows[number] for number in stay]


def _question(embedding: Embedding, target: Target) -> Question:
    upto = target.done + 1
    clicks = embedding.normalise(target.clicks[:upto])
    first = upto == 1 and target.mask is None
    return Question(clicks, target.labels[:upto], target.mask, first)
