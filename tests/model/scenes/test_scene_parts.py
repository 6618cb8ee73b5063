"""Small parts, bins and empty scenes: sizes, resolution, order, and labels that agree with them."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch

from pointsam_model.errors import ConfigError
from pointsam_model.scenes import (
    BinConfig,
    MixtureConfig,
    PartsConfig,
    Scene,
    SceneConfig,
    generate,
    generate_scenes,
)
from pointsam_model.scenes.places.bins import draw_bin
from pointsam_model.scenes.places.pallets import draw_stack
from pointsam_model.scenes.places.small_parts import draw_table
from pointsam_model.scenes.shapes.parts import SMALL_PARTS, draw_part
from pointsam_model.scenes.solids.primitives import depths, sample_surface
from pointsam_model.scenes.worlds.things import primitives_of
from pointsam_model.scenes.worlds.world import Thing, bounds


@pytest.mark.parametrize("shape", SMALL_PARTS, ids=lambda shape: shape.__name__)
def test_small_parts_are_of_some_millimetres_and_hang_together(shape) -> None:  # type: ignore[no-untyped-def]
    for seed in range(20):
        pieces = shape(Random(seed))
        ((low, high),) = bounds([pieces])
        longest = max(b - a for a, b in zip(low, high, strict=True))
        assert 0.0018 < longest < 0.045, (shape.__name__, seed, longest)
        corners = primitives_of(pieces).corners()
        low_, high_ = corners.amin(1) - 4e-4, corners.amax(1) + 4e-4
        touch = ((low_[:, None] <= high_) & (high_[:, None] >= low_)).all(-1)
        reached = touch[0]
        for _ in pieces:
            reached = touch[reached].any(0)
        assert bool(reached.all()), (shape.__name__, seed)


def test_most_small_parts_measure_2_to_20_mm_and_many_are_flat() -> None:
    boxes = bounds([draw_part(Random(seed)) for seed in range(800)])
    longest = np.array([max(np.subtract(high, low)) for low, high in boxes])
    height = np.array([high[2] - low[2] for low, high in boxes])
    assert np.mean((longest > 0.002) & (longest < 0.022)) > 0.85
    assert np.mean(longest < 0.006) > 0.1 and np.mean(longest > 0.012) > 0.2
    assert np.mean((height > 0.001) & (height < 0.005)) > 0.5


def test_parts_lie_on_the_table_beside_each_other() -> None:
    parts = 0
    for seed in range(20):
        things, _ = draw_table(Random(seed), (0.06, 0.045), PartsConfig())
        own = [thing for thing in things if not thing.background]
        # A mat or a tray starts at the table's top too.
        for thing, (low, _) in zip(own, bounds([t.pieces for t in own]), strict=True):
            assert -1e-6 < thing.position[2] + low[2] < 0.0031
        parts += len(own)
        small = [thing for thing in own if _longest(thing) < 0.03]
        for k, thing in enumerate(small):
            for other in small[k + 1 :]:
                assert _overlap(thing, other) < 2e-4
    assert parts > 60


def test_small_parts_are_seen_by_many_points_at_their_size() -> None:
    config = MixtureConfig(parts=PartsConfig(pixel=(0.0003, 0.0003)))
    counts = []
    for scene in generate("parts", range(12), config):
        assert scene.rgb is not None and scene.kind == "parts"
        for number in range(1, scene.instance.max() + 1):
            points = scene.xyz[scene.instance == number]
            longest = np.ptp(points, axis=0).max()
            if 0.004 < longest < 0.012:
                counts.append(len(points) / longest**2)
    # At 0.3 mm a pixel, a solid square of 8 mm has some 700.
    assert len(counts) > 15 and 1e6 < np.median(counts) < 1.5e7


def test_a_pixel_is_as_wide_on_the_table_as_the_config_says() -> None:
    for pixel in (0.0002, 0.001):
        camera = replace(PartsConfig().camera, noise=False, elevation=(89.0, 89.9))
        config = MixtureConfig(parts=PartsConfig(camera, (pixel, pixel), parts=(0, 0)))
        for scene in generate("parts", range(3), config):
            grid = scene.xyz.reshape(scene.height, scene.width, 3)
            steps = np.linalg.norm(np.diff(grid, axis=1), axis=-1)
            on_table = scene.instance.reshape(scene.height, scene.width)[:, 1:] == 0
            assert np.nanmedian(steps[on_table]) == pytest.approx(pixel, rel=0.03)


def test_points_of_a_part_lie_above_the_table_and_those_of_the_table_on_it() -> None:
    camera = replace(PartsConfig().camera, noise=False)
    for scene in generate("parts", range(10), MixtureConfig(parts=PartsConfig(camera))):
        height = scene.xyz @ scene.up
        table = scene.instance == 0
        level = np.median(height[table])
        parts = scene.instance > 0
        if parts.any():
            assert (height[parts] - level).min() > -5e-4
        assert np.mean(np.abs(height[table] - level) < 5e-4) > 0.5


def test_bins_hold_tens_of_things_partly_hidden() -> None:
    pile = MixtureConfig(bin=BinConfig(small_share=0.0, pallet_share=0.0))
    counts = [scene.instance.max() for scene in generate("bin", range(10), pile)]
    assert np.median(counts) >= 12 and max(counts) <= 61
    layouts = [draw_bin(Random(seed), BinConfig().camera) for seed in range(60)]
    assert all(10 <= len(layout.objects) <= 60 for layout in layouts)
    assert 0.6 < np.mean([bool(layout.holder) for layout in layouts]) < 0.9
    kinds = [len({id(thing) for thing in layout.objects}) for layout in layouts]
    assert np.mean(np.array(kinds) == 1) > 0.3 and np.mean(np.array(kinds) > 4) > 0.1


def test_heaps_of_small_parts_are_small() -> None:
    heaps = MixtureConfig(bin=BinConfig(small_share=1.0, pallet_share=0.0))
    longest = [extent for scene in generate("bin", range(8), heaps) for extent in _extents(scene)]
    assert 0.003 < np.median(longest) < 0.02
    assert np.quantile(longest, 0.9) < 0.09


def test_cartons_stand_on_pallets_without_going_into_each_other() -> None:
    boxes = 0
    for seed in range(12):
        things, _, radius = draw_stack(Random(seed))
        cartons = [t for t in things if not t.background and len(t.pieces) <= 2]
        assert radius > 0.2 and 1 <= len(cartons) <= 61
        boxes += len(cartons)
        for k, thing in enumerate(cartons):
            for other in cartons[k + 1 :]:
                if len(thing.pieces) == len(other.pieces) == 1:
                    assert _overlap(thing, other) < 0.012, seed
    assert boxes > 100


def test_empty_scenes_have_no_object_whatever_the_sensor() -> None:
    forms = set()
    for scene in generate("empty", range(30)):
        assert scene.kind == "empty"
        assert scene.instance.max() == 0 and scene.part.max() == 0
        assert (scene.instance == 0).sum() > 500
        forms.add((scene.rgb is not None, scene.height > 1, scene.viewpoint is None))
    # Depth images, sweeps and fused clouds.
    assert {(True, True, False), (False, True, False), (True, False, True)} <= forms


def test_a_table_without_parts_has_no_mat_or_tray_either() -> None:
    bare = PartsConfig(parts=(0, 0))
    for seed in range(60):
        things, _ = draw_table(Random(seed), (0.06, 0.045), bare)
        assert all(thing.background for thing in things)


def test_tables_may_be_bare_or_not_in_one_batch() -> None:
    config = SceneConfig(width=64, height=48, objects=(0, 2), crowded_share=0.0)
    together = generate_scenes(range(12), config)
    counts = [scene.instance.max() for scene in together]
    assert 0 in counts and max(counts) > 0
    for scene in together[:4]:
        (alone,) = generate_scenes([scene.seed], config)
        np.testing.assert_array_equal(scene.xyz, alone.xyz)


def test_a_scene_knows_where_its_sensor_was() -> None:
    for kind in ("tabletop", "street", "parts", "bin"):
        (scene,) = generate(kind, [3])
        assert scene.viewpoint is not None and (scene.viewpoint == 0).all()
    for kind in ("fused", "single"):
        (scene,) = generate(kind, [3])
        assert scene.viewpoint is None


def test_impossible_parts_and_bins_are_refused() -> None:
    with pytest.raises(ConfigError, match="pixel"):
        PartsConfig(pixel=(0.0, 0.1))
    with pytest.raises(ConfigError, match="parts"):
        PartsConfig(parts=(5, 2))
    with pytest.raises(ConfigError, match="small_share"):
        BinConfig(small_share=0.8, pallet_share=0.5)


def _extents(scene: Scene) -> list[float]:
    """Longest sides [m] of the objects but the largest, which is the tray if there is one."""
    points = [scene.xyz[scene.instance == k] for k in range(1, scene.instance.max() + 1)]
    return sorted(float(np.ptp(p, axis=0).max()) for p in points)[:-1]


def _longest(thing: Thing) -> float:
    ((low, high),) = bounds([thing.pieces])
    return max(b - a for a, b in zip(low, high, strict=True))


def _overlap(thing: Thing, other: Thing) -> float:
    """How deep [m] surface points of one thing are in another."""
    if math.dist(thing.position, other.position) > 0.87 * (_longest(thing) + _longest(other)):
        return 0.0
    solids = [_placed(t) for t in (thing, other)]
    deepest = 0.0
    for own, around in (solids, solids[::-1]):
        rows = torch.arange(len(own)).repeat_interleave(60)
        uniform = torch.rand(len(rows), 3, generator=torch.Generator().manual_seed(0))
        points = sample_surface(own, rows, uniform)
        for row in range(len(around)):
            inside = depths(around, torch.full((len(points),), row), points)
            deepest = max(deepest, float(inside.max()))
    return deepest


def _placed(thing: Thing):  # type: ignore[no-untyped-def]
    cos, sin = math.cos(thing.yaw), math.sin(thing.yaw)
    turn = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return primitives_of(list(thing.pieces)).moved(turn, torch.tensor(thing.position))
