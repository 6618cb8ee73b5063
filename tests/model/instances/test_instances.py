"""Instances of masks, and the tight boxes around their points."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pointsam_model.instances.instance import OrientedBox, oriented_box
from pointsam_model.segment.prediction import instances_of


def turned(points: np.ndarray, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return points @ Rotation.random(rng=rng).as_matrix().T + rng.normal(size=3)


def box_surface(n: int, size: tuple[float, float, float], seed: int = 0) -> np.ndarray:
    """Points on the faces of a box, corners included."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-0.5, 0.5, (n, 3))
    points[np.arange(n), rng.integers(3, size=n)] = rng.choice([-0.5, 0.5], n)
    corners = np.array(np.meshgrid([-0.5, 0.5], [-0.5, 0.5], [-0.5, 0.5])).reshape(3, -1).T
    return np.concatenate((points, corners)) * size


def check(box: OrientedBox, points: np.ndarray, slack: float = 1e-9) -> None:
    """The contract: right-handed, sorted, around every point, and touching on all six sides."""
    assert np.allclose(box.rotation.T @ box.rotation, np.eye(3), atol=1e-9)
    assert np.linalg.det(box.rotation) == pytest.approx(1)
    assert (np.diff(box.size) <= 0).all()
    assert (box.size >= 0).all()
    seen = (points - box.center) @ box.rotation
    slack *= max(1, np.abs(points).max())
    assert np.allclose(seen.max(0), box.size / 2, atol=slack)
    assert np.allclose(seen.min(0), -box.size / 2, atol=slack)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n", [0, 200, 20_000])
def test_the_box_of_a_box_is_itself(seed: int, n: int) -> None:
    points = turned(box_surface(n, (0.3, 0.2, 0.05), seed), seed)
    box = oriented_box(points)
    check(box, points)
    assert np.allclose(box.size, [0.3, 0.2, 0.05], atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n", [4, 8, 30, 400])
@pytest.mark.parametrize("shape", ["normal", "cube", "ball", "cylinder"])
def test_no_box_is_much_larger_than_open3ds_smallest(seed: int, n: int, shape: str) -> None:
    open3d = pytest.importorskip("open3d", reason="open3d has no wheel for this Python")
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1, 1, (n, 3))
    if shape == "normal":
        points = rng.normal(size=(n, 3))
    if shape == "ball":
        points /= np.maximum(1, np.linalg.norm(points, axis=1))[:, None]
    if shape == "cylinder":
        angle = points[:, 0] * np.pi
        points = np.stack((np.cos(angle), np.sin(angle), points[:, 2]), 1)
    points = turned(points * rng.uniform(0.02, 0.3, 3), seed)
    box = oriented_box(points)
    check(box, points)
    smallest = open3d.geometry.OrientedBoundingBox.create_from_points_minimal(
        open3d.utility.Vector3dVector(points)
    )
    assert box.size.prod() <= smallest.volume() * {4: 1.15, 8: 1.15, 30: 1.1, 400: 1.05}[n]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("far", [0.0, 1000.0])
def test_points_in_a_plane_have_a_side_of_nothing(dtype: type, far: float) -> None:
    flat = box_surface(300, (0.4, 0.3, 0.0))
    points = (turned(flat) + far).astype(dtype)
    box = oriented_box(points)
    loose = 1e-6 if dtype == np.float64 else 1e-5 * max(1, far)
    assert box.size[2] == 0
    assert np.allclose(box.size[:2], [0.4, 0.3], atol=loose)
    assert np.linalg.det(box.rotation) == pytest.approx(1)


def test_points_on_a_line_have_two_sides_of_nothing() -> None:
    points = turned(np.linspace(0, 1, 9)[:, None] * [[0.1, 0.2, 0.2]])
    box = oriented_box(points)
    check(box, points)
    assert np.allclose(box.size, [0.3, 0, 0])
    assert box.size[1] == box.size[2] == 0


@pytest.mark.parametrize("n", [1, 2, 50])
def test_points_in_one_place_have_a_box_of_nothing(n: int) -> None:
    box = oriented_box(np.tile([[1.0, 2.0, 3.0]], (n, 1)))
    assert np.array_equal(box.size, np.zeros(3))
    assert np.array_equal(box.center, [1, 2, 3])
    assert np.linalg.det(box.rotation) == pytest.approx(1)


