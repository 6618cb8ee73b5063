"""Streets: what a LiDAR on a car or robot sees of them, and what people would annotate there."""

from __future__ import annotations

import dataclasses
import math
from random import Random

import numpy as np
import pytest
import torch

from pointsam_model.errors import ConfigError
from pointsam_model.scenes import Scene, StreetConfig, generate
from pointsam_model.scenes.config import SceneConfig
from pointsam_model.scenes.inhabitants.street_objects import fence, hedge, tree
from pointsam_model.scenes.inhabitants.vehicles import car
from pointsam_model.scenes.mixture import MixtureConfig
from pointsam_model.scenes.places.street import FEWEST
from pointsam_model.scenes.places.street_plan import draw_street
from pointsam_model.scenes.sensors.lidar import draw_lidar, lidar_rays, mount, sweep
from pointsam_model.scenes.shapes.pieces import between
from pointsam_model.scenes.solids.primitives import intersect
from pointsam_model.scenes.worlds.appearance import draw_light
from pointsam_model.scenes.worlds.terrain import FLAT, Terrain, draw_terrain
from pointsam_model.scenes.worlds.world import Thing, World, bounds, build_world, dress

CPU = torch.device("cpu")
FLOOR = Thing([between((-90, -90, -1), (90, 90, 0))], (0.0, 0.0, 0.0), background=True)
HDL_64 = dataclasses.replace(
    draw_lidar(Random(3), 20.0, noise=False),
    elevations=tuple(
        math.radians(e) for e in (*np.linspace(2, -8.33, 32), *np.linspace(-8.87, -24.87, 32))
    ),
    columns=1024,
    step=2 * math.pi / 1024,
    first_azimuth=1.0,
    tilt=(0.01, -0.015),
    nearest=0.5,
    farthest=1000.0,
)


def test_ground_rises_as_the_terrain_says_and_ranges_stay_on_their_rings() -> None:
    terrain = Terrain(0.02, 0.03, 1.0, 0.02, -0.4)
    found = sweep(_world(FLOOR), HDL_64, 0.4, torch.tensor([0, 0, 1.7]), Random(0), CPU, terrain)
    seen = torch.isfinite(found.xyz[..., 0])
    assert float(seen.float().mean()) > 0.6
    x, y, z = (found.xyz[seen] @ mount(HDL_64, 0.4)).unbind(-1)
    rise = terrain.slope(torch.atan2(y, x)) * torch.hypot(x, y)
    assert float((z + 1.7 - rise).abs().max()) < 2e-3
    elevation = torch.asin(found.xyz[..., 2] / found.xyz.norm(dim=-1))
    nominal = torch.tensor(HDL_64.elevations)[:, None].expand_as(elevation)
    assert torch.allclose(elevation[seen], nominal[seen], atol=1e-5)


def test_on_a_steep_terrain_rays_meet_what_all_rays_against_all_primitives_meet() -> None:
    terrain = Terrain(0.04, 0.05, 2.0, 0.03, 0.5)
    cars = [car(Random(k), (12 * math.cos(k), 12 * math.sin(k)), 1.0 * k) for k in range(6)]
    world = _world(FLOOR, *[dataclasses.replace(thing, surfaces={}) for thing in cars])
    position = torch.tensor([0, 0, 1.7])
    found = sweep(world, HDL_64, 0.0, position, Random(0), CPU, terrain)
    turn = mount(HDL_64, 0.0)
    bent = terrain.bent(lidar_rays(HDL_64, CPU), turn)
    rays = (bent[:, :, ::4].flatten(1).t() @ turn).contiguous()
    nearest = torch.full((len(rays),), torch.inf)
    for row in range(len(world.primitives)):
        rows = torch.full((len(rays),), row)
        t = intersect(world.primitives, rows, position.expand(len(rays), 3), rays)
        nearest = torch.minimum(nearest, t)
    measured = found.xyz[:, ::4].norm(dim=-1).flatten()
    both = torch.isfinite(measured) & torch.isfinite(nearest)
    assert float(both.float().sum()) > 0.9 * float(torch.isfinite(nearest).float().sum())
    assert float(((measured - nearest).abs()[both] < 2e-3).float().mean()) > 0.9999


