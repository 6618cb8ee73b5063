"""From where rooms are looked at: from any free place, close to some thing, around some thing."""

from __future__ import annotations

import math
from random import Random

import torch
from torch import Tensor

from pointsam_model.scenes.places.room_plan import Plan
from pointsam_model.scenes.sensors.camera import Camera
from pointsam_model.scenes.shapes.objects import Vector

Pose = tuple[Tensor, Tensor]  # world to camera (3,3) and position (3,) [m]
_TRIES = 6
_ASPECT = 0.75  # image height over width
_BEFORE = (0.35, 0.7)  # nothing stands so far before a camera [m]


def good_pose(plan: Plan, rng: Random, camera: Camera, low: bool) -> Pose:
    """From a free place toward a thing; of some tries the one that shows most things."""
    best: Pose | None = None
    most = -math.inf
    for _ in range(_TRIES if rng.random() < 0.85 else 1):
        tried = pose(plan, rng, camera, low)
        shown = _shown(plan, camera, *tried)
        if shown > most:
            best, most = tried, shown
    assert best is not None
    return best


def close_pose(plan: Plan, rng: Random, camera: Camera, target: Vector) -> Pose:
    """From 0.7 to 2 m of a thing, so that it and what is on it fill the image."""
    x, y = plan.free_place_near(rng, target, rng.uniform(0.7, 2.0))
    tall = target[2] + rng.uniform(0.0, 0.9)
    return _aimed(rng, camera, (x, y, min(max(tall, 0.3), 2.0)), target, 0.05)


def pose(plan: Plan, rng: Random, camera: Camera, low: bool, target: Vector | None = None) -> Pose:
    """From a free place toward `target` or a thing; `low`: from near the floor, level."""
    x, y = plan.free_place(rng)
    tall = rng.uniform(0.2, 0.5) if low else rng.uniform(0.3, 1.6)
    aim = target or plan.interest(rng, (x, y))
    return _aimed(rng, camera, (x, y, tall), aim, 0.15, level=low)


def _aimed(
    rng: Random, camera: Camera, place: Vector, aim: Vector, spread: float, level: bool = False
) -> Pose:
    """From `place` to about `aim` [m], off by a heading of standard deviation `spread` [rad]."""
    x, y, tall = place
    u, v, w = aim
    heading = math.atan2(v - y, u - x) + rng.gauss(0, spread)
    drop = math.atan2(tall - w, math.hypot(u - x, v - y))
    pitch = min(max(drop + rng.gauss(0.05, 0.07), -0.1), 1.1)
    if level:
        pitch = rng.gauss(0.0, 0.06)
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


def _shown(plan: Plan, camera: Camera, rotation: Tensor, position: Tensor) -> float:
    """How many things have their middle in the image, less what stands close before it."""
    things = [thing.position for thing in plan.things if not thing.background]
    if not things:
        return 0.0
    middles = torch.tensor([(x, y, max(z, 0.4)) for x, y, z in things])
    x, y, z = ((middles - position) @ rotation.t()).unbind(1)
    wide = math.tan(camera.fov / 2)
    inside = (z > 0.7) & (x.abs() < wide * z) & (y.abs() < wide * _ASPECT * z)
    x_, y_ = float(position[0]), float(position[1])
    along, across = float(rotation[2, 0]), float(rotation[2, 1])
    blocked = sum(
        not plan.free(x_ + along * away, y_ + across * away, 0.05, 0.05) for away in _BEFORE
    )
    return float(inside.sum()) - 8.0 * blocked
