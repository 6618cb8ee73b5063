"""What stands on generated tables: shapes of every family, crates and shelves that hold them."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch

from pointsam_model.scenes import SceneConfig
from pointsam_model.scenes.shapes.catalogue import TABLETOP, VESSELS, draw_object
from pointsam_model.scenes.shapes.objects import Piece
from pointsam_model.scenes.solids.primitives import (
    ELLIPSOID,
    FRUSTUM,
    SUPERQUADRIC,
    TORUS,
    sample_surface,
)
from pointsam_model.scenes.solids.superquadric import packed
from pointsam_model.scenes.worlds.appearance import draw_light, draw_looks, shade
from pointsam_model.scenes.worlds.arrangement import Placed, arrange, draw_layout
from pointsam_model.scenes.worlds.things import primitives_of


def test_all_kinds_of_shapes_are_drawn_and_most_are_plain_boxes_and_the_like() -> None:
    drawn = [draw_object(Random(seed), 1.0) for seed in range(600)]
    kinds = [{piece.kind for piece in pieces} for pieces in drawn]
    rounded = np.mean([SUPERQUADRIC in kind for kind in kinds])
    assert 0.1 < rounded < 0.4
    assert np.mean([TORUS in kind for kind in kinds]) > 0.05
    parts = [len({piece.part for piece in pieces}) for pieces in drawn]
    assert np.mean(np.array(parts) > 1) > 0.35


@pytest.mark.parametrize("shape", TABLETOP, ids=lambda shape: shape.__name__)
def test_the_pieces_of_an_object_hang_together(shape) -> None:  # type: ignore[no-untyped-def]
    """Bounding boxes of its pieces, a little grown, form one connected group."""
    for seed in range(12):
        pieces = shape(Random(seed))
        corners = primitives_of(pieces).corners()
        low, high = corners.amin(1) - 0.004, corners.amax(1) + 0.004
        touch = ((low[:, None] <= high) & (high[:, None] >= low)).all(-1)
        reached = touch[0]
        for _ in pieces:
            reached = touch[reached].any(0)
        assert bool(reached.all()), (shape.__name__, seed)


def test_a_share_of_vessels_comes_beside_the_usual_objects() -> None:
    usual = [draw_object(Random(seed), 1.0) for seed in range(300)]
    assert usual == [draw_object(Random(seed), 1.0, 0.0) for seed in range(300)]
    assert set(VESSELS) <= set(TABLETOP)
    bowls = sum(_is_bowl(thing) for thing in usual)
    with_vessels = [draw_object(Random(seed), 1.0, 0.5) for seed in range(300)]
    assert sum(_is_bowl(thing) for thing in with_vessels) > 2 * bowls > 0


def _is_bowl(pieces: list[Piece]) -> bool:
    """An ellipsoid that is cut off at the top, on a foot."""
    return [piece.kind for piece in pieces] == [ELLIPSOID, FRUSTUM] and pieces[0].size[-1] <= 0


def test_exponents_survive_packing() -> None:
    for vertical in (0.1, 0.37, 1.0, 2.0):
        for horizontal in (0.1, 0.5, 1.99, 2.0):
            number = float(torch.tensor(packed(vertical, horizontal), dtype=torch.float32))
            assert np.floor(number) / 100 == pytest.approx(vertical)
            assert (number % 1) * 4 == pytest.approx(horizontal, abs=1e-4)


def test_objects_of_a_crate_lie_in_it_or_on_its_rim() -> None:
    placed, layouts = _arranged(SceneConfig(crate_share=1.0, shelf_share=0.0), 8)
    inside = total = 0
    for scene, layout in enumerate(layouts):
        (surface,) = layout.surfaces
        for points in _middles(placed, scene):
            total += 1
            inside += bool((points[:2].abs() < torch.tensor(surface.half)).all())
            assert points[2] > surface.height
    assert total > 30 and inside > 0.9 * total


def test_objects_of_a_shelf_stay_between_its_boards() -> None:
    placed, layouts = _arranged(SceneConfig(crate_share=0.0, shelf_share=1.0), 8)
    levels = total = 0
    for scene, layout in enumerate(layouts):
        boards = [surface.height for surface in layout.surfaces]
        assert len(boards) >= 2
        lowest, highest = _heights(placed, scene)
        seen = set()
        for low, high in zip(lowest, highest, strict=True):
            # Its lowest point is on a board or on another object of that board.
            level = int(np.searchsorted(boards, low + 0.012)) - 1
            seen.add(level)
            total += 1
            assert level >= 0
            if level + 1 < len(boards):
                assert high < boards[level + 1] + 0.005
        levels += len(seen) > 1
    assert total > 30 and levels >= 6


def test_a_holder_is_the_first_object_with_parts_of_its_own() -> None:
    placed, layouts = _arranged(SceneConfig(crate_share=0.5, shelf_share=0.5), 6)
    for scene, layout in enumerate(layouts):
        own = placed.scene == scene
        holder = own & (placed.instance == 1)
        assert int(holder.sum()) == len(layout.holder)
        numbers = placed.instance[own].unique().tolist()
        assert numbers == list(range(1, len(numbers) + 1))
        parts = placed.part[own].unique().tolist()
        assert parts == list(range(1, len(parts) + 1))
        assert not set(placed.part[holder].tolist()) & set(placed.part[own & ~holder].tolist())


def _arranged(config: SceneConfig, scenes: int) -> tuple[Placed, list]:  # type: ignore[type-arg]
    layouts = [draw_layout(Random(seed), config) for seed in range(scenes)]
    return arrange(layouts, [torch.Generator().manual_seed(k) for k in range(scenes)]), layouts


def _middles(placed: Placed, scene: int) -> list[torch.Tensor]:
    """Middles (3,) of the objects of a scene but the holder."""
    own = (placed.scene == scene) & (placed.instance > 1)
    numbers = placed.instance[own].unique()
    return [placed.primitives.centre[own & (placed.instance == k)].mean(0) for k in numbers]


def _heights(placed: Placed, scene: int) -> tuple[list[float], list[float]]:
    """Lowest and highest sampled point of the objects of a scene but the holder."""
    own = (placed.scene == scene) & (placed.instance > 1)
    lowest, highest = [], []
    for number in placed.instance[own].unique():
        rows = (own & (placed.instance == number)).nonzero().squeeze(1).repeat_interleave(200)
        uniform = torch.rand(len(rows), 3, generator=torch.Generator().manual_seed(0))
        z = sample_surface(placed.primitives, rows, uniform)[:, 2]
        lowest.append(float(z.min()))
        highest.append(float(z.max()))
    return lowest, highest


def test_neighbours_share_looks_and_parts_differ_as_shares_say() -> None:
    plain = SceneConfig(uniform_share=0.0, same_colour_share=0.0, table_colour_share=0.0)
    twins = draw_looks(Random(0), [1] * 12, replace(plain, twin_share=1.0))[0]
    assert len({look.colours for look in twins}) == 1
    apart = draw_looks(Random(0), [1] * 12, replace(plain, twin_share=0.0))[0]
    assert len({look.colours for look in apart}) > 8
    colours = np.array([look.colours[0] for look in draw_looks(Random(1), [4] * 40, plain)[0]])
    many = [len(np.unique(colours[k : k + 4], axis=0)) > 1 for k in range(0, 160, 4)]
    assert 0.5 < np.mean(many) < 1.0
    shades = replace(plain, shades_share=1.0, twin_share=0.0)
    for seed in range(6):
        own = np.array([look.colours[0] for look in draw_looks(Random(seed), [1] * 9, shades)[0]])
        assert np.ptp(own, axis=0).max() <= 0.24 + 1e-9


def test_a_miscalibrated_camera_changes_colours_beyond_the_light() -> None:
    off = [draw_light(Random(s), SceneConfig(miscalibrated_share=1.0)) for s in range(40)]
    right = [draw_light(Random(s), SceneConfig(miscalibrated_share=0.0)) for s in range(40)]
    assert all(light.black == (0.0, 0.0, 0.0) for light in right)
    assert max(max(map(abs, light.black)) for light in off) > 0.08
    assert min(min(light.balance) for light in off) < 0.6
    local = torch.zeros(3, 1)
    normal = torch.tensor([[0.0], [0.0], [1.0]])
    look = torch.tensor([draw_looks(Random(2), [1], SceneConfig())[0][0].row()]).t()
    rows = [torch.tensor([replace(right[0], black=b).row()]).t() for b in ((0.0,) * 3, (0.1,) * 3)]
    dark, raised = (shade(look, row, local, normal) for row in rows)
    assert torch.allclose(raised - dark, torch.tensor(0.1), atol=1e-5)
