"""Planes that bear things, and what hides what, in a view of a box on a table."""

import numpy as np
import pytest
from boxed_table import SENSOR, box_on_a_table, partition_of
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsam_model.geometry.occlusions import occlusions
from pointsam_model.geometry.supports import supports
from pointsam_model.quality import Asked, NetworkAnswer, Pool
from pointsam_model.quality.candidates import Origin
from pointsam_model.quality.features import Surroundings, features_of

POINTS, BOX = box_on_a_table(0.02)
SPACING = 0.02
TOP = BOX & (POINTS[:, 2] > 0.195)
OWN = slice(51, 57)  # hidden, hides, unlike the click, in a plane, covers it, floats


def numbers(masks, colors=None):
    parts = partition_of(POINTS, POINTS, SENSOR)
    around = Surroundings.of(parts, np.ones(len(POINTS), np.float32), colors, SENSOR)
    nothing = np.zeros((1, len(POINTS)), np.float32)
    pool = Pool(
        Asked([int(np.flatnonzero(TOP)[20])], [1]),
        NetworkAnswer(nothing, np.ones(1, np.float32), np.ones(1, np.float32)),
    )
    for mask in masks:
        pool.add(mask, Origin.PART)
    return features_of(pool, parts, around)[:, OWN]


def test_the_table_bears_things_and_the_box_does_not():
    found = supports(POINTS, SPACING)
    assert len(found.within) == 1
    assert found.within[0][~BOX].mean() > 0.99
    assert found.within[0][BOX].mean() < 0.1
    assert found.away[0][TOP] == pytest.approx(0.2, abs=0.005)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_what_bears_things_is_the_same_however_the_view_is_turned(seed):
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turned = (POINTS @ turn.T + rng.normal(size=3)).astype(np.float32)
    found = supports(turned, SPACING)
    assert len(found.within) == 1
    assert (found.within[0] == ~BOX).mean() > 0.97


def test_a_floor_and_a_wall_both_bear_things():
    grid = np.arange(0, 1, 0.025)
    u, v = (axis.ravel() for axis in np.meshgrid(grid, grid))
    floor, wall = np.stack([u, v, 0 * u], 1), np.stack([0 * u, u, v], 1)
    found = supports(np.concatenate([floor, wall]).astype(np.float32), 0.025)
    assert sorted(found.within.sum(1)) == pytest.approx([1600, 1640], abs=40)


def test_a_plane_with_things_on_both_sides_bears_nothing():
    points, box = box_on_a_table(0.02)
    below = points[box] * [1, 1, -1]
    found = supports(np.concatenate([points, below]).astype(np.float32), SPACING)
    assert len(found.within) == 0


@pytest.mark.parametrize("count", [1, 3, 59, 500])
def test_points_in_one_place_and_handfuls_bear_nothing(count):
    assert len(supports(np.zeros((count, 3), np.float32), 0.01).within) == 0


def test_a_line_of_points_is_no_error():
    line = np.linspace(0, 1, 500)[:, None] * [1, 2, 3]
    assert np.isfinite(supports(line.astype(np.float32), 0.01).away).all()


def test_points_so_far_apart_that_planes_are_lost_in_rounding_bear_nothing():
    points = np.random.default_rng(0).random((800, 3)).astype(np.float32)
    assert len(supports(points, 1e-9).within) == 0


def test_the_box_is_seen_before_the_table_that_goes_on_behind_it():
    near, far = occlusions(POINTS, SENSOR, SPACING)
    assert len(near) > 10
    assert TOP[near].mean() > 0.9
    assert (~BOX)[far].mean() > 0.9
    view = POINTS - SENSOR.astype(np.float32)
    distance = np.linalg.norm(view, axis=1)
    assert (distance[far] > distance[near] + 2 * SPACING).all()


def test_without_a_sensor_nothing_hides_anything():
    near, far = occlusions(POINTS, None, SPACING)
    assert len(near) == len(far) == 0


def test_a_whole_box_hides_and_stands_and_the_table_is_hidden_and_covers_its_plane():
    box, top, table = numbers([BOX, TOP, ~BOX])
    assert box[1] > 10 * box[0] and table[0] > 10 * table[1]
    assert box[3] < 0.1 and table[3] > 0.99
    assert box[4] < 0.1 and table[4] > 0.99
    assert box[5] < 0.2 < 1 < top[5]  # the top alone floats


def test_a_mask_of_the_clicks_colour_is_like_it():
    colors = np.where(BOX[:, None], [0.9, 0.1, 0.1], [0.2, 0.2, 0.2]).astype(np.float32)
    box, all_of_it = numbers([BOX, np.ones_like(BOX)], colors)
    assert box[2] == pytest.approx(0, abs=1e-6)
    assert all_of_it[2] > 0.1
    assert (numbers([BOX])[:, 2] == 0).all()
