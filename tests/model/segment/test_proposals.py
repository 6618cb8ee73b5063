"""Proposals: every object of a cloud, without doubles, holes, specks and what objects stand on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from published import PUBLISHED

from pointsam_model import (
    CancelledError,
    Cloud,
    Instance,
    Predictor,
    PredictorConfig,
    ProposalConfig,
    ProposalGenerator,
    ReductionConfig,
    load_model,
)
from pointsam_model.instances.neighbour_graph import NeighbourGraph
from pointsam_model.instances.overlaps import overlaps, suppress
from pointsam_model.instances.planes import is_flat
from pointsam_model.nn import PointSAM, make_patches
from pointsam_model.scenes import SceneConfig, generate_scene
from pointsam_model.segment import proposals as proposals_module

SCENE = 5
EITHER_WAY = pytest.mark.parametrize(
    "predictor", [PredictorConfig(), PUBLISHED], ids=["as users run it", "the network alone"]
)


@pytest.fixture(scope="module")
def model() -> PointSAM:
    return load_model("tiny", device="cpu")


@pytest.fixture(scope="module")
def scene() -> tuple[Cloud, np.ndarray]:
    made = generate_scene(SCENE, SceneConfig(width=160, height=120))
    return Cloud(made.xyz, made.rgb), made.instance


@pytest.fixture(scope="module")
def proposals(model: PointSAM, scene: tuple[Cloud, np.ndarray]) -> list[Instance]:
    return ProposalGenerator(model).generate(scene[0])


def iou(rows: np.ndarray, truth: np.ndarray) -> float:
    mask = np.zeros(len(truth), bool)
    mask[rows] = True
    return np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth)


def test_most_objects_of_a_generated_scene_are_proposed(
    scene: tuple[Cloud, np.ndarray], proposals: Sequence[Instance]
) -> None:
    _, label = scene
    objects = [number for number in np.unique(label[label > 0]) if (label == number).sum() >= 150]
    found = [
        max(iou(proposal.indices, label == number) for proposal in proposals) for number in objects
    ]
    assert len(objects) >= 3
    assert np.mean(np.array(found) > 0.5) >= 0.6


def test_proposals_are_best_first_ascending_rows_without_doubles(
    scene: tuple[Cloud, np.ndarray], proposals: Sequence[Instance]
) -> None:
    cloud, _ = scene
    config = ProposalConfig()
    assert 0 < len(proposals) <= config.max_instances
    for instance in proposals:
        assert len(instance.indices) >= config.min_points
        assert (np.diff(instance.indices.astype(np.int64)) > 0).all()
        assert cloud.valid[instance.indices].all()
        np.testing.assert_array_equal(instance.points, cloud.xyz[instance.indices])


@EITHER_WAY
def test_a_higher_min_score_leaves_the_first_of_the_same_proposals(
    model: PointSAM, scene: tuple[Cloud, np.ndarray], predictor: PredictorConfig
) -> None:
    usual = ProposalConfig(points=120)
    every = ProposalGenerator(model, usual, predictor).generate(scene[0])
    scores = [proposal.score for proposal in every]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] >= usual.min_score
    least = scores[len(scores) // 2]
    strict = dataclasses.replace(usual, min_score=least)
    fewer = ProposalGenerator(model, strict, predictor).generate(scene[0])
    wanted = [proposal for proposal in every if proposal.score >= least]
    assert 0 < len(wanted) < len(every)
    for proposal, right in zip(fewer, wanted, strict=True):
        np.testing.assert_array_equal(proposal.indices, right.indices)
        assert proposal.score == right.score


def test_the_same_cloud_gives_the_same_proposals(
    model: PointSAM, scene: tuple[Cloud, np.ndarray], proposals: Sequence[Instance]
) -> None:
    again = ProposalGenerator(model).generate(scene[0])
    assert len(again) == len(proposals)
    for first, second in zip(proposals, again, strict=True):
        np.testing.assert_array_equal(first.indices, second.indices)
        assert first.score == second.score


def test_memory_for_a_batch_changes_its_size_and_not_the_proposals(
    model: PointSAM, scene: tuple[Cloud, np.ndarray]
) -> None:
    usual = ProposalGenerator(model, ProposalConfig(points=400), PUBLISHED)
    proposals = usual.generate(scene[0])
    calls: list[tuple[int, int]] = []
    small = ProposalGenerator(model, ProposalConfig(points=400, batch_mib=40), PUBLISHED)
    again = small.generate(scene[0], progress=lambda done, total: calls.append((done, total)))
    assert len(calls) > 4
    assert len(again) == len(proposals)
    ious = [iou(a.indices, _mask(b, scene[0].size)) for a, b in zip(again, proposals, strict=True)]
    assert min(ious) > 0.98, "batches of other sizes round otherwise, no more"


def _mask(instance: Instance, size: int) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[instance.indices] = True
    return mask


def test_progress_ends_at_all_clicks(model: PointSAM, scene: tuple[Cloud, np.ndarray]) -> None:
    calls: list[tuple[int, int]] = []
    few = ProposalGenerator(model, ProposalConfig(points=40), PUBLISHED)
    few.generate(scene[0], progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (40, 40)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


def test_progress_ends_at_all_clicks_on_all_looks_at_a_large_cloud(model: PointSAM) -> None:
    axes = np.linspace(0, 6, 150), np.linspace(0, 1.2, 30)
    x, y = (axis.ravel() for axis in np.meshgrid(*axes))
    row = np.stack([x, y, np.where((x % 1.5 < 0.4) & (y < 0.4), 1.7, 2.0)], 1)  # of boxes, 6 m long
    calls: list[tuple[int, int]] = []
    generator = ProposalGenerator(model)
    embedding = generator.predictor.embed(Cloud(row.astype(np.float32)))
    generator.generate(embedding, lambda done, total: calls.append((done, total)))
    assert len(embedding.looks) > 1
    assert calls[-1][0] == calls[-1][1]
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})
    assert all(done <= total for done, total in calls)


def test_a_predictor_that_is_given_proposes_with_its_own_settings(
    model: PointSAM, scene: tuple[Cloud, np.ndarray]
) -> None:
    predictor = Predictor(model, PUBLISHED, ReductionConfig(max_points=500))
    config = ProposalConfig(points=40, min_score=0.0)
    shared = ProposalGenerator(model, config, predictor).generate(scene[0])
    alike = ProposalGenerator(model, config, PUBLISHED, predictor.reduction).generate(scene[0])
    assert [each.score for each in shared] == [each.score for each in alike]


@EITHER_WAY
def test_a_cancelled_call_ends_before_its_next_batch(
    model: PointSAM, scene: tuple[Cloud, np.ndarray], predictor: PredictorConfig
) -> None:
    done: list[int] = []
    generator = ProposalGenerator(model, ProposalConfig(batch_mib=40), predictor)
    with pytest.raises(CancelledError):
        generator.generate(
            scene[0], progress=lambda count, _: done.append(count), cancelled=lambda: len(done) >= 2
        )
    assert len(done) == 2


@EITHER_WAY
def test_a_prompt_never_waits_for_more_than_one_decoder_batch(
    model: PointSAM,
    scene: tuple[Cloud, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    predictor: PredictorConfig,
) -> None:
    stretches: list[list[str]] = [[]]
    for name in ("decode", "overlaps", "suppress", "instances_of"):
        place = model if name == "decode" else proposals_module
        real = getattr(place, name)

        def told(*args: object, name: str = name, real: Any = real, **named: object) -> Any:
            stretches[-1].append(name)
            return real(*args, **named)

        monkeypatch.setattr(place, name, told)

    def asked() -> bool:
        stretches.append([])
        return False

    config = ProposalConfig(points=120, batch_mib=40)
    ProposalGenerator(model, config, predictor).generate(scene[0], cancelled=asked)
    longest = max(stretches, key=len)
    assert sum("decode" in stretch for stretch in stretches) > 4
    assert predictor.geometry or sum("instances_of" in stretch for stretch in stretches) > 1
    assert all(len(stretch) == 1 for stretch in stretches if "decode" in stretch)
    assert len(longest) <= 2, longest


def test_an_embedded_cloud_is_not_embedded_again(
    model: PointSAM, scene: tuple[Cloud, np.ndarray], proposals: Sequence[Instance]
) -> None:
    generator = ProposalGenerator(model)
    embedding = generator.predictor.embed(scene[0])
    generator.predictor.embed = None  # type: ignore[method-assign, assignment]
    assert len(generator.generate(embedding)) == len(proposals)


def test_masks_that_none_is_good_enough_give_no_proposal(
    model: PointSAM, scene: tuple[Cloud, np.ndarray]
) -> None:
    unstable = ProposalConfig(points=50, min_stability=1.0)
    assert ProposalGenerator(model, unstable, PUBLISHED).generate(scene[0]) == []
    improbable = ProposalConfig(min_score=1.0)
    assert ProposalGenerator(model, improbable).generate(scene[0]) == []


def test_a_small_cloud_gets_few_clicks(model: PointSAM) -> None:
    points = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    calls: list[tuple[int, int]] = []
    ProposalGenerator(model, predictor=PUBLISHED).generate(
        Cloud(points), progress=lambda done, total: calls.append((done, total))
    )
    assert calls[-1] == (5, 5)


def test_the_table_is_no_proposal_unless_it_is_asked_for(model: PointSAM) -> None:
    grid = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 90), np.linspace(-0.4, 0.4, 80)), -1)
    table = np.concatenate([grid, np.ones((80, 90, 1))], -1).reshape(-1, 3).astype(np.float32)
    cloud = Cloud(table)
    keeping = ProposalConfig(points=64, max_share=1.0, min_score=0.0, min_stability=0.0)
    without = dataclasses.replace(keeping, max_flat_share=0.1)
    with_table = dataclasses.replace(keeping, max_flat_share=1.0)
    for way, config in ((PUBLISHED, without), (PredictorConfig(), ProposalConfig())):
        found = ProposalGenerator(model, config, way).generate(cloud)
        assert all(len(each.indices) <= 0.1 * len(table) for each in found)
    found = ProposalGenerator(model, with_table, PUBLISHED).generate(cloud)
    assert max(len(each.indices) for each in found) > 0.1 * len(table)


# --- Masks at the patch centres. ---


def test_logits_at_patch_centers_are_those_of_the_points_there() -> None:
    torch.manual_seed(0)
    network = load_model("tiny", device="cpu")
    coords = torch.rand(1, 600, 3) - 0.5
    patches = make_patches(coords, 48, 16)
    with torch.inference_mode():
        encoding = network.encode(patches, torch.zeros(1, 600, 3))
        click = coords[:, None, :1].expand(1, 4, 1, 3)
        label = torch.ones(1, 4, 1, dtype=torch.int64)
        everywhere, scores = network.decode(encoding, click, label, multimask=True)
        there, same = network.decode(encoding, click, label, multimask=True, at_centers=True)
    rows = (coords[0][:, None] == patches.centers[0][None]).all(-1).int().argmax(0)
    assert there.shape == (1, 4, 3, 48)
    torch.testing.assert_close(there, everywhere[..., rows], atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(same, scores)


# --- Suppression. ---


@given(st.data())
def test_suppression_keeps_the_best_of_what_overlaps(data: st.DataObject) -> None:
    cells = data.draw(st.integers(1, 12))
    masks = data.draw(
        st.lists(st.lists(st.booleans(), min_size=cells, max_size=cells).filter(any), max_size=8)
    )
    weight = data.draw(st.lists(st.integers(1, 9), min_size=cells, max_size=cells))
    rank = data.draw(st.lists(st.integers(0, 4), min_size=len(masks), max_size=len(masks)))
    highest = data.draw(st.sampled_from([0.0, 0.3, 0.5, 0.9]))
    tensor = torch.tensor(masks, dtype=torch.bool).reshape(len(masks), cells)
    iou = overlaps(tensor, tensor, torch.tensor(weight).float())
    kept = suppress(iou, torch.tensor(rank).float(), highest).tolist()

    def overlap(a: int, b: int) -> float:
        both = sum(w for w, x, y in zip(weight, masks[a], masks[b], strict=True) if x and y)
        either = sum(w for w, x, y in zip(weight, masks[a], masks[b], strict=True) if x or y)
        return both / either

    expected: list[int] = []
    for row in sorted(range(len(masks)), key=lambda row: (-rank[row], row)):
        if all(overlap(row, other) <= highest + 1e-6 for other in expected):
            expected.append(row)
    assert kept == expected


# --- Holes and specks. ---


def sheet(side: int = 40) -> np.ndarray:
    axis = np.linspace(0, 1, side)
    x, y = np.meshgrid(axis, axis)
    return np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1).astype(np.float32)


def disc(points: np.ndarray, x: float, y: float, radius: float) -> np.ndarray:
    return np.hypot(points[:, 0] - x, points[:, 1] - y) < radius


def cleaned(points: np.ndarray, share: float, *masks: np.ndarray) -> np.ndarray:
    surface = NeighbourGraph(torch.from_numpy(points))
    return surface.cleaned(torch.from_numpy(np.stack(masks)), share).numpy()


def test_holes_are_filled_and_specks_go() -> None:
    points = sheet()
    whole = disc(points, 0.4, 0.5, 0.3)
    hole, speck = disc(points, 0.4, 0.5, 0.05), disc(points, 0.9, 0.9, 0.05)
    np.testing.assert_array_equal(cleaned(points, 0.1, (whole & ~hole) | speck), [whole])


def test_large_holes_and_pieces_stay() -> None:
    points = sheet()
    ring = disc(points, 0.35, 0.5, 0.3) & ~disc(points, 0.35, 0.5, 0.2)
    second = disc(points, 0.85, 0.5, 0.12)
    np.testing.assert_array_equal(cleaned(points, 0.1, ring | second), [ring | second])


def test_what_is_not_connected_to_the_mask_is_no_hole_of_it() -> None:
    points = np.concatenate([sheet(), sheet(6) * 0.1 + np.float32([2, 2, 2])])
    mask = np.zeros(len(points), bool)
    mask[: 40 * 40] = True
    np.testing.assert_array_equal(cleaned(points, 0.1, mask), [mask])


def test_a_speck_that_goes_leaves_no_hole_and_may_fill_one() -> None:
    points = sheet()
    whole = disc(points, 0.4, 0.5, 0.3)
    moat = disc(points, 0.4, 0.5, 0.1) & ~disc(points, 0.4, 0.5, 0.05)
    np.testing.assert_array_equal(cleaned(points, 0.2, whole & ~moat), [whole])


@pytest.mark.parametrize("count", [1, 2, 100])
def test_an_empty_and_a_full_mask_stay_as_they_are(count: int) -> None:
    masks = np.zeros((2, count), bool)
    masks[1] = True
    np.testing.assert_array_equal(cleaned(sheet(10)[:count], 0.5, *masks), masks)


def test_masks_are_cleaned_alike_alone_and_together() -> None:
    points = sheet()
    rng = np.random.default_rng(0)
    masks = [disc(points, *rng.random(2), 0.3) ^ (rng.random(1600) < 0.1) for _ in range(5)]
    together = cleaned(points, 0.1, *masks)
    assert (together != masks).any()
    for mask, right in zip(masks, together, strict=True):
        np.testing.assert_array_equal(cleaned(points, 0.1, mask), [right])


# --- Planes. ---


@pytest.mark.parametrize("stray", [0.0, 0.05])
def test_a_noisy_plane_is_flat_and_a_box_is_not(stray: float) -> None:
    rng = np.random.default_rng(3)
    plane = rng.uniform(-1, 1, (4000, 3)) * [1, 0.6, 0.004]
    plane[: int(stray * 4000)] *= [1, 1, 60]
    assert is_flat(plane)
    box = rng.uniform(-1, 1, (4000, 3))
    face = rng.integers(3, size=4000)
    box[np.arange(4000), face] = np.sign(box[np.arange(4000), face])
    assert not is_flat(box)


@pytest.mark.parametrize("count", [1, 2, 50])
def test_points_on_a_line_are_flat(count: int) -> None:
    assert is_flat(np.linspace([0, 0, 0], [1, 2, 3], count))
