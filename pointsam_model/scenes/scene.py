"""Labelled scenes: organised clouds as a depth camera gives them, with the truth about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pointsam_model.errors import ConfigError
from pointsam_model.scenes.config import SceneConfig
from pointsam_model.scenes.rendering import View, render


@dataclass(frozen=True)
class Scene:
    """One organised cloud as a depth camera gave it, with the truth about it.

    Arrays are numpy, rows row-major over (height, width).
    """

    xyz: NDArray[
        np.float32
    ]  # (h*w,3) [m], camera optical frame: x right, y down, z forward; NaN: none
    rgb: NDArray[np.uint8]  # (h*w,3)
    instance: NDArray[
        np.int32
    ]  # (h*w,) 0 support or background, >= 1 objects, -1 none or flying pixel
    part: NDArray[np.int32]  # (h*w,) 0 background, >= 1 parts (unique in the scene), -1 as above
    height: int
    width: int
    up: NDArray[np.float32]  # (3,) unit vector against gravity, in the camera's frame
    seed: int


def generate_scene(
    seed: int, config: SceneConfig | None = None, device: str | torch.device = "cpu"
) -> Scene:
    """One scene; the same for the same seed, config and device type. See `generate_scenes`."""
    return generate_scenes([seed], config, device)[0]


def generate_scenes(
    seeds: Sequence[int], config: SceneConfig | None = None, device: str | torch.device = "cpu"
) -> list[Scene]:
    """Scenes made side by side, each as if made alone: only its own seed decides.

    seeds: non-negative integers. device: where rays, colours and noise are computed; a GPU draws
    other pixel noise than a CPU from the same seed, the objects and cameras are the same.
    16 to 64 small scenes at once is a good number on a CPU.
    """
    if not len(seeds):
        return []
    if min(seeds) < 0:
        raise ConfigError(f"seed {min(seeds)} is negative, seeds are 0 or more")
    config = config or SceneConfig()
    view = render(seeds, config, torch.device(device))
    return _split(view, seeds, config)


def _split(view: View, seeds: Sequence[int], config: SceneConfig) -> list[Scene]:
    valid = torch.isfinite(view.xyz[..., 2])
    known = valid & ~view.flying & (view.row >= 0)
    row = view.row.clamp_min(0)
    instance = torch.where(known, view.instance[row], -1).flatten(1)
    part = torch.where(known, view.part[row], -1).flatten(1)
    b = len(seeds)
    arrays = (view.xyz.reshape(b, -1, 3), view.rgb.reshape(b, -1, 3), instance.int(), part.int())
    xyz, rgb, instances, parts = (array.cpu().numpy() for array in arrays)
    up = view.rotation[:, :, 2].cpu().numpy()
    return [
        Scene(
            xyz[i],
            rgb[i],
            _renumbered(instances[i]),
            _renumbered(parts[i]),
            config.height,
            config.width,
            up[i],
            int(seed),
        )
        for i, seed in enumerate(seeds)
    ]


def _renumbered(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Positive labels without gaps, in their order; those nobody sees are gone."""
    present = np.bincount(np.maximum(labels, 0)) > 0
    present[0] = False
    table = np.where(present, np.cumsum(present), 0).astype(np.int32)
    return np.where(labels > 0, table[np.maximum(labels, 0)], labels).astype(np.int32)
