"""Several depth images of one world as one unorganised cloud."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointsam_model.scenes.config import CameraConfig
from pointsam_model.scenes.scene import Scene, labels, renumbered
from pointsam_model.scenes.sensors.camera import Camera
from pointsam_model.scenes.sensors.depth_images import View, see
from pointsam_model.scenes.solids.primitives import rotate
from pointsam_model.scenes.worlds.world import World

_FEWEST = 6_000  # points that a voxel grid leaves
_SHIFT, _TURN = 0.004, 0.002  # largest standard deviation of a view's pose error [m], [rad]


def fuse(
    world: World,
    cameras: list[Camera],
    rotation: Tensor,
    position: Tensor,
    rng: Random,
    config: CameraConfig,
    device: torch.device,
    seed: int,
    kept: Callable[[Tensor, Tensor], Tensor],
) -> Scene:
    """One cloud of what several cameras see of a world of one scene.

    rotation (v,3,3) world to camera and position (v,3) [m]: true poses. The cloud's frame has z
    up and stands below the first camera. kept: which points (v,h,w)
    the user lets in, from depths (v,h,w) [m] and points in the world (v,h,w,3) [m]. Of most clouds
    only a point a voxel is left.
    """
    views = len(cameras)
    streams = [Random(rng.getrandbits(64)) for _ in range(views)]
    view = see(world.repeated(views), cameras, rotation, position, streams, config, device)
    instance, part = labels(view)
    world_xyz = _in_world(view, rng, config.noise)
    shown = torch.isfinite(view.xyz[..., 2]) & kept(view.xyz[..., 2], world_xyz)
    origin = view.position[0] * torch.tensor([1.0, 1.0, 0.0], device=device)
    xyz = (world_xyz - origin)[shown].cpu().numpy()
    arrays = (view.rgb[shown], instance[shown], part[shown])
    rgb, instances, parts = (array.cpu().numpy() for array in arrays)
    rows = _voxel_rows(xyz, rng) if rng.random() < 0.75 else np.arange(len(xyz))
    return Scene(
        xyz[rows],
        rgb[rows],
        1,
        len(rows),
        f"scene {seed}",
        instance=renumbered(instances[rows]),
        part=renumbered(parts[rows]),
        up=np.array([0, 0, 1], np.float32),
        seed=seed,
    )


def _in_world(view: View, rng: Random, noise: bool) -> Tensor:
    """Points (v,h,w,3) of all views, each moved by the error of its pose."""
    turn, shift = rng.uniform(0, _TURN) * noise, rng.uniform(0, _SHIFT) * noise
    error = torch.tensor(
        [[rng.gauss(0, 1) for _ in range(6)] for _ in range(len(view.row))],
        device=view.xyz.device,
        dtype=torch.float32,
    )
    small = error[:, :3] * turn
    zero = torch.zeros(len(small), device=small.device)
    x, y, z = small.unbind(1)
    # To first order in angles of a tenth of a degree.
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
    back = view.rotation.transpose(1, 2)[:, None, None]
    turned = view.xyz + rotate(skew[:, None, None], view.xyz) + error[:, None, None, 3:] * shift
    return rotate(back, turned) + view.position[:, None, None]


def _voxel_rows(xyz: NDArray[np.float32], rng: Random) -> NDArray[np.int64]:
    """A point of each voxel, as large a voxel as leaves enough points."""
    size = math.exp(rng.uniform(math.log(0.004), math.log(0.04)))
    while True:
        cell = np.floor(xyz / size).astype(np.int64)
        key = (cell[:, 0] << 42) ^ (cell[:, 1] << 21) ^ cell[:, 2]
        rows = np.sort(np.unique(key, return_index=True)[1])
        if len(rows) >= min(_FEWEST, len(xyz)) or size < 1e-3:
            return rows
        size /= 1.5
