"""Labelled scenes: clouds as sensors give them, with the truth about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointsam_model.data.clouds import LabelledCloud
from pointsam_model.errors import ConfigError
from pointsam_model.scenes.config import CameraConfig, SceneConfig
from pointsam_model.scenes.places.tabletop import render
from pointsam_model.scenes.sensors.depth_images import View
from pointsam_model.scenes.sensors.lidar import Sweep


@dataclass(frozen=True)
class Scene(LabelledCloud):
    """A generated cloud, as one sensor gives it or as several views of it were fused.

    Its parts and what is up are known. A depth camera's cloud is in its optical
    coordinate frame (x right, y down, z forward); a spinning LiDAR's (height: rings, highest first;
    width: columns, clockwise) in the sensor's frame and a fused one (height 1) in a fixed frame, x
    forward, y left, z about up.


    Attributes:
        seed: that it was made from.
        kind: of `mixture.KINDS` where `generate` made it.
    """

    seed: int = field(kw_only=True)
    kind: str = field(default="", kw_only=True)


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
    return split(view, seeds, config)


def split(view: View, seeds: Sequence[int], config: CameraConfig) -> list[Scene]:
    """A rendered batch as scenes."""
    instance, part = labels(view)
    arrays = (view.xyz.flatten(1, 2), view.rgb.flatten(1, 2), instance.flatten(1), part.flatten(1))
    xyz, rgb, instances, parts = (array.cpu().numpy() for array in arrays)
    up = view.rotation[:, :, 2].cpu().numpy()
    return [
        Scene(
            xyz[i],
            rgb[i],
            config.height,
            config.width,
            f"scene {seed}",
            viewpoint=np.zeros(3),
            instance=renumbered(instances[i]),
            part=renumbered(parts[i]),
            up=up[i],
            seed=int(seed),
        )
        for i, seed in enumerate(seeds)
    ]


def labels(view: View) -> tuple[Tensor, Tensor]:
    """Instance and part (b,h,w) int32 of each pixel, -1 where it saw nothing or flies."""
    valid = torch.isfinite(view.xyz[..., 2])
    known = valid & ~view.flying & (view.row >= 0)
    row = view.row.clamp_min(0)
    instance = torch.where(known, view.instance[row], -1)
    part = torch.where(known, view.part[row], -1)
    return instance.int(), part.int()


def swept_scene(sweep: Sweep, kept: Tensor, seed: int, fewest: int = 1) -> Scene:
    """A LiDAR's turn as a scene; returns outside of `kept` (h,w) are dropped.

    Objects with less than `fewest` returns are ignored: -1.
    """
    xyz = torch.where(kept[..., None], sweep.xyz, torch.nan)
    known = torch.isfinite(xyz[..., 2]) & ~sweep.mixed & (sweep.row >= 0)
    row = sweep.row.clamp_min(0)
    instance = torch.where(known, sweep.world.instance[row], -1).int().flatten()
    part = torch.where(known, sweep.world.part[row], -1).int().flatten()
    met = torch.bincount(instance.clamp_min(0))[instance.clamp_min(0).long()]
    faint = (instance > 0) & (met < fewest)
    instance, part = torch.where(faint, -1, instance), torch.where(faint, -1, part)
    height, width = sweep.row.shape
    return Scene(
        xyz.reshape(-1, 3).cpu().numpy(),
        None,
        height,
        width,
        f"scene {seed}",
        viewpoint=np.zeros(3),
        instance=renumbered(instance.cpu().numpy()),
        part=renumbered(part.cpu().numpy()),
        up=sweep.rotation[:, 2].cpu().numpy(),
        seed=seed,
    )


def renumbered(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Positive labels without gaps, in their order; those nobody sees are gone."""
    present = np.bincount(np.maximum(labels, 0)) > 0
    present[0] = False
    table = np.where(present, np.cumsum(present), 0).astype(np.int32)
    return np.where(labels > 0, table[np.maximum(labels, 0)], labels).astype(np.int32)
