"""The learned partition without the network: what of ours is geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pointsam_model import Cloud, Prompt
from pointsam_model.config.settings import ProposalConfig
from pointsam_model.evaluation.baselines.kept import KeptCloud
from pointsam_model.evaluation.baselines.segments import OneMask, Segment
from pointsam_model.geometry import MergeTree, Partition
from pointsam_model.geometry.partition import SAMPLE, partition

MOST_POINTS = 8192
BORDER = 0.4  # a part inside of which the border is higher is more than one object
PERSISTENCE = 0.05  # by so much the border around a proposal is higher than any inside


@dataclass(frozen=True, eq=False)
class PartedCloud:
    """A cloud and the parts of its kept points."""

    kept: KeptCloud
    partition: Partition


class GeometryAlone:
    """Answers clicks with parts below a fixed height of border, and proposes the parts that stand
    out from what is around them.

    A click on the object takes the largest part below that height; a click off it takes away the
    largest one that holds no click on the object.

    Args:
        border: highest border inside of a part, 0 to 1.
    """

    def __init__(self, border: float = BORDER) -> None:
        self.border = border

    def embed(self, cloud: Cloud) -> PartedCloud:
        """The parts of a cloud."""
        kept = KeptCloud.of(cloud, MOST_POINTS)
        source = torch.from_numpy(kept.sample(SAMPLE).astype(np.float32))
        return PartedCloud(kept, partition(kept.reduced.kept.points, source, kept.sensor))

    def segment(self, parted: PartedCloud, prompts: Sequence[Prompt]) -> list[Any]:
        """One mask a prompt."""
        return [OneMask.of(parted.kept.mask(self._mask(parted, prompt))) for prompt in prompts]

    def generate(self, cloud: Cloud) -> list[Segment]:
        """Parts with a higher border around than inside, those that stand out most first; their
        score is the border around."""
        parted = self.embed(cloud)
        tree = parted.partition.tree
        around = np.where(tree.parent < 0, 1.0, tree.height[tree.parent])
        sizes = _source_points(parted.kept, tree)
        standing = around - tree.height
        chosen = (standing >= PERSISTENCE) & (sizes >= ProposalConfig().min_points)
        order = np.argsort(-standing[chosen], kind="stable")
        return [
            Segment(np.flatnonzero(parted.kept.mask(mask)).astype(np.uint32), float(border))
            for part, border in zip(
                np.flatnonzero(chosen)[order], around[chosen][order], strict=True
            )
            for mask in tree.masks([int(part)])
        ]

    def _mask(self, parted: PartedCloud, prompt: Prompt) -> NDArray[np.bool_]:
        """(m,) of the kept points."""
        points, labels = prompt.clicks()
        clicked = parted.kept.kept_at(points)
        on = [row for row, label in zip(clicked, labels, strict=True) if label]
        off = [row for row, label in zip(clicked, labels, strict=True) if not label]
        tree, places = parted.partition.tree, parted.kept.points
        mask = np.asarray(tree.masks([self._part(tree, row, []) for row in on]).any(axis=0))
        for row in off:
            part = self._part(tree, row, on)
            taken = tree.masks([part])[0]
            for other in on:
                if tree.holds(part, other):  # one smallest part of both: the nearer click has it
                    taken = taken & (_away(places, row) < _away(places, other))
            mask &= ~taken
        return mask

    def _part(self, tree: MergeTree, row: int, without: Sequence[int]) -> int:
        """The largest part of a kept point below the border that holds none of some others."""
        found, *larger = tree.chain(row)
        for part in larger:
            if tree.height[part] > self.border or any(tree.holds(part, row) for row in without):
                break
            found = part
        return found


def _away(places: NDArray[np.float64], row: int) -> NDArray[np.float64]:
    """(m,) squared distances to one of the points (m,3)."""
    return np.asarray(np.square(places - places[row]).sum(axis=1))


def _source_points(kept: KeptCloud, tree: MergeTree) -> NDArray[np.int64]:
    """(t,) how many points of the cloud each part has."""
    nearest = kept.reduced.nearest
    leaves = np.bincount(tree.leaf[nearest[nearest >= 0]], minlength=int(tree.last.max()))
    before = np.concatenate(([0], np.cumsum(leaves)))
    return np.asarray(before[tree.last] - before[tree.first])
