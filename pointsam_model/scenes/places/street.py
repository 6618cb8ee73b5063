"""Streets, suburbs, car parks and parks, swept by a spinning LiDAR on a robot or a car."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from pointsam_model.scenes.config import AppearanceConfig, Range, check
from pointsam_model.scenes.places.street_plan import draw_street
from pointsam_model.scenes.scene import Scene, swept_scene
from pointsam_model.scenes.sensors.lidar import draw_lidar, sweep
from pointsam_model.scenes.streams import stream
from pointsam_model.scenes.worlds.appearance import draw_light
from pointsam_model.scenes.worlds.terrain import draw_terrain
from pointsam_model.scenes.worlds.world import Thing, build_world, dress


@dataclass(frozen=True)
class StreetConfig:
    """Ranges (low, high) and shares from which every street draws its own values."""

    reach: Range = (15.0, 80.0)  # radius that the user keeps of the cloud [m]
    sensor_height: Range = (0.4, 2.2)  # above the ground [m]
    plants_share: float = 0.25  # of the streets: trees and bushes are objects too
    dense_share: float = 0.6  # of the streets: about all rays of the sensor, not a thinned turn
    bare: bool = False  # ground, buildings and plants alone, all of them background
    noise: bool = True

    def __post_init__(self) -> None:
        check(self, positive=("reach", "sensor_height"))


def generate_streets(
    seeds: Sequence[int],
    config: StreetConfig | None = None,
    device: str | torch.device = "cpu",
) -> list[Scene]:
    """One LiDAR cloud of a street for each seed, as if made alone.

    Vehicles, people, cyclists, poles, signs, benches, bins and the like are instances, as people
    annotate streets; ground, buildings, walls, fences, hedges and mostly trees and bushes are
    background. What a few rays met is ignored.
    """
    return [_street(int(seed), config or StreetConfig(), torch.device(device)) for seed in seeds]


def _street(seed: int, config: StreetConfig, device: torch.device) -> Scene:
    rng = stream("street", seed)
    low, high = config.reach
    reach = math.exp(rng.uniform(math.log(low), math.log(high)))
    low, high = config.sensor_height
    # On a car as often as on a robot of any height.
    tall = rng.uniform(low + 0.7 * (high - low) if rng.random() < 0.5 else low, high)
    street = draw_street(rng, reach, tall)
    planted = not config.bare and stream("street plants", seed).random() < config.plants_share
    if config.bare:
        street.things = [thing for thing in street.things if thing.background or thing.plant]
    things = [
        replace(t, background=t.background or (t.plant and not planted)) for t in street.things
    ]
    return sweep_things(
        things, "street", seed, config, reach, (*street.sensor, tall), street.heading, device
    )


def sweep_things(
    things: Sequence[Thing],
    purpose: str,
    seed: int,
    config: StreetConfig,
    reach: float,
    position: tuple[float, float, float],
    heading: float,
    device: torch.device,
) -> Scene:
    """Things outdoors as a LiDAR at `position` [m] sees them, within `reach` [m] of it.

    purpose: names the streams that decide on looks, sensor and noise.
    """
    appearance = AppearanceConfig(noise=config.noise)
    rng = stream(f"{purpose} looks", seed)
    world = build_world(things, dress(rng, things, appearance), draw_light(rng, appearance))
    rng = stream(f"{purpose} lidar", seed)
    dense = rng.random() < config.dense_share
    lidar = draw_lidar(rng, reach, config.noise, dense)
    terrain = draw_terrain(stream(f"{purpose} terrain", seed))
    rays = stream(f"{purpose} rays", seed)
    found = sweep(world, lidar, heading, torch.tensor(position), rays, device, terrain)
    kept = found.xyz[..., :2].norm(dim=-1) < reach
    return swept_scene(found, kept, seed, fewest=FEWEST)


FEWEST = 8  # returns; what fewer met is no object that anybody could annotate
