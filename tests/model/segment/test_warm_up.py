"""Warming up: what a first click would have to wait for is there before it."""

from __future__ import annotations

import pytest
from places import TINY

from pointsam_model import Predictor, PredictorConfig, ReductionConfig, load_model, warm_up
from pointsam_model.geometry.partition import shipped_cuts
from pointsam_model.nn import PointSAM


@pytest.fixture(scope="module")
def model() -> PointSAM:
    return load_model(str(TINY / "config.json"), TINY / "weights.safetensors", device="cpu")


def test_what_tells_edges_and_judges_masks_is_read_before_the_first_click(model: PointSAM) -> None:
    shipped_cuts.cache_clear()
    predictor = Predictor(model)
    warm_up(predictor)
    assert shipped_cuts.cache_info().currsize == 1
    assert "quality" in vars(predictor)


def test_a_quality_that_is_not_used_is_not_read(model: PointSAM) -> None:
    predictor = Predictor(model, PredictorConfig(geometry=False, looks="whole"))
    warm_up(predictor)
    assert "quality" not in vars(predictor)


def test_a_predictor_that_crops_can_be_warmed_up_and_crops_as_before(model: PointSAM) -> None:
    reduction = ReductionConfig(crop_min_m=(50, 50, 50), crop_max_m=(60, 60, 60))
    predictor = Predictor(model, reduction=reduction)
    warm_up(predictor)
    assert predictor.reduction is reduction
