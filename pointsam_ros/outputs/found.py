"""Instances with their ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pointsam_model import Instance


@dataclass(frozen=True)
class Found:
    """An instance with its id.

    Attributes:
        id: at least 1, each once in an answer.
        object_id: the object of the request that it answers; 0: nobody asked for it.
        instance: its mask and what follows from it.
    """

    id: int
    object_id: int
    instance: Instance


def best_first(found: Iterable[Found]) -> list[Found]:
    """These, the highest score first."""
    return sorted(found, key=lambda each: -each.instance.score)
