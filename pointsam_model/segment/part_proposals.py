"""Proposals from the parts of a cloud: each part is clicked, and the best candidates are kept.

A click in the middle of each smallest part gives a pool of candidates, as a user's first click
does: the parts that contain it, the network's masks, and those of random walkers. Each is scored
with its estimated IoU with the object it fits best; of those that overlap, the best is kept. A
large cloud is covered with overlapping looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from pointsam_model.cloud import looks
from pointsam_model.cloud.reduction import Ball
from pointsam_model.config.settings import ProposalConfig
from pointsam_model.device.batches import in_one
from pointsam_model.device.steps import Steps
from pointsam_model.geometry import Partition
from pointsam_model.instances.instance import Instance
from pointsam_model.instances.overlaps import overlaps, suppress
from pointsam_model.segment.choosing import Choosing, Target
from pointsam_model.segment.embedding import Embedding
from pointsam_model.segment.prediction import SourceMasks, instances_of, stability_of

CLICKS_AT_ONCE = 16  # decoded and scored between two checks for cancellation
FEWEST_KEPT = 4  # kept points in a part, below which it is not clicked
MOST_CLICKS = 256  # per look, the largest parts first
MOST_LOOKS = 32  # per large cloud, those with the most points first
CELL = 1.5  # side of a large cloud's grid cells, in radii of a look
MOSTLY = 0.6  # overlap, as a share of the smaller mask, from which a better mask lowers a score
DOUBTED = 0.6  # share of its score that a mask loses to one that is certainly an object


class _Candidate(NamedTuple):
    """A mask (m,) over a look's kept points, how likely it is an object, and its stability.

    Stability is 1 for a mask without logits.
    """

    mask: NDArray[np.bool_]
    score: float
    stability: float


@dataclass(frozen=True)
class Cell:
    """A cube of a large cloud whose parts are clicked in one look.

    Attributes:
        low: (3,) corner of least x, y, z [m]; side: length of its edges [m].
        look: the ball around the mean of its points.
    """

    low: NDArray[np.float64]
    side: float
    look: Ball

    def holds(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(q,) bool: which of (q,3) points [m] lie in the cube."""
        inside = (points >= self.low) & (points < self.low + self.side)
        return np.asarray(inside.all(1))


class PartProposals:
    """Proposes the objects of embedded clouds.

    Args:
        choosing: runs the network and scores candidates.
        config: which masks are kept.
    """

    def __init__(self, choosing: Choosing, config: ProposalConfig) -> None:
        self.choosing = choosing
        self.config = config

    def generate(
        self,
        whole: Embedding,
        progress: Callable[[int, int], None] | None,
        steps: Steps,
    ) -> list[Instance]:
        """The instances of a cloud, best first."""
        cells = _cells(whole)
        found: list[Instance] = []
        before = 0
        for number, cell in enumerate(cells):
            steps.go_on()
            view = whole if cell is None else whole.look_at(cell.look)
            clicks = _clicks(view, cell)
            # Expect as many clicks on each remaining look as on those so far.
            total = round((before + len(clicks)) * len(cells) / (number + 1))

            def tell(done: int, before: int = before, total: int = total) -> None:
                if progress:
                    progress(before + done, total)

            found += self._best(view, self._candidates(view, cell, clicks, tell, steps))
            before += len(clicks)
        return self._suppressed(found, whole.size)[: self.config.max_instances]

    def _candidates(
        self,
        view: Embedding,
        cell: Cell | None,
        clicks: NDArray[np.int64],
        tell: Callable[[int], None],
        steps: Steps,
    ) -> list[_Candidate]:
        """The distinct masks of a look that reach `min_score`, each with its best score."""
        partition, around = view.partition, view.surroundings
        seen = float(around.weight.sum())
        weight = torch.from_numpy(around.weight)
        best: dict[bytes, _Candidate] = {}
        for first in range(0, len(clicks), CLICKS_AT_ONCE):
            steps.go_on()
            rows = clicks[first : first + CLICKS_AT_ONCE]
            places = partition.points[rows] + view.kept.origin
            targets = [
                Target(
                    place[None].astype(np.float64), np.ones(1, np.int64), None, None, True, [row]
                )
                for row, place in zip(rows.tolist(), places, strict=True)
            ]
            for pool in self.choosing.pools(view, targets):
                judged = self.choosing.quality.judge(pool, partition, around)
                for number in np.flatnonzero(judged.object >= self.config.min_score).tolist():
                    mask, score = pool.masks[number], float(judged.object[number])
                    key = mask.tobytes()
                    if key in best and best[key].score >= score:
                        continue
                    if float(around.weight[mask].sum()) / seen > self.config.max_share:
                        continue
                    if cell is not None and cell.look.cuts_off(
                        partition.points[mask] + view.kept.origin
                    ):
                        continue
                    best[key] = _Candidate(mask, score, _stability(pool.logits[number], weight))
            tell(first + len(rows))
        return list(best.values())

    def _best(self, view: Embedding, found: list[_Candidate]) -> list[Instance]:
        """Non-maximum suppression within a look, over its kept points."""
        if not found:
            return []
        masks, scores, stability = zip(*found, strict=True)
        stacked = torch.from_numpy(np.stack(masks))
        numbers = torch.tensor(scores), torch.tensor(stability)
        overlap = overlaps(stacked, stacked, torch.from_numpy(view.surroundings.weight))
        chosen = suppress(overlap, numbers[0], self.config.nms_iou)
        best = [tensor[chosen].to(view.device) for tensor in (stacked, *numbers)]
        return instances_of(in_one(lambda: SourceMasks.of(view, *best)))

    def _suppressed(self, found: list[Instance], size: int) -> list[Instance]:
        """Non-maximum suppression over the source points, best first, without too small masks."""
        found = [proposal for proposal in found if len(proposal.indices) >= self.config.min_points]
        if not found:
            return []
        counts = np.array([len(proposal.indices) for proposal in found])
        rows = np.concatenate([proposal.indices for proposal in found], dtype=np.int64)
        starts = np.concatenate(([0], np.cumsum(counts)))
        masks = csr_matrix((np.ones(len(rows), np.float32), rows, starts), shape=(len(found), size))
        shared = (masks @ masks.T).toarray()
        union = counts[:, None] + counts[None] - shared
        rank = torch.tensor([proposal.score for proposal in found])
        stay = suppress(torch.from_numpy(shared / union), rank, self.config.nms_iou).tolist()
        within = shared[np.ix_(stay, stay)] / np.minimum(counts[stay][:, None], counts[stay])
        scores = _explained([found[row].score for row in stay], within)
        best = [
            replace(found[row], score=score)
            for row, score in zip(stay, scores, strict=True)
            if score >= self.config.min_score
        ]
        return sorted(best, key=lambda proposal: -proposal.score)


