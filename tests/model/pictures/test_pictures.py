"""Pictures show every mask in its colour where its points are."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from numpy.typing import NDArray

from pointsam_model.data.readers import LabelledCloud, SensorCloud
from pointsam_model.pictures import DrawnMask, color_of, draw_masks, draw_sheet
from pointsam_model.pictures.image import image_colors, image_with_masks, is_image
from pointsam_model.pictures.splat import BACKGROUND, View, splat


def camera_cloud(rgb: bool = True) -> SensorCloud:
    """A slanted plane as a 64 x 96 depth camera sees it, with a strip it does not see."""
    row, column = np.mgrid[0:64, 0:96].astype(np.float32)
    depth = 1 + row / 100
    xyz = np.stack([(column - 48) / 60 * depth, (row - 32) / 60 * depth, depth], axis=2)
    xyz[:, :8] = np.nan
    colors = np.full((64 * 96, 3), 120, dtype=np.uint8) if rgb else None
    return SensorCloud(xyz.reshape(-1, 3), colors, 64, 96, "camera")


def lidar_cloud() -> SensorCloud:
    """A floor with a box on it, z up, 32 rows as a spinning LiDAR."""
    rng = np.random.default_rng(0)
    floor = np.column_stack([rng.uniform(-5, 5, (6000, 2)), np.full(6000, -1.0)])
    box = rng.uniform([2, 1, -1], [3, 2, 0], (400, 3))
    xyz = np.concatenate([floor, box]).astype(np.float32)
    xyz[:32] = 0  # no returns
    return SensorCloud(xyz, None, 32, 200, "lidar")


def drawn(path: Path) -> NDArray[np.float64]:
    return np.asarray(matplotlib.image.imread(path), dtype=np.float64)[..., :3]


def near(picture: NDArray[np.float64], color: NDArray[np.float64]) -> int:
    """How many pixels have about the hue of a color."""
    saturated = picture - picture.min(axis=2, keepdims=True)
    wanted = color - color.min()
    length = np.linalg.norm(saturated, axis=2)
    cosine = (saturated @ wanted) / np.maximum(length * np.linalg.norm(wanted), 1e-9)
    return int(np.count_nonzero((cosine > 0.98) & (length > 0.25)))


def test_a_camera_cloud_is_drawn_as_an_image_with_each_mask_in_its_colour(tmp_path: Path) -> None:
    cloud = camera_cloud()
    left = np.flatnonzero(np.tile(np.arange(96) < 40, 64) & cloud.valid)
    right = np.flatnonzero(np.tile(np.arange(96) >= 70, 64))
    masks = [DrawnMask(left, "left", cloud.xyz[left[:1]]), DrawnMask(right, "right")]
    picture = drawn(draw_masks(tmp_path / "new" / "a.png", cloud, masks, "title"))
    assert near(picture, color_of(0)) > 1.1 * near(picture, color_of(1)) > 1000
    assert near(picture, color_of(2)) < 50


def test_where_masks_overlap_the_highest_score_is_on_top(tmp_path: Path) -> None:
    cloud = camera_cloud()
    rows = np.flatnonzero(cloud.valid)
    masks = [DrawnMask(rows, "best", score=0.9), DrawnMask(rows, "worse", score=0.2)]
    picture = drawn(draw_masks(tmp_path / "a.png", cloud, masks))
    assert near(picture, color_of(0)) > 10_000 and near(picture, color_of(1)) < 1000


def test_pixels_that_the_sensor_did_not_see_are_dark() -> None:
    cloud = camera_cloud()
    overlay = image_with_masks(cloud, np.full((64, 96), -1))
    assert overlay[:, :8].max() < 0.5 * overlay[:, 8:].min()


def test_an_image_without_colour_shows_its_shape_by_light() -> None:
    picture = image_colors(camera_cloud(rgb=False))
    assert np.isfinite(picture).all()
    assert picture[:, :6].max() == 0 and picture[:, 10:].min() > 0.1


def test_a_lidar_cloud_is_drawn_in_perspective_with_close_ups(tmp_path: Path) -> None:
    cloud = lidar_cloud()
    box = np.arange(6000, 6400)
    assert not is_image(cloud)
    plain = drawn(draw_masks(tmp_path / "a.png", cloud, []))
    picture = drawn(
        draw_masks(tmp_path / "b.png", cloud, [DrawnMask(box, "box", cloud.xyz[box[:1]])])
    )
    assert picture.shape[1] > plain.shape[1], "the close-up stands beside the overview"
    assert near(picture, color_of(0)) > 500 > near(plain, color_of(0))


@pytest.mark.parametrize("cloud", [camera_cloud(), lidar_cloud()], ids=["camera", "lidar"])
def test_empty_masks_and_clicks_off_the_object_are_drawn_too(
    tmp_path: Path, cloud: SensorCloud
) -> None:
    seen = cloud.xyz[cloud.valid]
    clicks = seen[[0, len(seen) // 2]]
    mask = DrawnMask(np.array([], dtype=np.int64), "nothing", clicks, np.array([1, 0]))
    assert drawn(draw_masks(tmp_path / "a.png", cloud, [mask])).size


def test_coordinates_far_from_the_origin_are_drawn_too(tmp_path: Path) -> None:
    cloud = lidar_cloud()
    far = cloud.xyz[32:].astype(np.float64) + np.array([551_000, 249_000, 1800])
    moved = SensorCloud(far, None, 1, len(far), "far")
    picture = drawn(draw_masks(tmp_path / "a.png", moved, [DrawnMask(np.arange(5968, 6368), "b")]))
    assert near(picture, color_of(0)) > 500


def test_the_nearer_point_hides_the_farther_one() -> None:
    view = View(np.zeros(3), 1.0, np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), (41, 41))
    xyz = np.array([[0.5, 0, 0], [-0.5, 0, 0]])
    colors = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    picture, depth = splat(xyz, colors, view)
    assert picture[20, 20, 1] > 0.2 and picture[20, 20, 0] == 0, "the green one is nearer"
    assert np.array_equal(picture[0, 0], BACKGROUND) and np.isinf(depth[0, 0])


def test_up_is_up_and_right_is_right_in_a_view() -> None:
    view = View(np.zeros(3), 1.0, np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), (100, 100))
    column, row, _ = view.project(np.array([[0, 0, 0.5], [0, -0.5, 0]]))
    assert row[0] < 50 and column[0] == pytest.approx(50)
    assert column[1] > 50, "x forward, z up: y is to the left (REP 103)"


def test_colours_of_many_objects_differ() -> None:
    colors = np.array([color_of(index) for index in range(25)])
    apart = np.linalg.norm(colors[:, None] - colors[None], axis=2) + np.eye(25)
    assert apart.min() > 0.08 and colors.min() >= 0 and colors.max() <= 1


def test_a_sheet_shows_all_its_clouds(tmp_path: Path) -> None:
    cloud = camera_cloud()
    labels = np.where(np.tile(np.arange(96) < 40, 64), 1, 0).astype(np.int32)
    labelled = LabelledCloud(cloud.xyz, cloud.rgb, 64, 96, "scene", instance=labels)
    one = near(drawn(draw_sheet(tmp_path / "one.png", [labelled])), color_of(0))
    four = near(drawn(draw_sheet(tmp_path / "four.png", [labelled] * 4)), color_of(0))
    assert one > 1000 and four == pytest.approx(4 * one, rel=0.05)
