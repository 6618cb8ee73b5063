"""Rooms with furniture: seen by a depth camera, swept by a LiDAR, or fused from several views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

import torch
from torch import Tensor

from pointsam_model.errors import ConfigError
from pointsam_model.scenes.appearance import draw_light
from pointsam_model.scenes.camera import Camera, draw_camera
from pointsam_model.scenes.config import Range, SceneConfig
from pointsam_model.scenes.depth_images import see
from pointsam_model.scenes.fused import fuse
from pointsam_model.scenes.lidar import draw_lidar, sweep
from pointsam_model.scenes.objects import Vector
from pointsam_model.scenes.room_plan import Plan, draw_plan
from pointsam_model.scenes.scene import Scene, split, swept_scene
from pointsam_model.scenes.streams import stream
from pointsam_model.scenes.world import World, build_world, dress


def _camera() -> SceneConfig:
    return SceneConfig(horizontal_fov=(55.0, 90.0), kinect_fov_share=0.3)


@dataclass(frozen=True)
class RoomConfig:
    """Ranges (low, high) and shares from which every room draws its own values."""

    camera: SceneConfig = field(default_factory=_camera)  # image, noise and colour
    lidar_share: float = 0.18
    fused_share: float = 0.22
    floor_robot_share: float = 0.3  # of the depth images: from low down, level
    farthest: Range = (3.5, 10.0)  # what a depth camera still measures [m]
    views: tuple[int, int] = (2, 6)  # of a fused cloud
    furnished: bool = True  # or floor, walls and ceiling alone

    def __post_init__(self) -> None:
        if self.lidar_share + self.fused_share > 1:
            raise ConfigError("lidar_share + fused_share must not exceed 1")
        if not 1 <= self.views[0] <= self.views[1]:
            raise ConfigError(f"views is {self.views}, must be 1 <= low <= high")


def generate_rooms(
    seeds: Sequence[int], config: RoomConfig | None = None, device: str | torch.device = "cpu"
) -> list[Scene]:
    """One cloud of a room for each seed, as if made alone.

    Floor, walls and ceiling are background; furniture, doors, windows, people and what lies about
    are instances.
    """
    return [_room(int(seed), config or RoomConfig(), torch.device(device)) for seed in seeds]


def _room(seed: int, config: RoomConfig, device: torch.device) -> Scene:
    plan = draw_plan(stream("room plan", seed), config.furnished)
    world = _world(plan, seed, config.camera)
    rng = stream("room view", seed)
    draw = rng.random()
    if draw < config.lidar_share:
        tall = rng.uniform(0.2, 1.6)
        position = torch.tensor([*plan.free_place(rng), tall])
        lidar = draw_lidar(stream("room lidar", seed), 5.0, config.camera.noise)
        yaw = rng.uniform(0, 2 * math.pi)
        found = sweep(world, lidar, yaw, position, stream("room rays", seed), device)
        reach = rng.uniform(3.0, 12.0)
        return swept_scene(found, found.xyz.norm(dim=-1) < reach, seed)
    farthest = rng.uniform(*config.farthest)
    if draw < config.lidar_share + config.fused_share:
        return _fused(plan, world, seed, config, farthest, device)
    low = rng.random() < config.floor_robot_share
    camera = draw_camera(rng, config.camera)
    rotation, position = _pose(plan, rng, camera, low)
    pixels = [stream("room pixels", seed)]
    view = see(world, [camera], rotation[None], position[None], pixels, config.camera, device)
    xyz = torch.where(view.xyz[..., 2:] < farthest, view.xyz, torch.nan)
    return split(replace(view, xyz=xyz), [seed], config.camera)[0]


def _world(plan: Plan, seed: int, appearance: SceneConfig) -> World:
    rng = stream("room looks", seed)
    return build_world(
        plan.things, dress(rng, plan.things, appearance), draw_light(rng, appearance)
    )


def _fused(
    plan: Plan,
    world: World,
    seed: int,
    config: RoomConfig,
    farthest: float,
    device: torch.device,
) -> Scene:
    """Views from along a way, or turning on one spot, in smaller images the more there are."""
    rng = stream("room fused", seed)
    views = rng.randint(*config.views)
    small = math.sqrt(min(1.0, 2.2 / views))
    image = replace(
        config.camera,
        width=max(8, round(config.camera.width * small)),
        height=max(8, round(config.camera.height * small)),
    )
    camera = draw_camera(rng, image)
    target = plan.interest(rng, (math.inf, 0.0))
    turning = rng.random() < 0.3
    rotation, position = _pose(plan, rng, camera, low=False, target=target)
    rotations, positions = [rotation], [position]
    for k in range(1, views):
        if turning:
            angle = k * camera.fov * 0.7
            cos, sin = math.cos(angle), math.sin(angle)
            turn = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
            rotation = rotations[0] @ turn.t()
        else:
            other = None if rng.random() < 0.25 else target
            rotation, position = _pose(plan, rng, camera, low=False, target=other)
        rotations.append(rotation)
        positions.append(position)
    poses = torch.stack(rotations), torch.stack(positions)

    def near(depth: Tensor, _: Tensor) -> Tensor:
        return depth < farthest

    return fuse(world, [camera] * views, *poses, rng, image, device, seed, near)


def _pose(
    plan: Plan, rng: Random, camera: Camera, low: bool, target: Vector | None = None
) -> tuple[Tensor, Tensor]:
    """World to camera (3,3) and position (3,) [m]: from a free place toward `target` or a thing."""
    x, y = plan.free_place(rng)
    tall = rng.uniform(0.2, 0.5) if low else rng.uniform(0.3, 1.6)
    u, v, w = target or plan.interest(rng, (x, y))
    heading = math.atan2(v - y, u - x) + rng.gauss(0, 0.15)
    drop = math.atan2(tall - w, math.hypot(u - x, v - y))
    pitch = rng.gauss(0.0, 0.06) if low else min(max(drop + rng.gauss(0.08, 0.1), -0.1), 0.8)
    forward = torch.tensor(
        [
            math.cos(heading) * math.cos(pitch),
            math.sin(heading) * math.cos(pitch),
            -math.sin(pitch),
        ],
        dtype=torch.float64,
    )
    right = torch.tensor([math.sin(heading), -math.cos(heading), 0.0], dtype=torch.float64)
    down = torch.linalg.cross(forward, right)
    cos, sin = math.cos(camera.roll), math.sin(camera.roll)
    right, down = cos * right + sin * down, cos * down - sin * right
    return torch.stack([right, down, forward]).float(), torch.tensor([x, y, tall])
