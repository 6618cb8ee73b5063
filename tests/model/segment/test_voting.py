"""A first click asks the patches around it, and says how far they agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from published import PUBLISHED

from pointsam_model import Cloud, Embedding, Predictor, Prompt, load_model
from pointsam_model.nn import PointSAM
from pointsam_model.scenes import SceneConfig, generate_scene
from pointsam_model.segment.prediction import SURE
from pointsam_model.segment.voting import AGREE, OWN_VOTES, ask_around

VOTES = 6


@pytest.fixture(scope="module")
def model() -> PointSAM:
    return load_model("tiny", device="cpu")


@pytest.fixture(scope="module")
def embedding(model: PointSAM) -> Embedding:
    made = generate_scene(11, SceneConfig(width=96, height=72))
    return Predictor(model).embed(Cloud(made.xyz, made.rgb))


def clicks(embedding: Embedding, *rows: int) -> np.ndarray:
    return embedding.normalise(embedding.kept.points[list(rows)].astype(np.float64))


def decoded(
    model: PointSAM, embedding: Embedding, at: np.ndarray, mask: np.ndarray | None
) -> tuple:
    with torch.inference_mode():
        logits, scores = model.decode(
            embedding.encoding,
            torch.from_numpy(at).float()[None, None, None],
            torch.ones(1, 1, 1, dtype=torch.int64),
            mask_logits=None if mask is None else torch.from_numpy(mask).float()[None, None],
            multimask=mask is None,
            at_centers=mask is None,
        )
    return logits[0, 0].numpy(), scores[0, 0].numpy()


def by_hand(
    model: PointSAM, embedding: Embedding, click: np.ndarray
) -> tuple[list[np.ndarray], list[float]]:
    """The answer to one click, one mask and one neighbour after the other."""
    patches = embedding.encoding.patches
    centers = patches.centers[0].numpy()
    weight = embedding.center_counts.numpy()
    around = np.argsort(np.square(centers - click).sum(1))[:VOTES]
    neighbours = {row: decoded(model, embedding, centers[row], None)[0] for row in around}
    logits, scores = [], []
    for own in decoded(model, embedding, click, None)[0]:
        total, votes, said = OWN_VOTES * own.clip(-SURE, SURE), OWN_VOTES, []
        for row, masks in neighbours.items():
            ious = [
                weight[(own > 0) & (other > 0)].sum() / weight[(own > 0) | (other > 0)].sum()
                for other in masks
            ]
            if own[row] > 0:
                said.append(max(ious))
            for iou, other in zip(ious, masks, strict=True):
                if iou >= AGREE:
                    total, votes = total + other.clip(-SURE, SURE), votes + 1
        index, share = patches.index[0].numpy(), patches.weight[0].numpy()
        mask = ((total / votes)[index] * share).sum(1)
        again, score = decoded(model, embedding, click, mask)
        logits.append(again[0])
        scores.append(float(score[0]) * float(np.mean(said) if said else 0.0))
    return logits, scores


def test_the_answer_is_what_counting_votes_by_hand_gives(
    model: PointSAM, embedding: Embedding
) -> None:
    for row in (10, 2000):
        click = clicks(embedding, row)[0]
        with torch.inference_mode():
            logits, scores = ask_around(model, embedding, torch.from_numpy(click)[None], VOTES)
        expected, expected_scores = by_hand(model, embedding, click)
        assert logits.shape == (1, 3, len(embedding.kept.rows))
        np.testing.assert_allclose(logits[0].numpy(), np.stack(expected), atol=2e-3)
        np.testing.assert_allclose(scores[0].numpy(), expected_scores, atol=1e-3)


def test_many_objects_at_once_are_answered_as_one_by_one(
    model: PointSAM, embedding: Embedding
) -> None:
    rows = np.linspace(0, len(embedding.kept.rows) - 1, 11).astype(int)
    asked = torch.from_numpy(clicks(embedding, *rows))
    with torch.inference_mode():
        together = ask_around(model, embedding, asked, VOTES)
        alone = [ask_around(model, embedding, click[None], VOTES) for click in asked]
    for part in range(2):
        torch.testing.assert_close(
            together[part], torch.cat([answer[part] for answer in alone]), atol=2e-3, rtol=1e-3
        )


def test_more_votes_than_patches_ask_all_of_them(model: PointSAM) -> None:
    points = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    predictor = Predictor(model, replace(PUBLISHED, first_click_votes=64))
    (prediction,) = predictor.segment(predictor.embed(Cloud(points)), [Prompt(points[:1])])
    assert np.isfinite(prediction.logits).all() and np.isfinite(prediction.scores).all()


def test_without_votes_the_networks_own_masks_and_scores_come_back(
    model: PointSAM, embedding: Embedding
) -> None:
    point = embedding.kept.points[:1]
    (plain,) = Predictor(model, PUBLISHED).segment(embedding, [Prompt(point)])
    at = torch.from_numpy(embedding.normalise(point.astype(np.float64)))[None, None]
    with torch.inference_mode():
        logits, scores = model.decode(
            embedding.encoding, at, torch.ones(1, 1, 1, dtype=torch.int64), multimask=True
        )
    order = np.argsort(-scores[0, 0].numpy(), kind="stable")
    np.testing.assert_allclose(plain.logits, logits[0, 0].numpy()[order], atol=1e-5)
    np.testing.assert_allclose(plain.scores, scores[0, 0].numpy()[order], atol=1e-6)
