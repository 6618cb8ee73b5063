"""Streets, rooms and fused clouds are labelled by what was hit, as their sensors would see it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from random import Random

import matplotlib.image
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from typer.testing import CliRunner

from pointsam_model.cli.app import app
from pointsam_model.errors import ConfigError
from pointsam_model.scenes import (
    KINDS,
    MIXTURE,
    MixtureConfig,
    RoomConfig,
    Scene,
    SceneConfig,
    StreetConfig,
    generate,
    kind_of,
)
from pointsam_model.scenes.places.room_plan import draw_plan
from pointsam_model.scenes.places.street_plan import draw_street
from pointsam_model.scenes.sensors.camera import draw_camera
from pointsam_model.scenes.sensors.fused import fuse
from pointsam_model.scenes.sensors.lidar import Lidar, Sweep, draw_lidar, lidar_rays, mount, sweep
from pointsam_model.scenes.shapes.objects import Piece
from pointsam_model.scenes.shapes.pieces import between, drum
from pointsam_model.scenes.solids.primitives import depths, intersect
from pointsam_model.scenes.worlds.appearance import draw_light
from pointsam_model.scenes.worlds.world import Material, Thing, World, bounds, build_world, dress
from pointsam_model.training.pool import POINTS, Pool, make_pool

Floats = NDArray[np.float64]
CALM = MixtureConfig(
    tabletop=SceneConfig(width=64, height=48),
    room=RoomConfig(camera=SceneConfig(width=64, height=48)),
)
CPU = torch.device("cpu")


def world_of(*things: Thing) -> World:
    appearance = SceneConfig(noise=False)
    return build_world(
        things, dress(Random(1), things, appearance), draw_light(Random(1), appearance)
    )


def thing(
    *pieces: Piece, at: tuple[float, float, float] = (0.0, 0.0, 0.0), **more: object
) -> Thing:
    return Thing(list(pieces), at, **more)  # type: ignore[arg-type]


FLOOR = thing(between((-60, -60, -1), (60, 60, 0)), background=True)
CALM_LIDAR = dataclasses.replace(
    draw_lidar(Random(3), 20.0, noise=False),
    elevations=tuple(math.radians(e) for e in np.linspace(15, -25, 32)),
    columns=512,
    step=2 * math.pi / 512,
    first_azimuth=1.0,
    tilt=(0.0, 0.0),
    nearest=0.1,
    farthest=100.0,
)


def swept(world: World, lidar: Lidar = CALM_LIDAR, height: float = 1.5, seed: int = 0) -> Sweep:
    return sweep(world, lidar, 0.4, torch.tensor([0.0, 0.0, height]), Random(seed), CPU)


def test_a_sweep_meets_what_all_rays_against_all_primitives_meet() -> None:
    street = draw_street(Random(5), 15.0, 1.0)
    solid = [dataclasses.replace(thing, surfaces={}) for thing in street.things]
    world = world_of(*solid)
    assert len(world.primitives) > 100
    position = torch.tensor([*street.sensor, 1.0])
    rotation = mount(CALM_LIDAR, 0.4)
    found = sweep(world, CALM_LIDAR, 0.4, position, Random(0), CPU)
    directions = lidar_rays(CALM_LIDAR, CPU)[:, :, ::3].flatten(1).t() @ rotation
    nearest = torch.full((len(directions),), torch.inf)
    for row in range(len(world.primitives)):
        rows = torch.full((len(directions),), row)
        origins = position.expand(len(directions), 3)
        t = intersect(world.primitives, rows, origins, directions.contiguous())
        nearest = torch.minimum(nearest, t)
    truth = torch.where(nearest < CALM_LIDAR.farthest, nearest, torch.nan).view(32, -1)
    measured = found.xyz[:, ::3].norm(dim=-1)
    both = torch.isfinite(truth) & torch.isfinite(measured)
    # Black or slanting surfaces do not answer; nothing else may differ.
    assert bool((torch.isfinite(measured) <= torch.isfinite(truth)).all())
    assert float(both.sum()) > 0.8 * float(torch.isfinite(truth).sum())
    assert float(((truth - measured).abs()[both] < 1e-3).float().mean()) > 0.9999


@pytest.mark.parametrize("columns", [512, 96])
def test_points_lie_on_rings_and_columns(columns: int) -> None:
    sensor = dataclasses.replace(
        CALM_LIDAR, columns=columns, range_sigma=0.02, first_azimuth=0.6, tilt=(0.03, -0.02)
    )
    found = swept(world_of(FLOOR, thing(between((4, -3, 0), (5, 3, 3)))), sensor)
    x, y, z = found.xyz.unbind(-1)
    seen = torch.isfinite(x)
    elevation = torch.atan2(z, torch.hypot(x, y))
    nominal = torch.tensor(sensor.elevations)[:, None].expand_as(elevation)
    assert torch.allclose(elevation[seen], nominal[seen], atol=1e-5)
    column = torch.remainder(0.6 - torch.atan2(y, x), 2 * math.pi) / sensor.step
    off = column - torch.arange(columns)
    off = torch.remainder(off + 256, 512) - 256
    assert float(off[seen].abs().max()) < 1e-3


def test_ranges_are_as_noisy_and_as_coarse_as_the_sensor_says() -> None:
    wall = thing(between((5, -40, -5), (6, 40, 9)), background=True)
    clean = swept(world_of(wall)).xyz.norm(dim=-1)
    noisy = dataclasses.replace(CALM_LIDAR, range_sigma=0.02)
    error = (swept(world_of(wall), noisy).xyz.norm(dim=-1) - clean).flatten()
    error = error[torch.isfinite(error)]
    assert 0.018 < float(error.std()) < 0.022 and abs(float(error.mean())) < 0.002
    coarse = dataclasses.replace(CALM_LIDAR, quantum=0.25)
    steps = swept(world_of(wall), coarse).xyz.norm(dim=-1) / 0.25
    steps = steps[torch.isfinite(steps)]
    assert float((steps - steps.round()).abs().max()) < 1e-3


def test_far_dark_and_slanting_surfaces_are_lost_first() -> None:
    def answers(sensor: Lidar, distance: float, *, dark: float = 0.5) -> float:
        wall = thing(between((distance, -90, -9), (distance + 1, 90, 30)), background=True)
        world = world_of(wall)
        world = dataclasses.replace(world, looks=world.looks.clone())
        world.looks[:, :9] = 1 - dark
        found = swept(world, sensor)
        return float(torch.isfinite(found.xyz[..., 0]).float().sum())

    sensor = dataclasses.replace(CALM_LIDAR, farthest=60.0)
    assert answers(sensor, 61.0) == 0
    assert answers(sensor, 5.0) > answers(sensor, 40.0) > 0
    assert answers(sensor, 20.0) > answers(sensor, 20.0, dark=0.95) > 0
    grazing = dataclasses.replace(sensor, grazing_cosine=0.5)
    assert answers(grazing, 5.0) < answers(sensor, 5.0)
    blind = dataclasses.replace(CALM_LIDAR, blind=(20, 60))
    seen = torch.isfinite(swept(world_of(FLOOR), blind).xyz[..., 0])
    everything = torch.isfinite(swept(world_of(FLOOR)).xyz[..., 0])
    everything[:, 20:60] = False
    assert bool((seen == everything).all()) and int(seen.sum()) > 0
    dropping = dataclasses.replace(sensor, dropout=0.3)
    assert answers(dropping, 5.0) / answers(sensor, 5.0) == pytest.approx(0.7, abs=0.03)


def test_rays_enter_a_crown_or_pass_through_it() -> None:
    crown = thing(between((4, -4, 0), (6, 4, 3)), surfaces={0: Material(leaves=0.3)})
    wall = thing(between((9, -40, -5), (10, 40, 20)), background=True)
    found = swept(world_of(wall, crown))
    wanted = swept(world_of(wall, dataclasses.replace(crown, surfaces={})))
    behind = wanted.world.instance[wanted.row.clamp_min(0)] == 1
    behind &= torch.isfinite(wanted.xyz[..., 0]) & torch.isfinite(found.xyz[..., 0])
    own = found.world.instance[found.row.clamp_min(0)] == 1
    through = float((behind & ~own).sum() / behind.sum())
    assert 0.25 < through < 0.45
    depth = (found.xyz - wanted.xyz).norm(dim=-1)[behind & own]
    assert float(depth.min()) > 0 and 0.1 < float(depth.mean()) < 0.35


def test_points_of_an_instance_lie_on_its_own_primitives() -> None:
    checked = 0
    for seed in (2, 11, 23):
        street = draw_street(Random(seed), 20.0, 1.7)
        things = [dataclasses.replace(thing, surfaces={}) for thing in street.things]
        world = world_of(*things)
        position = torch.tensor([*street.sensor, 1.7])
        found = sweep(world, CALM_LIDAR, 0.0, position, Random(seed), CPU)
        seen = torch.isfinite(found.xyz[..., 0]) & (found.row >= 0)
        points = found.xyz[seen] @ mount(CALM_LIDAR, 0.0) + position
        own = world.instance[found.row[seen]]
        for instance in own.unique().tolist():
            mine = points[own == instance]
            rows = (world.instance == instance).nonzero().squeeze(1)
            off = torch.full((len(mine),), torch.inf)
            for row in rows:
                depth = depths(world.primitives, row.expand(len(mine)), mine).abs()
                off = torch.minimum(off, depth)
            # A superquadric's depth is one to first order.
            assert float(off.max()) < 0.02, (seed, instance)
            checked += len(mine)
    assert checked > 15_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_depends_on_its_seed_alone(kind: str) -> None:
    together = generate(kind, [4, 1, 9], CALM)
    for scene, seed in zip(together, (4, 1, 9), strict=True):
        (alone,) = generate(kind, [seed], CALM)
        assert scene.seed == seed
        for name in ("xyz", "rgb", "instance", "part", "up"):
            np.testing.assert_array_equal(getattr(scene, name), getattr(alone, name), name)


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_and_labels_are_as_promised(kind: str) -> None:
    for scene in generate(kind, range(6), CALM):
        n = scene.height * scene.width
        assert scene.xyz.shape == (n, 3) and scene.xyz.dtype == np.float32
        assert scene.rgb is None or (scene.rgb.shape == (n, 3) and scene.rgb.dtype == np.uint8)
        assert scene.instance.dtype == scene.part.dtype == np.int32
        assert scene.instance.shape == scene.part.shape == (n,)
        assert np.isclose(np.linalg.norm(scene.up), 1, atol=1e-5)
        nothing = np.isnan(scene.xyz)
        assert (nothing.any(1) == nothing.all(1)).all()
        assert (scene.instance[nothing[:, 0]] == -1).all()
        for labels in (scene.instance, scene.part):
            present = np.unique(labels[labels > 0])
            assert present.tolist() == list(range(1, len(present) + 1))
        assert ((scene.instance > 0) == (scene.part > 0)).all()
        pairs = np.unique(np.stack([scene.part, scene.instance], 1)[scene.part > 0], axis=0)
        assert len(pairs) == len(np.unique(pairs[:, 0]))


def test_a_lidar_has_no_colour_and_a_camera_has() -> None:
    for scene in generate("street", range(4), CALM):
        assert scene.rgb is None and scene.height >= 16
        assert scene.up[2] > 0.95
    rooms = generate("room", range(24), CALM)
    assert {scene.rgb is not None for scene in rooms} == {True, False}
    # Images, sweeps and fused clouds.
    assert {"image", "sweep", "fused"} == {_form(scene) for scene in rooms}


def test_streets_keep_what_is_within_reach_and_stand_on_the_ground() -> None:
    config = dataclasses.replace(CALM, street=StreetConfig(reach=(12.0, 12.0), noise=False))
    for scene in generate("street", range(5), config):
        seen = np.isfinite(scene.xyz[:, 0])
        assert np.hypot(*scene.xyz[seen, :2].T).max() < 12.0
        height = scene.xyz[seen] @ scene.up
        assert -3.3 < np.quantile(height, 0.02) < -0.2  # below a sensor at 0.4 to 2.2 m
        things = scene.instance[seen] > 0
        assert 0.005 < things.mean() < 0.95


def test_views_fused_without_pose_errors_agree_on_every_surface() -> None:
    table = thing(between((-0.6, -0.6, -0.03), (0.6, 0.6, 0)), background=True)
    can = thing(drum(0.05, 0.05, 0.2, (0, 0, 0.1)), at=(0.1, 0.0, 0.0))
    config = SceneConfig(width=96, height=72, noise=False)
    camera = draw_camera(Random(1), config)
    angles = (0.0, 2.0, 4.0)
    rotation = torch.stack([_looking_down(angle)[0] for angle in angles])
    position = torch.stack([_looking_down(angle)[1] for angle in angles])
    everything: list[int] = []

    def kept(depth: torch.Tensor, world: torch.Tensor) -> torch.Tensor:
        everything.append(len(depth))
        return world[..., 2] > -0.01

    world = world_of(table, can)
    scene = fuse(world, [camera] * 3, rotation, position, Random(2), config, CPU, 5, kept)
    assert everything == [3] and scene.height == 1 and scene.seed == 5
    xyz = scene.xyz + (position[0] * torch.tensor([1.0, 1.0, 0.0])).numpy()
    flat = xyz[scene.instance == 0]
    assert np.abs(flat[:, 2]).max() < 1e-4
    wall = xyz[(scene.instance == 1) & (xyz[:, 2] < 0.199)]
    radius = np.hypot(wall[:, 0] - 0.1, wall[:, 1])
    assert np.abs(radius - 0.05).max() < 1e-4
    # All around it, which no single view sees.
    around = np.degrees(np.arctan2(wall[:, 1], wall[:, 0] - 0.1))
    assert len(np.unique(np.floor(around / 30))) == 12


def test_fused_tables_are_seen_from_more_than_one_side() -> None:
    scenes = generate("fused", range(4), dataclasses.replace(CALM, tabletop=SceneConfig()))
    for scene in scenes:
        assert scene.height == 1 and np.isfinite(scene.xyz).all()
        assert scene.up.tolist() == [0, 0, 1]
        table = scene.xyz[(scene.instance == 0) & (np.abs(scene.xyz[:, 2]) < 0.05)]
        assert len(table) > 200 and abs(np.median(table[:, 2])) < 0.01


def test_a_room_stands_inside_its_walls_and_nothing_in_anything_on_the_floor() -> None:
    pieces_in_all = 0
    for seed in range(12):
        plan = draw_plan(Random(seed))
        assert sum(thing.background for thing in plan.things) == 3
        things = [thing for thing in plan.things if not thing.background]
        boxes = bounds([thing.pieces for thing in things])
        for thing_, (low, _) in zip(things, boxes, strict=True):
            x, y, z = thing_.position
            assert abs(x) < plan.half[0] + 1e-6 and abs(y) < plan.half[1] + 1e-6
            assert z + low[2] > -0.02
        pieces_in_all += len(things)
        x, y = plan.free_place(Random(seed))
        assert plan.free(x, y, 0.04, 0.04)
    assert pieces_in_all > 12 * 8


def test_the_seed_alone_decides_the_kind_of_a_mixture() -> None:
    config = MixtureConfig()
    kinds = [kind_of(seed, config) for seed in range(3000)]
    for kind, share in zip(KINDS, config.shares(), strict=True):
        assert kinds.count(kind) / 3000 == pytest.approx(share, abs=0.03)
    assert config.tabletop_share == max(config.shares())
    mixed = generate(MIXTURE, range(12), CALM)
    for scene in mixed:
        (own,) = generate(kind_of(scene.seed, CALM), [scene.seed], CALM)
        np.testing.assert_array_equal(scene.xyz, own.xyz)
        assert scene.kind == own.kind == kind_of(scene.seed, CALM)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="no scenes of kind 'forest'"):
        generate("forest", [1])
    with pytest.raises(ConfigError, match="seed -3"):
        generate("street", [-3])
    with pytest.raises(ConfigError, match="not sum 1"):
        MixtureConfig(street_share=0.9)
    with pytest.raises(ConfigError, match="reach"):
        StreetConfig(reach=(9.0, 2.0))
    with pytest.raises(ConfigError, match="lidar_share"):
        RoomConfig(lidar_share=0.9, fused_share=0.9)
    with pytest.raises(ConfigError, match="views"):
        RoomConfig(views=(4, 2))


@pytest.mark.parametrize("kind", [MIXTURE, "street", "room"])
def test_a_shard_is_full_of_usable_scenes_of_its_kind(kind: str, tmp_path: Path) -> None:
    (path,) = make_pool(tmp_path, range(1, 2), kind=kind, scenes=5)
    arrays = load_file(path)
    assert arrays["xyz"].shape == (5, POINTS, 3) and np.isfinite(arrays["xyz"]).all()
    assert arrays["colored"].shape == (5,) and arrays["colored"].dtype == bool
    if kind == "street":
        assert not arrays["colored"].any()
    pool = Pool(tmp_path)
    assert len(pool) == 5 and (pool[0].rgb is not None) == arrays["colored"][0]
    (again,) = make_pool(tmp_path / "again", range(1, 2), kind=kind, scenes=5)
    for name, values in load_file(again).items():
        np.testing.assert_array_equal(values, arrays[name], name)


def test_scenes_that_are_too_small_for_a_pool_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make them larger"):
        list(make_pool(tmp_path, range(1), scenes=1, config=SceneConfig(width=48, height=36)))


def test_the_command_makes_pools_and_sheets_of_every_kind(tmp_path: Path) -> None:
    for kind in (MIXTURE, *KINDS):
        png = tmp_path / f"{kind}.png"
        result = CliRunner().invoke(
            app, ["scenes", "--kind", kind, "--count", "2", "--png", str(png)]
        )
        assert result.exit_code == 0, result.output
        assert matplotlib.image.imread(png)[..., :3].std() > 0.05
    wrong = CliRunner().invoke(app, ["pool", str(tmp_path / "pool"), "--kind", "forest"])
    assert wrong.exit_code == 2 and "forest" in wrong.output


def _form(scene: Scene) -> str:
    if scene.height == 1:
        return "fused"
    return "image" if scene.rgb is not None else "sweep"


def _looking_down(azimuth: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A camera 1 m from the middle, 45 degrees above it: world to camera, and where it is."""
    back = torch.tensor(
        [0.7071 * math.cos(azimuth), 0.7071 * math.sin(azimuth), 0.7071], dtype=torch.float64
    )
    back = back / back.norm()
    right = torch.tensor([-math.sin(azimuth), math.cos(azimuth), 0.0], dtype=torch.float64)
    down = torch.linalg.cross(-back, right)
    return torch.stack([right, down, -back]).float(), back.float()