def _stability(logits: NDArray[np.float32] | None, weight: Tensor) -> float:
    return 1.0 if logits is None else float(stability_of(torch.from_numpy(logits), weight))


def _clicks(view: Embedding, cell: Cell | None) -> NDArray[np.int64]:
    """Rows of a look's kept points that are clicked: middles of parts in its cell."""
    rows = middles_of_parts(view.partition)
    if cell is not None:
        rows = rows[cell.holds(view.partition.points[rows] + view.kept.origin)]
    return rows[:MOST_CLICKS]


def middles_of_parts(partition: Partition) -> NDArray[np.int64]:
    """(p,) rows of the point nearest to the mean of each smallest part, largest parts first."""
    leaf = partition.tree.leaf
    sizes = np.bincount(leaf)
    middle = np.stack([np.bincount(leaf, axis) for axis in partition.points.T], 1) / sizes[:, None]
    off = np.square(partition.points - middle[leaf]).sum(1)
    order = np.lexsort((off, leaf))
    nearest = order[np.concatenate(([0], np.cumsum(sizes)[:-1]))]
    largest = np.argsort(-sizes, kind="stable")
    return np.asarray(nearest[largest[sizes[largest] >= FEWEST_KEPT]])


def _cells(whole: Embedding) -> list[Cell | None]:
    """The cells to look at: None for all of a small scene, else a grid's, fullest first.

    Cells with too few points for a look are left out.
    """
    radius = looks.radius_of(whole.reach_m)
    if radius is None:
        return [None]
    side = CELL * radius
    points = whole.kept.points.astype(np.float64) + whole.kept.origin
    grid = np.floor((points - whole.center) / side)  # independent of the frame's origin
    places, place = np.unique(grid, axis=0, return_inverse=True)
    place = place.reshape(-1)
    total = np.bincount(place, whole.counts_on_host)  # needs no partition of the whole cloud
    sums = np.stack([np.bincount(place, axis) for axis in points.T], 1)
    middle = sums / np.bincount(place)[:, None]
    cells: list[Cell | None] = []
    for row in np.argsort(-total, kind="stable")[:MOST_LOOKS]:
        x, y, z = middle[row].tolist()
        cell = Cell(places[row] * side + whole.center, side, Ball((x, y, z), radius))
        if whole.points_within(cell.look) >= looks.FEWEST_POINTS:
            cells.append(cell)
    return cells


def _explained(scores: list[float], within: NDArray[np.floating]) -> list[float]:
    """Lowers the scores of masks that mostly contain, or lie in, a better one.

    A part of an object and the object itself are rarely both meant: the better the one, the less
    likely the other.

    Args:
        scores: (c,), best first.
        within: (c,c) the intersection of two masks, as a share of the smaller one.
    """
    left: list[float] = []
    for row, score in enumerate(scores):
        inside = within[row, :row]
        doubt = np.array(left) * np.where(inside > MOSTLY, inside, 0.0)
        left.append(score * (1 - DOUBTED * float(doubt.max(initial=0.0))))
    return left
