"""Random streams of scenes, one a seed and purpose: other noise must not move the objects."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import torch


def stream(purpose: str, seed: int) -> Random:
    """The stream of one scene for one purpose."""
    return Random(f"{purpose} {int(seed)}")


def streams(purpose: str, seeds: Sequence[int]) -> list[Random]:
    """One stream a scene."""
    return [stream(purpose, seed) for seed in seeds]


def generator(rng: Random, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator that goes on from a stream."""
    made = torch.Generator(device)
    made.manual_seed(rng.getrandbits(62))
    return made
