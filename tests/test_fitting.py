"""Fitting: estimators come near their targets, and the examples say what really happened."""

import numpy as np
import pytest
import torch
from safetensors import safe_open

from pointsam_model import Predictor, load_model
from pointsam_model.fitting import cuts, quality
from pointsam_model.fitting.cuts import cut_examples, fit_cuts
from pointsam_model.fitting.estimating import averaged, fit_estimator, side_by_side
from pointsam_model.fitting.quality import fit_quality, quality_examples
from pointsam_model.fitting.scenes import KINDS, fitting_scenes
from pointsam_model.geometry.surface_graph import FEATURES as EDGE_FEATURES
from pointsam_model.quality.features import FEATURES


def sums(rows=4000):
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(rows, 3)).astype(np.float32)
    return numbers, (1 / (1 + np.exp(-2 * numbers[:, :1] + numbers[:, 1:2]))).astype(np.float32)


def fitted(**more):
    numbers, target = sums()
    return fit_estimator(numbers, target, width=16, steps=400, about={}, squared=True, **more)


def test_a_fit_comes_near_its_target():
    numbers, target = sums()
    assert (
        float((fitted()(torch.from_numpy(numbers)) - torch.from_numpy(target)).abs().mean()) < 0.06
    )


def test_rows_without_a_target_teach_nothing():
    numbers, target = sums()
    half = np.where(np.arange(len(target))[:, None] < 2000, target, np.nan).astype(np.float32)
    estimator = fit_estimator(numbers, half, width=16, steps=400, about={}, squared=True)
    assert torch.isfinite(estimator(torch.from_numpy(numbers))).all()
    off = (estimator(torch.from_numpy(numbers)) - torch.from_numpy(target)).abs().mean()
    assert float(off) < 0.08


def test_the_same_seed_fits_the_same_and_another_does_not():
    one, two, other = fitted(), fitted(), fitted(seed=1)
    assert torch.equal(one.tensors["weight.1"], two.tensors["weight.1"])
    assert not torch.equal(one.tensors["weight.1"], other.tensors["weight.1"])


def test_estimators_side_by_side_give_the_outputs_of_both():
    one, other = fitted(), fitted(seed=1)
    numbers = torch.from_numpy(sums()[0])
    both = side_by_side(one, other, {})(numbers)
    assert torch.allclose(both, torch.cat([one(numbers), other(numbers)], 1), atol=1e-6)
    with pytest.raises(ValueError, match="another standard"):
        moved = fit_estimator(sums()[0] + 1, sums()[1], width=4, steps=1, about={})
        side_by_side(one, moved, {})


def test_averaged_estimators_give_the_mean_of_their_logits():
    members = [fitted(seed=seed) for seed in range(3)]
    numbers = torch.from_numpy(sums()[0])
    mean = torch.stack([it.logits(numbers) for it in members]).mean(0)
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
    monkeypatch.setattr(quality, "STEPS", 50)
    predictor = Predictor(load_model("tiny", device="cpu"))
    examples = quality_examples(predictor, range(1))
    assert examples.features.shape == (len(examples.truth), FEATURES)
    assert np.isfinite(examples.features).all()
    known = examples.truth[~np.isnan(examples.truth)]
    assert ((known >= 0) & (known <= 1)).all()
    assert examples.first.any()
    # What was meant is an object: no candidate fits another one less than that one.
    meant = examples.first & ~np.isnan(examples.truth[:, 0])
    assert (examples.truth[meant, 1] >= examples.truth[meant, 0] - 1e-6).all()
    estimator = fit_quality([examples])
    assert estimator(torch.from_numpy(examples.features)).shape == (len(examples.truth), 2)


def test_fitting_scenes_are_of_all_kinds_and_always_the_same():
    assert {"tabletop", "street", "room", "bin", "parts", "fused", "single", "empty"} == set(KINDS)
    (one,), (again,) = fitting_scenes([3]), fitting_scenes([3])
    assert np.array_equal(one[1].xyz, again[1].xyz, equal_nan=True)
