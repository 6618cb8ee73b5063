"""Fitting: estimators come near their targets, and the examples say what really happened."""

import numpy as np
import pytest
import torch
from safetensors import safe_open

from pointsam_model import Predictor, load_model
from pointsam_model.fitting import cuts, quality
from pointsam_model.fitting.cuts import cut_examples, fit_cuts
from pointsam_model.fitting.estimating import (
    Loss,
    averaged,
    blind,
    fit_chooser,
    fit_estimator,
    side_by_side,
)
from pointsam_model.fitting.examples import PARTS, PARTS_ALONE, Examples, quality_examples
from pointsam_model.fitting.quality import fit_quality, pool_chances
from pointsam_model.fitting.scenes import KINDS, fitting_scenes
from pointsam_model.geometry.surface_graph import FEATURES as EDGE_FEATURES
from pointsam_model.quality.features import FEATURES, NETWORKS_OWN


def sums(rows=4000):
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(rows, 3)).astype(np.float32)
    return numbers, (1 / (1 + np.exp(-2 * numbers[:, :1] + numbers[:, 1:2]))).astype(np.float32)


def fitted(**more):
    numbers, target = sums()
    return fit_estimator(numbers, target, width=16, steps=400, about={}, loss=Loss.SQUARED, **more)


def test_a_fit_comes_near_its_target():
    numbers, target = sums()
    assert (
        float((fitted()(torch.from_numpy(numbers)) - torch.from_numpy(target)).abs().mean()) < 0.06
    )


def test_rows_without_a_target_teach_nothing():
    numbers, target = sums()
    half = np.where(np.arange(len(target))[:, None] < 2000, target, np.nan).astype(np.float32)
    estimator = fit_estimator(numbers, half, width=16, steps=400, about={}, loss=Loss.SQUARED)
    assert torch.isfinite(estimator(torch.from_numpy(numbers))).all()
    off = (estimator(torch.from_numpy(numbers)) - torch.from_numpy(target)).abs().mean()
    assert float(off) < 0.08


def test_the_same_seed_fits_the_same_and_another_does_not():
    one, two, other = fitted(), fitted(), fitted(seed=1)
    assert torch.equal(one.tensors["weight.1"], two.tensors["weight.1"])
    assert not torch.equal(one.tensors["weight.1"], other.tensors["weight.1"])


def test_what_is_uncertain_gets_its_median_or_its_mean_as_the_loss_says():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(3000, 2)).astype(np.float32)
    worth = np.where(rng.random((3000, 1)) < 0.75, 0.9, 0.1).astype(np.float32)
    for loss, wanted in ((Loss.ABSOLUTE, 0.9), (Loss.SQUARED, 0.7), (Loss.CROSS_ENTROPY, 0.7)):
        own = fit_estimator(numbers, worth, width=8, steps=600, about={}, loss=loss)
        assert float(own(torch.from_numpy(numbers)).mean()) == pytest.approx(wanted, abs=0.04)


def pools(count=400, size=8):
    """Pools of rows: a level that all of a pool share, and a number that orders them."""
    rng = np.random.default_rng(1)
    level = np.repeat(rng.normal(size=count), size)
    own = rng.normal(size=count * size)
    numbers = np.stack([level + 0.3 * own, own, rng.normal(size=len(own))], 1).astype(np.float32)
    worth = 1 / (1 + np.exp(-2 * level - 0.5 * own))
    return numbers, worth.astype(np.float32), np.repeat(np.arange(count), size)


def test_a_chooser_chooses_the_best_of_a_pool():
    numbers, worth, pool = pools()
    first = pool % 2 == 0
    chooser = fit_chooser(numbers, worth, pool, first, width=16, steps=300, about={})
    logits = chooser.logits(torch.from_numpy(numbers))[:, 0].numpy().reshape(-1, 8)
    own = worth.reshape(-1, 8)
    chosen = own[np.arange(len(own)), logits.argmax(1)]
    assert (own.max(1) - chosen).mean() < 0.02
    assert (own.max(1) - own.mean(1)).mean() > 0.1  # what choosing anyhow would miss


def test_a_chooser_learns_from_one_kind_of_pools_alone_too():
    numbers, worth, pool = pools(40)
    first = np.ones(len(pool), bool)
    chooser = fit_chooser(numbers, worth, pool, first, width=4, steps=3, about={})
    assert torch.isfinite(chooser.logits(torch.from_numpy(numbers))).all()


