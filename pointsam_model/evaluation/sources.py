"""Where labelled clouds come from: files, or scenes that are generated for the purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pointsam_model.data.clouds import LabelledCloud
from pointsam_model.data.labelled import find_labelled, read_labelled
from pointsam_model.scenes import (
    BinConfig,
    MixtureConfig,
    PartsConfig,
    RoomConfig,
    SceneConfig,
    generate,
)

WIDTH, HEIGHT = 640, 480  # of a depth camera's image
FIRST_SEED = 2**42  # beyond those that anything is trained or fitted on


@dataclass(frozen=True)
class Source:
    """Labelled clouds that are read one by one.

    Attributes:
        title: what tables call all of them.
        names: of each.
        read: gives the cloud of a name, the same each time.
    """

    title: str
    names: Sequence[str]
    read: Callable[[str], LabelledCloud]


def from_files(data: Path, limit: int = 0) -> Source:
    """The clouds of a file or folder, called by their path in it, so that equal names stay apart.

    Args:
        data: an `.npz` or a folder of them.
        limit: only so many; 0: all.

    Raises:
        CloudError: see `find_labelled`.
    """
    paths = {
        path.stem if path == data else path.relative_to(data).with_suffix("").as_posix(): path
        for path in find_labelled(data)
    }
    names = list(paths)[: limit or None]
    return Source(data.resolve().name, names, lambda name: read_labelled(paths[name], name))


def generated(kind: str, count: int, seed: int) -> Source:
    """Scenes as their sensors see them, depth images of 640 x 480 pixels, from consecutive seeds:
    seed 0 here is FIRST_SEED, so that nothing was trained on one of them.

    Raises:
        ConfigError: at the first that is read: no such kind.
    """
    seeds = {f"{kind} {number}": number for number in range(seed, seed + count)}
    title = f"generated: {kind}, seeds {seed} to {seed + count - 1}"
    return Source(title, list(seeds), lambda name: _scene(name, kind, seeds[name]))


def _scene(name: str, kind: str, seed: int) -> LabelledCloud:
    (scene,) = generate(kind, [FIRST_SEED + seed], _full_resolution())
    return replace(scene, name=name)


def _full_resolution() -> MixtureConfig:
    parts = PartsConfig()
    finer = parts.camera.width / WIDTH  # the same stretch of table, in more pixels
    low, high = parts.pixel
    return MixtureConfig(
        tabletop=SceneConfig(width=WIDTH, height=HEIGHT),
        room=RoomConfig(camera=_fine(RoomConfig().camera)),
        parts=replace(parts, camera=_fine(parts.camera), pixel=(low * finer, high * finer)),
        bin=BinConfig(camera=_fine(BinConfig().camera)),
    )


def _fine(camera: SceneConfig) -> SceneConfig:
    return replace(camera, width=WIDTH, height=HEIGHT)
