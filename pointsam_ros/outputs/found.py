"""Instances with their ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pointsam_model import Instance


@dataclass(frozen=True)
class Found:
    """An instance with its id.

    Attributes:
        id: at least 1, unique in an answer.
        object_id: the object of the request that it answers; 0: a proposal.
        instance: its mask, points, scores and box.
    """

    id: int
    object_id: int
    instance: Instance


def best_first(found: Iterable[Found]) -> list[Found]:
    """Sorts by score, highest first."""
    return sorted(found, key=lambda each: -each.instance.score)