def test_chances_in_a_pool_sum_to_one_and_leave_nobody_out():
    numbers, worth, pool = pools(50)
    chooser = fit_chooser(numbers, worth, pool, pool >= 0, width=8, steps=200, about={})
    chances = pool_chances(chooser, numbers, pool).reshape(-1, 8)
    assert chances.sum(1) == pytest.approx(1)
    assert chances.min() >= quality.FAIR / 8
    assert (chances.argmax(1) == worth.reshape(-1, 8).argmax(1)).mean() > 0.8


def test_a_blind_estimator_does_not_depend_on_what_it_does_not_see():
    numbers = sums()[0]
    changed = numbers.copy()
    changed[:, 1] += 5
    own = blind(fitted(), [1])
    assert torch.equal(own(torch.from_numpy(numbers)), own(torch.from_numpy(changed)))
    changed[:, 0] += 1
    assert not torch.equal(own(torch.from_numpy(numbers)), own(torch.from_numpy(changed)))


def test_estimators_side_by_side_give_the_outputs_of_both():
    one, other = fitted(), fitted(seed=1)
    numbers = torch.from_numpy(sums()[0])
    both = side_by_side(one, other, {})(numbers)
    assert torch.allclose(both, torch.cat([one(numbers), other(numbers)], 1), atol=1e-6)
    with pytest.raises(ValueError, match="different normalisations"):
        moved = fit_estimator(sums()[0] + 1, sums()[1], width=4, steps=1, about={})
        side_by_side(one, moved, {})


def test_averaged_estimators_give_the_mean_of_their_logits():
    members = [fitted(seed=seed) for seed in range(3)]
    numbers = torch.from_numpy(sums()[0])
    mean = torch.stack([member.logits(numbers) for member in members]).mean(0)
    assert torch.allclose(averaged(members, {}).logits(numbers), mean, atol=1e-5)


def test_examples_of_edges_hold_both_kinds_and_can_be_fitted(tmp_path, monkeypatch):
    monkeypatch.setattr(cuts, "STEPS", 50)
    features, between = cut_examples(range(2))
    assert features.shape == (len(between), EDGE_FEATURES)
    assert 0 < between.sum() < len(between)
    fit_cuts([(features, between)]).write(tmp_path / "cuts.safetensors")
    with safe_open(tmp_path / "cuts.safetensors", "pt") as file:
        assert "generated scenes" in file.metadata()["fitted"]


def test_examples_of_masks_tell_the_truth_about_them_and_can_be_fitted(monkeypatch):
    for steps in ("STEPS", "CHOOSING_STEPS"):
        monkeypatch.setattr(quality, steps, 50)
    predictor = Predictor(load_model("tiny", device="cpu"))
    examples = quality_examples(predictor, range(1, 2))  # an odd one: and a scene beside it
    assert examples.features.shape == (len(examples.truth), FEATURES)
    assert np.isfinite(examples.features).all()
    known = examples.truth[~np.isnan(examples.truth)]
    assert ((known >= 0) & (known <= 1)).all()
    assert examples.first.any()
    # What was meant is an object: no candidate fits another one less than that one.
    meant = examples.first & ~np.isnan(examples.truth[:, 0])
    assert (examples.truth[meant, 1] >= examples.truth[meant, 0] - 1e-6).all()
    unmeant = examples.pool[np.isnan(examples.truth[:, 0])]
    assert len(np.unique(unmeant)) > PARTS + PARTS_ALONE, "clicks that mean nothing, in both scenes"
    pools = np.unique(examples.pool)
    assert np.array_equal(pools, np.arange(len(pools))) and (np.diff(examples.pool) >= 0).all()
    assert all(len(set(examples.first[examples.pool == pool])) == 1 for pool in pools)
    estimator = fit_quality([examples, examples])
    assert estimator(torch.from_numpy(examples.features)).shape == (len(examples.truth), 3)


def test_a_quality_for_any_network_ignores_what_the_network_says_of_itself(monkeypatch):
    for steps in ("STEPS", "CHOOSING_STEPS"):
        monkeypatch.setattr(quality, steps, 20)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, FEATURES)).astype(np.float32)
    truth = rng.random((600, 2)).astype(np.float32)
    pool = np.repeat(np.arange(60), 10)
    examples = Examples(features.copy(), truth, pool % 2 == 0, pool)
    estimator = fit_quality([examples], any_network=True)
    changed = features.copy()
    changed[:, list(NETWORKS_OWN)] += 3
    assert torch.equal(estimator(torch.from_numpy(features)), estimator(torch.from_numpy(changed)))


def test_fitting_scenes_are_of_all_kinds_and_always_the_same():
    assert {"tabletop", "street", "room", "bin", "parts", "fused", "single", "empty"} == set(KINDS)
    (one,), (again,) = fitting_scenes([3]), fitting_scenes([3])
    assert np.array_equal(one[1].xyz, again[1].xyz, equal_nan=True)
