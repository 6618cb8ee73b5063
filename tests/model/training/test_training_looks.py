"""Looks in the pool: clouds cut from a scene about its objects, at its full resolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointsam_model.scenes import SceneConfig, generate_scene
from pointsam_model.training.cutting import FEWEST_POINTS, cut
from pointsam_model.training.pool import POINTS, Pool, make_pool

SMALL = SceneConfig(width=120, height=90)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    folder = tmp_path_factory.mktemp("looks")
    list(make_pool(folder, range(1), scenes=6, looks=1, config=SMALL))
    return Pool(folder)


def test_half_of_a_pool_with_one_look_a_scene_are_cut_from_the_scene_before_them(
    pool: Pool,
) -> None:
    assert len(pool) == 6
    for row in range(0, 6, 2):
        whole, look = pool[row], pool[row + 1]
        assert np.array_equal(whole.up, look.up)
        assert len(whole.xyz) == POINTS and FEWEST_POINTS <= len(look.xyz) <= POINTS
        low, high = whole.xyz.min(0) - 0.05, whole.xyz.max(0) + 0.05
        assert ((look.xyz >= low) & (look.xyz <= high)).all()
        assert (look.instance > 0).any()


def test_the_points_of_a_look_are_all_different(pool: Pool) -> None:
    for row in range(1, 6, 2):
        assert len(np.unique(pool[row].xyz, axis=0)) == len(pool[row].xyz)


def test_without_looks_a_shard_is_what_it_was(tmp_path: Path) -> None:
    list(make_pool(tmp_path, range(1), scenes=2, config=SMALL))
    pool = Pool(tmp_path)
    assert len(pool) == 2 and pool.points == POINTS == len(pool[1].xyz)
    assert "count" not in next(iter(pool.shards.values()))


def test_a_look_surrounds_a_point_of_an_object_at_the_scenes_resolution() -> None:
    scene = generate_scene(3, SceneConfig(width=320, height=240, objects=(4, 8)))
    valid = np.isfinite(scene.xyz).all(1)
    xyz, instance = scene.xyz[valid], scene.instance[valid]
    shares = []
    for seed in range(20):
        rows = cut(xyz, instance, np.random.default_rng(seed))
        assert len(rows) >= FEWEST_POINTS and (instance[rows] > 0).any()
        # Nothing is left out within: a look is as dense as its scene.
        middle = xyz[rows].mean(0)
        near = np.linalg.norm(xyz - middle, axis=1) < 0.02
        assert set(np.flatnonzero(near)) <= set(rows.tolist())
        shares.append(len(rows) / len(xyz))
    assert min(shares) < 0.3 and max(shares) > 0.6


def test_a_look_at_few_points_reaches_until_it_has_enough() -> None:
    rng = np.random.default_rng(0)
    xyz = rng.uniform(-30, 30, (5000, 3))
    instance = np.zeros(5000, int)
    instance[np.linalg.norm(xyz - xyz[0], axis=1) < 3] = 1
    assert len(cut(xyz, instance, rng)) >= FEWEST_POINTS


def test_a_scene_without_objects_is_cut_as_well() -> None:
    rng = np.random.default_rng(0)
    assert len(cut(rng.normal(size=(3000, 3)), np.zeros(3000, int), rng)) >= FEWEST_POINTS
