"""A pool of generated scenes on disk: made once, drawn from many times."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from pointsam_model import ops
from pointsam_model.cloud.valid import valid_points
from pointsam_model.data.clouds import LabelledCloud
from pointsam_model.errors import ConfigError
from pointsam_model.scenes import MixtureConfig, Scene, SceneConfig, generate
from pointsam_model.training.cutting import cut

POINTS = 4_096  # kept of each cloud at most, more than most training steps see
MID_GREY = 127  # of clouds without colour; "colored" says that it means nothing
SCENES_AT_ONCE = 8
FIRST_SPARE_SEED = 2**40
FINE = SceneConfig(width=320, height=240)  # of the tabletops that looks are cut from
LOOKS = 7_205  # the streams that looks are drawn from
MOST_SPARE = 8  # other scenes tried for each that a shard lacks


def make_pool(
    folder: str | Path,
    shards: range,
    *,
    kind: str = "tabletop",
    scenes: int = 128,
    looks: int = 0,
    config: SceneConfig | MixtureConfig | None = None,
    device: str = "cpu",
) -> Iterator[Path]:
    """Generates the shards that are not there yet; shard i always holds the same scenes.

    Args:
        folder: where; made if absent.
        shards: numbers of the shards to make.
        kind: of `scenes.KINDS`, or "mixture" for all of them.
        scenes: clouds in each shard.
        looks: clouds that are cut from each scene about its objects, at its full resolution, beside
            the whole of it: 1 makes half of the shard looks. Cameras see twice as finely then.
        config: how scenes look; a SceneConfig says it of tabletops alone.

    Yields:
        Each shard's path, when it is complete.

    Raises:
        ConfigError: no such kind, or scenes that hardly ever have POINTS points.
    """
    if config is None or isinstance(config, SceneConfig):
        config = MixtureConfig(tabletop=config or (FINE if looks else SceneConfig()))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for shard in shards:
        path = folder / f"shard_{shard:05d}.safetensors"
        if not path.exists():
            partial = path.with_suffix(f".partial{os.getpid()}")
            shown = _make_shard(shard, scenes, kind, looks, config, device)
            save_file(shown, partial)
            partial.replace(path)
        yield path


def _make_shard(
    shard: int, count: int, kind: str, looks: int, config: MixtureConfig, device: str
) -> dict[str, np.ndarray]:
    # Scenes with too few points are made up for by others, from seeds that no shard begins with.
    first, spare = shard * count, FIRST_SPARE_SEED + shard * count * MOST_SPARE
    seeds = chain(range(first, first + count), range(spare, spare + count * MOST_SPARE))
    kept: list[dict[str, np.ndarray]] = []
    while len(kept) < count:
        lacking = -(-(count - len(kept)) // (1 + looks))
        chosen = list(islice(seeds, min(SCENES_AT_ONCE, max(lacking, 2))))
        if not chosen:
            raise ConfigError(
                f"only {len(kept)} of {count * (1 + MOST_SPARE)} {kind} scenes have {POINTS} "
                "points: make them larger"
            )
        for scene in generate(kind, chosen, config, device):
            kept += _clouds(scene, looks)
    # Without looks all clouds are of one size, and need not say it.
    names = [name for name in kept[0] if looks or name != "count"]
    return {name: np.stack([cloud[name] for cloud in kept[:count]]) for name in names}


def _clouds(scene: Scene, looks: int) -> Iterator[dict[str, np.ndarray]]:
    """What users' pipelines would show the network of a scene; nothing where it is too small."""
    valid = np.flatnonzero(valid_points(scene.xyz))
    if len(valid) < POINTS:
        return
    yield _kept(scene, valid)
    rng = np.random.default_rng([LOOKS, scene.seed])
    for _ in range(looks):
        yield _kept(scene, valid[cut(scene.xyz[valid], scene.instance[valid], rng)])


def _kept(scene: Scene, valid: np.ndarray) -> dict[str, np.ndarray]:
    """At most POINTS of the scene's points `valid`, as a row of a shard."""
    rows = valid
    if len(valid) > POINTS:
        rows = valid[ops.downsample(torch.from_numpy(scene.xyz[valid]), POINTS).numpy()]
    filled = np.resize(rows, POINTS)
    return {
        "xyz": scene.xyz[filled].astype(np.float32),
        "rgb": np.full((POINTS, 3), MID_GREY, np.uint8) if scene.rgb is None else scene.rgb[filled],
        "instance": scene.instance[filled].astype(np.int16),
        "part": scene.finest[filled].astype(np.int16),
        "up": np.asarray(scene.up, np.float32),
        "colored": np.asarray(scene.rgb is not None, bool),
        "count": np.asarray(len(rows), np.int32),
    }


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

    @property
    def points(self) -> int:
        """Of the clouds that were not too small for it."""
        return max(shard["xyz"].shape[1] for shard in self.shards.values())

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, row: int) -> LabelledCloud:
        shard = int(np.searchsorted(self._ends, row, side="right"))
        arrays = self.shards[self._paths[shard]]
        inside = row - (int(self._ends[shard - 1]) if shard else 0)
        scene = {name: values[inside] for name, values in arrays.items()}
        count = scene.pop("count", None)  # shards from before have clouds of one size
        if count is not None:
            scene |= {name: scene[name][:count] for name in ("xyz", "rgb", "instance", "part")}
        rgb = scene["rgb"] if scene.get("colored", True) else None  # old shards all have colour
        return LabelledCloud(
            scene["xyz"],
            rgb,
            1,
            len(scene["xyz"]),
            f"cloud {row}",
            instance=scene["instance"],
            part=scene["part"],
            up=scene["up"],
        )
