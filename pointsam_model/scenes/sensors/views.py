"""One depth camera in front of things: the last steps of kinds that set up their own scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from pointsam_model.scenes.config import SceneConfig
from pointsam_model.scenes.scene import Scene, split
from pointsam_model.scenes.sensors.camera import Camera, poses
from pointsam_model.scenes.sensors.depth_images import see
from pointsam_model.scenes.shapes.objects import Vector
from pointsam_model.scenes.streams import stream
from pointsam_model.scenes.worlds.appearance import draw_light
from pointsam_model.scenes.worlds.world import Thing, build_world, dress


def photographed(
    things: Sequence[Thing],
    purpose: str,
    seed: int,
    camera: Camera,
    target: Vector,
    radius: float,
    image: SceneConfig,
    device: torch.device,
    farthest: float = float("inf"),
) -> Scene:
    """Things as a depth camera sees them that looks at `target` [m]; the first is a table.

    purpose: names the streams that decide on looks, light and noise. radius [m]: of what fills the
    image. farthest [m]: depths beyond are dropped.
    """
    looks = dress(stream(f"{purpose} looks", seed), things, image, table=True)
    world = build_world(things, looks, draw_light(stream(f"{purpose} light", seed), image))
    pose = poses([camera], torch.tensor([target]), torch.tensor([radius]), image)
    pixels = [stream(f"{purpose} pixels", seed)]
    view = see(world, [camera], *pose, pixels, image, device)
    near = torch.where(view.xyz[..., 2:] < farthest, view.xyz, torch.nan)
    return split(replace(view, xyz=near), [seed], image)[0]
