"""Rooms with furniture: seen by a depth camera, swept by a LiDAR, or fused from several views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

import torch
from torch import Tensor

from pointsam_model.scenes.config import AppearanceConfig, Range, SceneConfig, check
from pointsam_model.scenes.places.room_plan import Plan, draw_plan
from pointsam_model.scenes.places.room_views import Pose, close_pose, good_pose, pose
from pointsam_model.scenes.scene import Scene, split, swept_scene
from pointsam_model.scenes.sensors.camera import Camera, draw_camera
from pointsam_model.scenes.sensors.depth_images import see
from pointsam_model.scenes.sensors.fused import fuse
from pointsam_model.scenes.sensors.lidar import draw_lidar, sweep
from pointsam_model.scenes.shapes.objects import Vector
from pointsam_model.scenes.streams import stream
from pointsam_model.scenes.worlds.appearance import draw_light
from pointsam_model.scenes.worlds.world import World, build_world, dress


def _camera() -> SceneConfig:
    return SceneConfig(width=192, height=144, horizontal_fov=(55.0, 90.0), kinect_fov_share=0.3)


@dataclass(frozen=True)
class RoomConfig:
    """Ranges (low, high) and shares from which every room draws its own values."""

    camera: SceneConfig = field(default_factory=_camera)  # image, noise and colour
    lidar_share: float = 0.18
    fused_share: float = 0.3
    around_share: float = 0.5  # of the fused clouds: scans around one thing
    close_share: float = 0.35  # of the depth images: from close to one thing
    floor_robot_share: float = 0.3  # of the depth images: from low down, level
    farthest: Range = (3.5, 10.0)  # what a depth camera still measures [m]
    views: tuple[int, int] = (2, 6)  # of a fused cloud
    furnished: bool = True  # or floor, walls and ceiling alone

    def __post_init__(self) -> None:
        check(self, ("lidar_share", "fused_share"), positive=("views",))


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
    camera = draw_camera(rng, config.camera)
    if rng.random() < config.close_share:
        rotation, position = close_pose(plan, rng, camera, plan.interest(rng, (math.inf, 0.0)))
    else:
        low = rng.random() < config.floor_robot_share
        rotation, position = good_pose(plan, rng, camera, low)
    pixels = [stream("room pixels", seed)]
    view = see(world, [camera], rotation[None], position[None], pixels, config.camera, device)
    xyz = torch.where(view.xyz[..., 2:] < farthest, view.xyz, torch.nan)
    return split(replace(view, xyz=xyz), [seed], config.camera)[0]


def _world(plan: Plan, seed: int, appearance: AppearanceConfig) -> World:
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
    """Views along a way, turning on one spot or around a thing; the more, the smaller images."""
    rng = stream("room fused", seed)
    around = rng.random() < config.around_share
    views = rng.randint(6, 14) if around else rng.randint(*config.views)
    small = math.sqrt(min(1.0, 2.2 / views))
    image = replace(
        config.camera,
        width=max(8, round(config.camera.width * small)),
        height=max(8, round(config.camera.height * small)),
    )
    camera = draw_camera(rng, image)
    target = plan.interest(rng, (math.inf, 0.0))
    if around:
        poses = [close_pose(plan, rng, camera, target) for _ in range(views)]
    else:
        poses = _poses_along(plan, rng, camera, target, views)
    # Of a scan around a thing its surroundings are mostly cut away.
    reach = rng.uniform(0.9, 2.5) if around and rng.random() < 0.7 else math.inf

    def near(depth: Tensor, xyz: Tensor) -> Tensor:
        away = (xyz[..., :2] - torch.tensor(target[:2], device=xyz.device)).norm(dim=-1)
        return (depth < farthest) & (away < reach)

    rotation, position = torch.stack([r for r, _ in poses]), torch.stack([p for _, p in poses])
    return fuse(world, [camera] * views, rotation, position, rng, image, device, seed, near)


def _poses_along(plan: Plan, rng: Random, camera: Camera, target: Vector, views: int) -> list[Pose]:
    turning = rng.random() < 0.3
    rotation, position = pose(plan, rng, camera, low=False, target=target)
    poses = [(rotation, position)]
    for k in range(1, views):
        if turning:
            angle = k * camera.fov * 0.7
            cos, sin = math.cos(angle), math.sin(angle)
            turn = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
            poses.append((rotation @ turn.t(), position))
        else:
            other = None if rng.random() < 0.25 else target
            poses.append(pose(plan, rng, camera, low=False, target=other))
    return poses
