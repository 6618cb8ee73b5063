"""A cloud cut into segments, and what methods answer that know nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsam_model import Prompt

NO_SEGMENT = -1  # points that belong to none, among them those that the sensor did not see


@dataclass(frozen=True)
class OneMask:
    """An answer in the form that the protocol reads: (1,n) mask and its (1,) score, which is no
    predicted IoU."""

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> OneMask:
        """A mask (n,) alone."""
        return cls(mask[None], np.ones(1, np.float32))

    def best(self) -> OneMask:
        """Itself: there is one."""
        return self


@dataclass(frozen=True)
class Segment:
    """A proposal: (k,) rows of the cloud, and how sure it is, 0 to 1."""

    indices: NDArray[np.uint32]
    score: float = 1.0


@dataclass(frozen=True)
class Segments:
    """A segmented cloud: (n,3) points [m] and (n,) segment numbers, NO_SEGMENT for none."""

    xyz: NDArray[np.floating]
    number: NDArray[np.int64]

    def answer(self, prompts: Sequence[Prompt]) -> list[Any]:
        """The segment of each prompt's first click; empty where that is in none."""
        return [OneMask.of(self._holding(np.asarray(prompt.points)[0])) for prompt in prompts]

    def all(self) -> list[Segment]:
        """Every segment, the largest first."""
        rows = np.argsort(self.number, kind="stable").astype(np.uint32)
        sizes = np.bincount(self.number + 1)  # of no segment, then of each
        parts = np.split(rows, np.cumsum(sizes)[:-1])[1:]
        found = [Segment(part) for part in parts if len(part)]
        return sorted(found, key=lambda segment: len(segment.indices), reverse=True)

    def _holding(self, click: NDArray[np.floating]) -> NDArray[np.bool_]:
        away = ((self.xyz.astype(np.float64) - click) ** 2).sum(1)
        number = self.number[np.nanargmin(away)]
        return (self.number == number) & (number != NO_SEGMENT)