def test_some_terrains_are_flat_and_none_is_a_cliff() -> None:
    drawn = [draw_terrain(Random(seed)) for seed in range(300)]
    assert 0.2 < np.mean([terrain == FLAT for terrain in drawn]) < 0.5
    assert max(terrain.steepest for terrain in drawn) < 0.2
    assert np.median([terrain.steepest for terrain in drawn if terrain != FLAT]) > 0.02


@pytest.mark.parametrize(
    ("distance", "fewest", "most"), [(10, 500, 1600), (20, 120, 500), (40, 25, 130)]
)
def test_a_car_gets_as_many_returns_as_from_a_real_64_ring_sensor(
    distance: float, fewest: int, most: int
) -> None:
    # Real cars in sweeps of 64 x 1024 returns: 500 to 800 at 8 m, 70 to 290 at 15 to 22 m, 30 to
    # 80 at 36 m.
    for yaw in (0.3, 1.2):
        world = _world(FLOOR, car(Random(2), (distance, 0.0), yaw))
        found = sweep(world, HDL_64, 0.0, torch.tensor([0, 0, 1.73]), Random(0), CPU)
        own = (found.world.instance[found.row.clamp_min(0)] == 1) & (found.row >= 0)
        returns = int((own & torch.isfinite(found.xyz[..., 0])).sum())
        assert fewest < returns < most


def test_fences_and_hedges_are_background_and_trees_mostly_too() -> None:
    assert hedge(Random(1), (3, 0), 0.0, 5.0).background
    assert fence(Random(1), (3, 0), 0.0, 5.0).background
    assert tree(Random(1), (3, 0)).plant and not tree(Random(1), (3, 0)).background
    gardens, bare = (
        generate("street", range(12), MixtureConfig(street=StreetConfig(plants_share=share)))
        for share in (1.0, 0.0)
    )
    more = 0
    for with_plants, without in zip(gardens, bare, strict=True):
        more += int(with_plants.instance.max()) - int(without.instance.max())
    assert more > 20


def test_objects_have_returns_enough_to_be_annotated() -> None:
    for scene in generate("street", range(8)):
        counts = np.bincount(scene.instance[scene.instance > 0])[1:]
        assert (counts >= FEWEST).all()


def test_objects_are_seen_near_and_far() -> None:
    ranges: list[float] = []
    for scene in generate("street", range(40, 70)):
        ranges += [_distance(scene, number) for number in range(1, scene.instance.max() + 1)]
    share = [np.mean([a <= r < b for r in ranges]) for a, b in ((0, 10), (10, 20), (20, 90))]
    assert min(share) > 0.1
    assert max(ranges) > 40


def test_streets_hold_people_riders_vehicles_and_roadside_things() -> None:
    makers: set[str] = set()
    for seed in range(40):
        for thing in draw_street(Random(seed), 40.0, 1.7).things:
            parts = len(thing.part_numbers())
            low, high = _box(thing)
            makers.add(_size(high[2] - low[2], max(high[0] - low[0], high[1] - low[1]), parts))
    assert {"tall and thin", "long", "car", "small"} <= makers


def test_impossible_streets_are_refused() -> None:
    with pytest.raises(ConfigError, match="plants_share"):
        StreetConfig(plants_share=1.5)
    with pytest.raises(ConfigError, match="dense_share"):
        StreetConfig(dense_share=-0.1)


def _world(*things: Thing) -> World:
    appearance = SceneConfig(noise=False)
    return build_world(
        things, dress(Random(1), things, appearance), draw_light(Random(1), appearance)
    )


def _distance(scene: Scene, number: int) -> float:
    return float(np.linalg.norm(scene.xyz[scene.instance == number], axis=1).mean())


def _box(thing: Thing) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    return bounds([thing.pieces])[0]


def _size(tall: float, long: float, parts: int) -> str:
    if tall > 2.0 and long < 1.0:
        return "tall and thin"
    if long > 5.5:
        return "long"
    if long > 3.3 and 1.2 < tall < 1.9 and parts > 3:
        return "car"
    return "small" if max(tall, long) < 1.0 else "other"
