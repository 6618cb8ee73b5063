"""A pool of generated scenes on disk: made once, drawn from many times."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from pointsam_model import ops
from pointsam_model.errors import ConfigError
from pointsam_model.scenes import MixtureConfig, Scene, SceneConfig, generate

POINTS = 4_096  # kept of each scene, more than any training step sees
SCENES_AT_ONCE = 8
FIRST_SPARE_SEED = 2**40
MOST_SPARE = 8  # other scenes tried for each that a shard lacks


def make_pool(
    folder: str | Path,
    shards: range,
    *,
    kind: str = "tabletop",
    scenes: int = 128,
    config: SceneConfig | MixtureConfig | None = None,
    device: str = "cpu",
) -> Iterator[Path]:
    """Generates the shards that are not there yet; shard i always holds the same scenes.

    Args:
        folder: where; made if absent.
        shards: numbers of the shards to make.
        kind: of `scenes.KINDS`, or "mixture" for all of them.
        scenes: in each shard.
        config: how scenes look; a SceneConfig says it of tabletops alone.

    Yields:
        Each shard's path, when it is complete.

    Raises:
        ConfigError: no such kind, or scenes that hardly ever have POINTS points.
    """
    if config is None or isinstance(config, SceneConfig):
        config = MixtureConfig(tabletop=config or SceneConfig())
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for shard in shards:
        path = folder / f"shard_{shard:05d}.safetensors"
        if not path.exists():
            partial = path.with_suffix(f".partial{os.getpid()}")
            shown = _make_shard(shard, scenes, kind, config, device)
            save_file(shown, partial)
            partial.replace(path)
        yield path


def _make_shard(
    shard: int, count: int, kind: str, config: MixtureConfig, device: str
) -> dict[str, np.ndarray]:
    # Scenes with too few points are made up for by others, from seeds that no shard begins with.
    first, spare = shard * count, FIRST_SPARE_SEED + shard * count * MOST_SPARE
    seeds = chain(range(first, first + count), range(spare, spare + count * MOST_SPARE))
    kept: list[dict[str, np.ndarray]] = []
    while len(kept) < count:
        chosen = list(islice(seeds, min(SCENES_AT_ONCE, max(count - len(kept), 2))))
        if not chosen:
            raise ConfigError(
                f"only {len(kept)} of {count * (1 + MOST_SPARE)} {kind} scenes have {POINTS} "
                "points: make them larger"
            )
        shown = [_keep(scene) for scene in generate(kind, chosen, config, device)]
        kept += [points for points in shown if points]
    return {name: np.stack([scene[name] for scene in kept[:count]]) for name in kept[0]}


def _keep(scene: Scene) -> dict[str, np.ndarray]:
    """The points a user's pipeline would show the network; empty where there are too few."""
    valid = np.flatnonzero(np.isfinite(scene.xyz).all(1))
    if len(valid) < POINTS:
        return {}
    rows = valid[ops.downsample(torch.from_numpy(scene.xyz[valid]), POINTS).numpy()]
    return {
        "xyz": scene.xyz[rows].astype(np.float32),
        "rgb": scene.rgb[rows],
        "instance": scene.instance[rows].astype(np.int16),
        "part": scene.part[rows].astype(np.int16),
        "up": np.asarray(scene.up, np.float32),
        "colored": np.bool_(scene.colored),
    }


@dataclass(frozen=True)
class PooledScene:
    """One scene of the pool, POINTS points of it: see `scenes.Scene`."""

    xyz: np.ndarray
    rgb: np.ndarray
    instance: np.ndarray
    part: np.ndarray
    up: np.ndarray
    colored: bool = True  # whether rgb means anything; shards from before all have colour


class Pool:
    """The shards of a folder; new ones are seen when `refresh` is called.

    Raises:
        ConfigError: the folder holds no shard.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.shards: dict[Path, dict[str, np.ndarray]] = {}
        self.refresh()
        if not self.shards:
            raise ConfigError(f"no scenes in {folder}: make them with `pointsam pool {folder}`")

    def refresh(self) -> None:
        """Reads shards that have appeared."""
        for path in sorted(self.folder.glob("shard_*.safetensors")):
            if path not in self.shards:
                self.shards[path] = load_file(path)
        self._paths = sorted(self.shards)
        self._ends = np.cumsum([len(self.shards[path]["xyz"]) for path in self._paths])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, row: int) -> PooledScene:
        shard = int(np.searchsorted(self._ends, row, side="right"))
        arrays = self.shards[self._paths[shard]]
        inside = row - (int(self._ends[shard - 1]) if shard else 0)
        return PooledScene(**{name: values[inside] for name, values in arrays.items()})