def test_two_points_have_a_box_of_their_distance() -> None:
    points = np.array([[0.0, 0, 0], [0, 3, 4]])
    box = oriented_box(points)
    check(box, points)
    assert np.allclose(box.size, [5, 0, 0])


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 60),
    scale=st.tuples(*[st.sampled_from([0.0, 1e-9, 1e-4, 1.0, 30.0])] * 3),
    grid=st.booleans(),
    far=st.sampled_from([0.0, 100.0, 5e5]),
    single=st.booleans(),
)
def test_every_set_of_points_has_a_box_around_it(
    seed: int, n: int, scale: tuple[float, ...], grid: bool, far: float, single: bool
) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 3, (n, 3)).astype(float) if grid else rng.normal(size=(n, 3))
    points = turned(points * scale, seed) + far
    points = points.astype(np.float32) if single else points
    for up in (None, rng.normal(size=3)):
        box = oriented_box(points, up)
        assert np.isfinite(box.size).all()
        assert np.linalg.det(box.rotation) == pytest.approx(1)
        size = box.size if up is None else box.size[:2]
        assert (np.diff(size) <= 0).all()
        seen = np.abs((points.astype(np.float64) - box.center) @ box.rotation)
        loose = 1e-6 * box.size.max() + 1e-6 * np.abs(points).max()
        assert (seen <= box.size / 2 + loose).all()


def test_the_same_points_have_the_same_box() -> None:
    points = turned(box_surface(500, (0.2, 0.1, 0.1)))
    first, second = oriented_box(points), oriented_box(points)
    assert np.array_equal(first.rotation, second.rotation)
    assert np.array_equal(first.size, second.size)


@pytest.mark.parametrize("up", [(0, 0, 1), (0, -2, 0), (1, 2, -1)])
def test_with_an_up_axis_the_box_only_yaws(up: tuple[float, ...]) -> None:
    up_axis = np.array(up) / np.linalg.norm(up)
    upright = box_surface(300, (0.1, 0.3, 0.6))
    to_up, _ = Rotation.align_vectors([up_axis], [[0, 0, 1]])
    points = to_up.apply(Rotation.from_euler("z", 0.7).apply(upright)) + np.array([1, 2, 3])
    box = oriented_box(points, up)
    assert np.allclose(box.rotation[:, 2], up_axis)
    assert np.allclose(box.size, [0.3, 0.1, 0.6], atol=1e-6)
    assert np.allclose(box.center, [1, 2, 3], atol=1e-6)
    assert np.linalg.det(box.rotation) == pytest.approx(1)


def test_a_wall_seen_from_above_has_no_thickness() -> None:
    wall = Rotation.from_euler("z", 0.4).apply(box_surface(100, (2.0, 0.0, 1.0)))
    box = oriented_box(wall, (0, 0, 1))
    assert np.allclose(box.size, [2, 0, 1], atol=1e-6)
    assert box.size[1] == 0


@pytest.mark.parametrize("n", [1, 50, 2000])
def test_the_points_given_stay_as_they_are(n: int) -> None:
    points = np.random.default_rng(0).normal(size=(n, 3))
    for given_points in (points, np.asfortranarray(points)):
        oriented_box(given_points)
        oriented_box(given_points, (0, 0, 1))
        assert np.array_equal(given_points, np.random.default_rng(0).normal(size=(n, 3)))


@pytest.mark.parametrize("shape", ["full", "round"])
def test_a_box_of_many_points_takes_milliseconds(shape: str) -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (50_000, 3))
    if shape == "round":  # every point is a corner of the hull
        points /= np.linalg.norm(points, axis=1)[:, None]
    points = turned(points * [0.2, 0.1, 0.05])
    oriented_box(points)
    spent = []
    for _ in range(5):
        start = time.process_time()
        oriented_box(points)
        spent.append(time.process_time() - start)
    assert min(spent) < 0.05  # 5 to 10 ms


@pytest.mark.parametrize(
    ("points", "up", "message"),
    [
        (np.zeros((0, 3)), None, r"k at least 1"),
        (np.zeros((3, 2)), None, r"must be \(k,3\)"),
        (np.full((3, 3), np.nan), None, "finite"),
        (np.eye(3), (0, 0, 0), "length above 0"),
        (np.eye(3), (0, 1), "must be a direction"),
        (np.eye(3), (0, np.nan, 1), "must be a direction"),
    ],
)
def test_points_without_a_box_are_refused(points, up, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        oriented_box(points, up)


def test_each_mask_with_points_becomes_an_instance() -> None:
    xyz = box_surface(100, (0.2, 0.1, 0.1)) + np.array([0, 0, 1])
    masks = np.zeros((3, len(xyz)), bool)
    masks[0, 5:40] = True
    masks[2, [7, 3]] = True
    rows = [np.flatnonzero(mask) for mask in masks]
    prediction = SimpleNamespace(
        rows=rows,
        points=[xyz[row] for row in rows],
        scores=np.array([0.9, 0.5, 0.1], np.float32),
        stability=np.array([0.8, 0.0, 0.7], np.float32),
    )
    first, second = instances_of(prediction)
    assert first.indices.dtype == np.uint32
    assert first.indices.tolist() == list(range(5, 40))
    assert second.indices.tolist() == [3, 7]
    assert (first.score, second.score) == pytest.approx((0.9, 0.1))
    assert (first.stability, second.stability) == pytest.approx((0.8, 0.7))
    assert np.allclose(first.centroid, xyz[5:40].mean(0))
    check(first.box, xyz[5:40])
    assert np.allclose(instances_of(prediction, up=(0, 1, 0))[0].box.rotation[:, 2], [0, 1, 0])
