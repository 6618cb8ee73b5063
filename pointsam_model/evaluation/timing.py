"""How long a method takes, as its user waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import numpy as np
import torch

from pointsam_model import wait_for_device


@dataclass
class Seconds:
    """Seconds that were measured.

    Attributes:
        embedding: of each cloud.
        first: of each cloud's first clicks, per click.
        refining: of each later round of clicks, per click.
    """

    embedding: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    refining: list[float] = field(default_factory=list)

    def medians(self) -> dict[str, float | None]:
        """The median of each; None where nothing was measured."""
        return {
            what: float(np.median(values)) if values else None
            for what, values in asdict(self).items()
        }


@contextmanager
def timed(into: list[float], share: int = 1) -> Iterator[None]:
    """Adds the seconds that its block takes, divided by `share`; a GPU's work is waited for."""
    _wait()
    start = time.perf_counter()
    yield
    _wait()
    into.append((time.perf_counter() - start) / share)


def _wait() -> None:
    if torch.cuda.is_initialized():
        wait_for_device(torch.device("cuda"))
