"""Kinds of scenes, and a mixture of them in which a seed alone decides the kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from pointsam_model.errors import ConfigError
from pointsam_model.scenes.config import SceneConfig
from pointsam_model.scenes.places.bins import BinConfig, generate_bins
from pointsam_model.scenes.places.empty import generate_empty
from pointsam_model.scenes.places.fused_tables import generate_fused_tables
from pointsam_model.scenes.places.rooms import RoomConfig, generate_rooms
from pointsam_model.scenes.places.single import SingleConfig, generate_single
from pointsam_model.scenes.places.small_parts import PartsConfig, generate_parts
from pointsam_model.scenes.places.street import StreetConfig, generate_streets
from pointsam_model.scenes.scene import Scene, generate_scenes
from pointsam_model.scenes.streams import stream

KINDS = ("tabletop", "fused", "single", "room", "street", "parts", "bin", "empty")
MIXTURE = "mixture"


@dataclass(frozen=True)
class MixtureConfig:
    """What each kind looks like and how many of the scenes it has; shares sum to 1."""

    tabletop_share: float = 0.38
    fused_share: float = 0.07  # tabletops fused from several views
    single_share: float = 0.04
    room_share: float = 0.14
    street_share: float = 0.15
    parts_share: float = 0.08
    bin_share: float = 0.09
    empty_share: float = 0.05  # scenes without objects, see `empty`
    tabletop: SceneConfig = field(default_factory=SceneConfig)
    single: SingleConfig = field(default_factory=SingleConfig)
    room: RoomConfig = field(default_factory=RoomConfig)
    street: StreetConfig = field(default_factory=StreetConfig)
    parts: PartsConfig = field(default_factory=PartsConfig)
    bin: BinConfig = field(default_factory=BinConfig)

    def __post_init__(self) -> None:
        if min(self.shares()) < 0 or abs(sum(self.shares()) - 1) > 1e-6:
            raise ConfigError(f"the shares of {', '.join(KINDS)} are {self.shares()}: not sum 1")

    def shares(self) -> tuple[float, ...]:
        """In the order of KINDS."""
        return tuple(float(getattr(self, f"{kind}_share")) for kind in KINDS)


def kind_of(seed: int, config: MixtureConfig) -> str:
    """The kind of a seed's scene in a mixture."""
    return stream("kind", seed).choices(KINDS, config.shares())[0]


def generate(
    kind: str,
    seeds: Sequence[int],
    config: MixtureConfig | None = None,
    device: str | torch.device = "cpu",
) -> list[Scene]:
    """One scene for each seed, of one kind of KINDS, or MIXTURE for all of them in their shares.

    Scenes come at their sensor's full resolution and say their kind. Those of kind "empty" have no
    object, and of others a few where nothing is seen of any: who needs one must check.

    Raises:
        ConfigError: no such kind, or a negative seed.
    """
    config = config or MixtureConfig()
    if kind not in (*KINDS, MIXTURE):
        raise ConfigError(f"no scenes of kind {kind!r}: choose from {', '.join((MIXTURE, *KINDS))}")
    if len(seeds) and min(seeds) < 0:
        raise ConfigError(f"seed {min(seeds)} is negative, seeds are 0 or more")
    kinds = [kind_of(seed, config) if kind == MIXTURE else kind for seed in seeds]
    made: dict[int, Scene] = {}
    for own in KINDS:
        rows = [row for row, wanted in enumerate(kinds) if wanted == own]
        chosen = [int(seeds[row]) for row in rows]
        scenes = [replace(s, kind=own) for s in _generate(own, chosen, config, device)]
        made.update(zip(rows, scenes, strict=True))
    return [made[row] for row in range(len(seeds))]


def _generate(
    kind: str, seeds: list[int], config: MixtureConfig, device: str | torch.device
) -> list[Scene]:
    if kind == "tabletop":
        return generate_scenes(seeds, config.tabletop, device)
    if kind == "fused":
        return generate_fused_tables(seeds, config.tabletop, device)
    if kind == "single":
        return [generate_single(seed, config.single, device) for seed in seeds]
    if kind == "room":
        return generate_rooms(seeds, config.room, device)
    if kind == "empty":
        own = config.tabletop, config.parts, config.room, config.street
        return generate_empty(seeds, *own, device)
    if kind == "bin":
        return generate_bins(seeds, config.bin, device)
    if kind == "parts":
        return generate_parts(seeds, config.parts, device)
    return generate_streets(seeds, config.street, device)
