"""Where a cloud was seen from: given, found out, or not known."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import places
import pytest
import torch

from pointsam_model import Cloud, CloudError, CloudLayout, PointField
from pointsam_model.cloud.grid_viewpoint import camera_of_grid
from pointsam_model.cloud.viewpoint import seen_from_origin
from pointsam_model.data.readers import read_clouds
from pointsam_model.scenes import SceneConfig, generate_scene
from pointsam_model.scenes.mixture import generate

DATA = places.SHARED / "data"
SENSORS = [
    *sorted(DATA.glob("tabletop/*.npz")),
    *sorted(DATA.glob("lidar/*.npz")),
    *sorted(DATA.glob("files/pcl_*kinect.pcd")),
    *sorted(DATA.glob("files/pcl_*stereo.pcd")),
    *sorted(DATA.glob("files/nebula_*.pcd")),
    *sorted(DATA.glob("bags/*")),
]
NO_SENSORS = [
    *sorted(DATA.glob("files/riegl_utm*.ply")),
    *sorted(DATA.glob("files/*ascii.ply")),
    *sorted(DATA.glob("files/pcl_min_cut*.pcd")),
]


def kept(xyz: np.ndarray) -> np.ndarray:
    return xyz[np.isfinite(xyz).all(1) & xyz.any(1)]


def place(cloud: Cloud) -> list[float] | None:
    return None if cloud.sensor is None else cloud.sensor.tolist()


def cube() -> np.ndarray:
    """(5000,3), a block filled with points, 0.6 m wide, about the origin."""
    return np.random.default_rng(0).uniform(-0.3, 0.3, (5000, 3))


@pytest.mark.parametrize("path", SENSORS, ids=lambda path: path.stem)
def test_every_real_sensors_frame_is_seen_from_its_origin(path: Path) -> None:
    for source in read_clouds(path):
        assert place(Cloud(source.xyz)) == [0, 0, 0], source.name


@pytest.mark.parametrize("path", NO_SENSORS, ids=lambda path: path.stem)
def test_maps_and_surveys_are_not_seen_from_their_origin(path: Path) -> None:
    for source in read_clouds(path):
        assert Cloud(source.xyz).sensor is None


@pytest.mark.parametrize("kind", ["tabletop", "room", "street"])
def test_generated_sensors_frames_are_seen_from_their_origin(kind: str) -> None:
    for scene in generate(kind, range(8)):
        assert scene.height > 1
        assert seen_from_origin(kept(scene.xyz)), scene.seed


def test_a_scene_fused_from_several_views_has_no_sensor() -> None:
    for scene in generate("fused", range(12)):
        assert Cloud(scene.xyz).sensor is None, scene.seed


@pytest.mark.parametrize("away", [(0, 0, 0), (0, 0, 1), (60, 0, 0), (448_000, 5_400_000, 0)])
def test_a_block_of_points_has_no_sensor_wherever_it_lies(away: tuple[float, ...]) -> None:
    assert Cloud(cube() + away).sensor is None


def test_an_objects_closed_surface_about_its_own_middle_has_no_sensor() -> None:
    ball = np.random.default_rng(1).normal(size=(20_000, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    assert Cloud(ball).sensor is None


def test_a_frame_that_was_moved_into_another_coordinate_frame_has_no_sensor_there() -> None:
    (scene,) = generate("street", [0])
    assert Cloud(scene.xyz).sensor is not None
    on_the_ground = scene.xyz.astype(np.float64) + np.array([0, 0, 1.8])
    assert Cloud(on_the_ground).sensor is None
    on_the_map = scene.xyz + np.array([448_000, 5_400_000, 110])
    assert Cloud(on_the_map).sensor is None


def test_the_order_of_the_points_and_a_few_wrong_ones_change_nothing() -> None:
    (scene,) = generate("tabletop", [0])
    points = kept(scene.xyz)
    rng = np.random.default_rng(0)
    noise = rng.uniform(points.min(0), points.max(0), (len(points) // 50, 3))
    for seed in range(3):
        mixed = np.concatenate([points, noise.astype(np.float32)])
        np.random.default_rng(seed).shuffle(mixed)
        assert seen_from_origin(mixed)


def test_too_few_points_tell_nothing() -> None:
    points = np.array([[0, 0, 1.0]] * 50)
    assert not seen_from_origin(points)
    assert Cloud(points).sensor is None
    assert Cloud(np.array([[0, 0, 1.0]] * 500)).sensor is None


def test_a_given_viewpoint_is_the_sensor() -> None:
    cloud = Cloud(cube(), viewpoint=[1, 2, 3])
    assert place(cloud) == [1, 2, 3]
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(cloud.sensor)[0] = 9
    data = cube().astype("<f4").tobytes()
    layout = CloudLayout(
        tuple(PointField(name, 4 * i, 7) for i, name in enumerate("xyz")), 1, 5000, 12, 60_000
    )
    assert place(Cloud.from_buffer(data, layout, viewpoint=(1, 2, 3))) == [1, 2, 3]
    assert Cloud.from_buffer(data, layout).sensor is None


@pytest.mark.parametrize("wrong", [(1, 2), (1, 2, np.nan), "here", [[1, 2, 3]]])
def test_a_viewpoint_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(CloudError, match=r"viewpoint .* numbers"):
        Cloud(cube(), viewpoint=wrong)


def test_to_find_out_takes_milliseconds_on_a_large_cloud() -> None:
    across, down = np.meshgrid(np.linspace(-0.5, 0.5, 640), np.linspace(-0.4, 0.4, 480))
    rays = np.stack([across, down, np.ones_like(down)], axis=-1).reshape(-1, 3)
    depth = 1 + 0.2 * np.sin(20 * rays[:, :1]) + (rays[:, 1:2] > 0)
    points = (rays * depth).astype(np.float32)
    threads = torch.get_num_threads()
    best = np.inf
    for _ in range(7):
        cloud = Cloud(points)
        began = time.process_time()
        assert cloud.sensor is not None
        best = min(best, time.process_time() - began)
    assert best < 0.05, f"{best * 1e3:.1f} ms of CPU time with {threads} threads"
    print(f"{best * 1e3:.1f} ms for {len(points):,} points")


# --- Clouds of depth cameras in other frames


ANGLE = np.radians(50)
TURNED = np.array(
    [[np.cos(ANGLE), 0, np.sin(ANGLE)], [0, 1, 0], [-np.sin(ANGLE), 0, np.cos(ANGLE)]]
) @ np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
PLACES = {
    "a robot's base": np.array([0.2, 0.0, 1.2]),
    "a room": np.array([5.0, 5.0, 5.0]),
    "a map": np.array([5e5, 4e6, 100.0]),
}


def camera_scene(seed=3):
    return generate_scene(seed, SceneConfig(width=320, height=240))


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_the_grid_of_a_camera_tells_where_it_stands_in_any_frame(place):
    scene = camera_scene()
    cloud = Cloud(scene.xyz.astype(np.float64) @ TURNED.T + place, width=scene.width)
    assert cloud.sensor == pytest.approx(place, abs=2e-3)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_without_its_grid_a_cloud_in_another_frame_has_no_known_sensor(place):
    scene = camera_scene()
    assert Cloud(scene.xyz).sensor is not None  # in the camera's own frame
    moved = scene.xyz.astype(np.float64) @ TURNED.T + place
    assert Cloud(moved).sensor is None


def test_a_bare_plane_does_not_tell_where_its_camera_stands():
    u, v = np.meshgrid(np.arange(-80, 80) / 100, np.arange(-60, 60) / 100)
    depth = 1 / (1 + 0.3 * v)
    points = np.stack([u * depth, v * depth, depth + 3], 2).reshape(-1, 3)
    rows = np.arange(len(points))
    assert camera_of_grid(points, rows, 160) is None


def test_the_grid_of_a_spinning_lidar_is_no_cameras():
    azimuth, elevation = np.meshgrid(np.linspace(-np.pi, np.pi, 512), np.linspace(-0.4, 0.3, 32))
    distance = 5 + np.sin(3 * azimuth) + elevation
    points = distance[..., None] * np.stack(
        [
            np.cos(azimuth) * np.cos(elevation),
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
        ],
        2,
    )
    points = points.reshape(-1, 3)
    assert camera_of_grid(points, np.arange(len(points)), 512) is None


def test_few_points_or_an_unorganised_cloud_tell_no_camera():
    scene = camera_scene()
    rows = np.flatnonzero(np.isfinite(scene.xyz[:, 0]))
    assert camera_of_grid(scene.xyz[rows[:100]], rows[:100], scene.width) is None
    shuffled = np.random.default_rng(0).permutation(rows)
    assert camera_of_grid(scene.xyz[shuffled], rows, scene.width) is None


def test_a_width_must_divide_the_points():
    with pytest.raises(CloudError, match="7 points do not form rows of 3"):
        Cloud(np.ones((7, 3), np.float32), width=3)


def test_a_viewpoint_may_be_given_later_and_nothing_is_copied():
    at = PLACES["a robot's base"]
    moved = Cloud(kept(camera_scene().xyz).astype(np.float64) @ TURNED.T + at)
    assert moved.viewpoint is None and moved.sensor is None
    viewed = moved.viewed_from(at)
    assert place(viewed) == at.tolist() and np.shares_memory(viewed.xyz, moved.xyz)
    assert moved.viewpoint is None and moved.sensor is None
    with pytest.raises(CloudError, match="viewpoint"):
        moved.viewed_from((np.nan, 0, 0))


@pytest.mark.parametrize("at", PLACES.values(), ids=PLACES)
def test_a_cloud_knows_whether_it_was_plainly_seen_from_a_place(at):
    moved = Cloud(kept(camera_scene().xyz).astype(np.float64) @ TURNED.T + at)
    assert moved.seen_from(at)
    assert not moved.seen_from(at + np.array([0.4, -0.5, 0.3]))
    assert not moved.seen_from((0, 0, 0))


def test_points_that_lie_where_the_sensor_stood_do_not_matter_to_what_was_seen_from_there():
    at = np.array([0.5, 0.0, 1.25])  # without a return some drivers tell their own place
    moved = kept(camera_scene().xyz).astype(np.float64) @ TURNED.T + at
    moved[::7] = at
    assert Cloud(moved).seen_from(at)
    assert not Cloud(np.repeat(at[None], 500, 0)).seen_from(at)


@pytest.mark.parametrize("far", [1.1e9, 1e300, -1e30])
def test_a_viewpoint_farther_than_any_point_may_be_is_none(far):
    with pytest.raises(CloudError, match="viewpoint"):
        Cloud(cube(), viewpoint=(0, far, 0))


@pytest.mark.parametrize("seed", range(8))
def test_a_raster_of_heights_tells_no_camera_as_only_rounding_would_say_on_which_side(seed):
    x, y = np.meshgrid(np.arange(0.0, 160), np.arange(0.0, 120))
    hills = 30 + 10 * np.sin(x / 20) * np.cos(y / 15)
    hills += np.random.default_rng(seed).normal(0, 0.5, x.shape)
    raster = np.stack([x, y, hills], 2).reshape(-1, 3)
    assert camera_of_grid(raster, np.arange(len(raster)), 160) is None
