"""Single generated objects: whole surfaces, only what can be seen, parts at two granularities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pointsam_model.errors import ConfigError
from pointsam_model.scenes.places.single import (
    SingleConfig,
    _centred,
    _draw_pieces,
    _visible_points,
    generate_single,
)
from pointsam_model.scenes.shapes.objects import box
from pointsam_model.scenes.solids.primitives import Primitives, depths
from pointsam_model.scenes.streams import stream
from pointsam_model.scenes.worlds.things import primitives_of

SMALL = SingleConfig(points=600)
AS_IT_IS = SingleConfig(points=600, normalised_share=0.0, noise=(0.0, 0.0))


def test_an_object_depends_on_its_seed_alone() -> None:
    first, other, again = (generate_single(seed, SMALL) for seed in (3, 4, 3))
    for name in ("xyz", "rgb", "instance", "part"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.xyz, other.xyz)


def test_every_point_has_a_coarse_part_and_a_fine_one_within_it() -> None:
    coarse, fine = [], []
    for seed in range(30):
        scene = generate_single(seed, SMALL)
        n = SMALL.points
        assert (scene.height, scene.width) == (1, n)
        assert scene.xyz.shape == (n, 3) and scene.xyz.dtype == np.float32
        assert scene.rgb.shape == (n, 3) and scene.rgb.dtype == np.uint8
        for labels in (scene.instance, scene.part):
            assert np.unique(labels).tolist() == list(range(1, labels.max() + 1))
        pairs = np.unique(np.stack([scene.part, scene.instance], 1), axis=0)
        assert len(pairs) == scene.part.max()
        coarse.append(scene.instance.max())
        fine.append(scene.part.max())
    assert np.mean(np.array(coarse) >= 2) > 0.9
    assert np.mean(fine) > 1.5 * np.mean(coarse)


def test_points_lie_on_the_object_and_inside_none_of_its_pieces() -> None:
    solid = 0
    for seed in range(12):
        scene = generate_single(seed, AS_IT_IS)
        solids, radius = _solids(seed)
        points = torch.from_numpy(scene.xyz)
        deepest = torch.full((len(points),), -torch.inf)
        for row in range(len(solids)):
            depth = depths(solids, torch.full((len(points),), row), points)
            deepest = torch.maximum(deepest, depth)
        assert float(deepest.max()) < 2e-3 * radius
        # A shell has no inside to measure from.
        if bool(torch.isfinite(deepest).all()):
            solid += 1
            assert float(deepest.min()) > -2e-3 * radius
    assert solid >= 6


def test_the_inside_of_a_closed_body_is_not_seen() -> None:
    wall, half = 0.01, 0.5
    boards = []
    for axis in range(3):
        for side in (-1, 1):
            sides, centre = [2 * half] * 3, [0.0, 0.0, 0.0]
            sides[axis], centre[axis] = wall, side * (half - wall / 2)
            boards.append(box(sides, (centre[0], centre[1], centre[2]), part=0))
    boards.append(box([0.3, 0.3, 0.3], part=1))
    points, row = _visible_points(
        primitives_of(boards), 0.87, 2000, torch.Generator().manual_seed(0)
    )
    assert float(points.abs().amax(1).min()) > half - 3e-4
    assert sorted(row.unique().tolist()) == list(range(6))


def test_up_is_y_and_the_middle_is_the_origin() -> None:
    for seed in range(12):
        scene = generate_single(seed, AS_IT_IS)
        pieces = _draw_pieces(stream("single", seed), AS_IT_IS)
        corners = primitives_of(pieces).corners().view(-1, 3)
        height = float(corners[:, 2].amax() - corners[:, 2].amin())
        assert scene.up.tolist() == [0.0, 1.0, 0.0]
        assert float(np.ptp(scene.xyz[:, 1])) <= height + 1e-4
        assert float(np.ptp(scene.xyz[:, 1])) > 0.7 * height
        middle = (scene.xyz.max(0) + scene.xyz.min(0)) / 2
        assert np.abs(middle).max() < 0.2 * np.abs(scene.xyz).max()


def test_normalised_objects_reach_one_and_others_are_as_large_as_furniture_and_cups() -> None:
    whole = SingleConfig(points=500, normalised_share=1.0)
    for seed in range(4):
        reach = np.linalg.norm(generate_single(seed, whole).xyz, axis=1).max()
        assert reach == pytest.approx(1.0, abs=1e-5)
    metres = [np.abs(generate_single(seed, AS_IT_IS).xyz).max() for seed in range(40)]
    assert min(metres) < 0.2 and 0.5 < max(metres) < 8.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"points": 0}, "points is 0"),
        ({"furniture_share": 0.8, "vehicle_share": 0.4}, "must not exceed 1"),
        ({"normalised_share": 2.0}, "normalised_share is 2.0"),
        ({"noise": (0.1, 0.0)}, "noise is"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SingleConfig(**values)  # type: ignore[arg-type]


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="-2"):
        generate_single(-2)


def _solids(seed: int) -> tuple[Primitives, float]:
    return _centred(_draw_pieces(stream("single", seed), AS_IT_IS))
