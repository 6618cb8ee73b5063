"""Which clicks belong to a cloud's point, and which are too far from all."""

from __future__ import annotations

import numpy as np
import pytest

from pointsam_model import Cloud, PromptError, TooFarError
from pointsam_model.scenes.mixture import generate
from pointsam_model.segment.snapping import snap

RADIUS_M, FRACTION = 0.05, 0.02


def snapped(cloud: Cloud, click: np.ndarray, radius_m: float = RADIUS_M) -> np.ndarray:
    seen = cloud.xyz[cloud.valid]
    extent = float(np.linalg.norm(np.ptp(seen, axis=0)))
    (point,) = snap(cloud, click[None], radius_m, FRACTION, extent)
    return point


def block(away: tuple[float, ...], viewpoint: tuple[float, ...] | None = None) -> Cloud:
    """5,000 points in a cube 0.6 m wide; no place tells where they were seen from."""
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (5000, 3))
    return Cloud(points + away, viewpoint=viewpoint)


AWAY = [(0, 0, 1), (60, 0, 0), (448_000, 5_400_000, 0)]


@pytest.mark.parametrize("away", AWAY)
def test_a_click_a_metre_off_is_refused_wherever_the_cloud_lies(away: tuple[float, ...]) -> None:
    with pytest.raises(
        TooFarError, match=r"0\.7\d* m from the nearest .* at most 0\.050 m .* sensor is unknown"
    ):
        snapped(block(away), np.array([0, -1, 0]) + away)


@pytest.mark.parametrize("away", AWAY)
def test_a_click_beside_a_point_is_taken_wherever_the_cloud_lies(away: tuple[float, ...]) -> None:
    cloud = block(away)
    point = snapped(cloud, cloud.xyz[7] + 0.001)
    np.testing.assert_allclose(point, cloud.xyz[7], atol=1e-9)


def test_a_click_may_be_off_by_a_share_of_its_distance_to_a_known_sensor() -> None:
    away = (60, 0, 0)
    click = np.array([60, -1, 0.0])
    assert np.abs(snapped(block(away, viewpoint=(0, 0, 0)), click) - click).max() < 0.8
    with pytest.raises(TooFarError, match=r"at most 0\.060 m .*snap_range_fraction"):
        snapped(block(away, viewpoint=(60, 2, 0)), np.array([60, -1, 0.0]))


def test_far_points_of_a_sensors_frame_are_clicked_as_loosely_as_it_sees() -> None:
    (scene,) = generate("street", [0])
    cloud = Cloud(scene.xyz)
    assert cloud.sensor is not None
    ranges = np.linalg.norm(cloud.xyz, axis=1)
    row = int(np.nanargmax(np.where(ranges < 40, ranges, np.nan)))
    past = cloud.xyz[row] * (1 + 0.4 / ranges[row])
    assert np.linalg.norm(snapped(cloud, past) - past) > RADIUS_M
    with pytest.raises(TooFarError):
        snapped(cloud, cloud.xyz[row] * 1.2)


def test_a_sparse_map_is_clicked_as_loosely_as_its_points_lie_apart() -> None:
    rng = np.random.default_rng(0)
    corner = np.array([448_000, 5_400_000, 100.0])
    dense = rng.uniform(0, 20, (20_000, 3)) * [1, 1, 0.5]
    sparse = rng.uniform(0, 20, (60, 3)) * [1, 1, 0.5] + [40, 0, 0]
    cloud = Cloud(np.concatenate([dense, sparse]) + corner)
    assert cloud.sensor is None
    beside = cloud.xyz[-1] + np.array([0, 0, 0.8])
    assert np.linalg.norm(snapped(cloud, beside) - beside) > 10 * RADIUS_M
    with pytest.raises(TooFarError):
        snapped(cloud, corner + np.array([10, 10, 12]))


def test_a_lonely_point_does_not_allow_clicks_far_off() -> None:
    points = np.concatenate([block((0, 0, 0)).xyz, [[0, 0, 9.0]]])
    with pytest.raises(TooFarError, match=r"at most 0\.1\d\d m"):
        snapped(Cloud(points), np.array([0, 0, 9.5]))


def test_only_the_click_at_fault_is_named() -> None:
    cloud = block((0, 0, 1))
    clicks = np.array([cloud.xyz[0], [0, -1, 1]])
    with pytest.raises(TooFarError, match=r"^click 2 at"):
        snap(cloud, clicks, RADIUS_M, FRACTION, 1.0)
    with pytest.raises(PromptError, match=r"click 1 is .* finite"):
        snap(cloud, [[np.nan, 0, 0]], RADIUS_M, FRACTION, 1.0)


def test_spacing_is_the_grids_width_on_a_surface() -> None:
    across = np.arange(20) * 0.05
    x, y = np.meshgrid(across, across)
    cloud = Cloud(np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3))
    np.testing.assert_allclose(cloud.spacing(cloud.xyz[[210]]), [0.05], atol=1e-12)
    few = Cloud(np.array([[0, 0, 1.0], [0, 1, 1], [np.nan] * 3]))
    assert few.spacing(few.xyz[:1]).tolist() == [1.0]
