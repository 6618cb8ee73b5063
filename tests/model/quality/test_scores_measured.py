"""Whether a score can be read as IoU: error, correlation, and the picture of both."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from pointsam_model.evaluation import ObjectResult, score_quality, summarise
from pointsam_model.pictures import color_of
from pointsam_model.pictures.reliability import draw_reliability


def objects(score: list[float], iou: list[float]) -> list[ObjectResult]:
    return [
        ObjectResult("a", row, 60, (its_iou,), its_iou, (its_score,), ((3, 1),))
        for row, (its_score, its_iou) in enumerate(zip(score, iou, strict=True))
    ]


def test_a_score_that_is_the_iou_is_off_by_nothing() -> None:
    values = np.random.default_rng(0).random(200).tolist()
    quality = score_quality(objects(values, values), 1)
    assert quality is not None
    assert (quality.error, quality.correlation) == (0.0, pytest.approx(1.0))
    assert all(each.score == each.iou for each in quality.bins)
    assert sum(each.count for each in quality.bins) == 200 and len(quality.bins) == 10


def test_a_score_that_is_too_high_is_off_though_it_ranks_well() -> None:
    quality = score_quality(objects([0.5, 0.7, 0.9], [0.1, 0.3, 0.5]), 1)
    assert quality is not None
    assert quality.error == pytest.approx(0.4) and quality.correlation == pytest.approx(1.0)
    assert [(each.count, each.iou) for each in quality.bins] == [(1, 0.1), (1, 0.3), (1, 0.5)]


def test_scores_beyond_one_and_below_zero_are_in_the_outer_bins() -> None:
    quality = score_quality(objects([1.2, 1.0, -0.1], [0.8, 1.0, 0.0]), 1)
    assert quality is not None
    assert [each.count for each in quality.bins] == [1, 2]
    assert quality.bins[1].score == pytest.approx(1.1)


def test_equal_scores_have_no_correlation() -> None:
    quality = score_quality(objects([0.5, 0.5], [0.2, 0.8]), 1)
    assert quality is not None and quality.correlation is None
    assert quality.error == pytest.approx(0.3)


def test_clicks_that_were_not_made_have_no_score() -> None:
    assert score_quality(objects([0.5], [0.2]), 3) is None
    assert list(summarise(objects([0.5], [0.2]), predicts_iou=True).score) == [1]
    assert summarise(objects([0.5], [0.2])).score == {}


def test_the_picture_has_a_panel_for_each_method(tmp_path: Path) -> None:
    lines = {"1 click": [(0.25, 0.2, 4), (0.75, 0.5, 20)], "3 clicks": [(0.95, 0.9, 30)]}
    one = draw_reliability(tmp_path / "new" / "one.png", {"tiny": lines})
    two = draw_reliability(tmp_path / "two.png", {"tiny": lines, "large": lines})
    shapes = [matplotlib.image.imread(path).shape for path in (one, two)]
    assert shapes[0][0] == shapes[1][0] and shapes[1][1] == 2 * shapes[0][1]
    pixels = matplotlib.image.imread(one)[..., :3].reshape(-1, 3)
    for drawn in (0, 1):  # a line and bars of each
        assert (np.abs(pixels - color_of(drawn)).max(axis=1) < 0.02).sum() > 500
