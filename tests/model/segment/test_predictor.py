"""The predictor on the fixtures' small network: what it answers and what it refuses."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from places import TINY as FOLDER
from published import PUBLISHED

from pointsam_model import (
    Cloud,
    CloudError,
    Embedding,
    Prediction,
    Predictor,
    PredictorConfig,
    Prompt,
    PromptError,
    ReductionConfig,
    TooFarError,
    load_model,
)
from pointsam_model.nn import PointSAM


def recorded(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


@pytest.fixture(scope="module")
def model() -> PointSAM:
    return load_model(str(FOLDER / "config.json"), FOLDER / "weights.safetensors", device="cpu")


@pytest.fixture(scope="module")
def predictor(model: PointSAM) -> Predictor:
    return Predictor(model)


@pytest.fixture(scope="module")
def published(model: PointSAM) -> Predictor:
    """The network alone."""
    return Predictor(model, PUBLISHED)


@pytest.fixture(scope="module")
def xyz() -> np.ndarray:
    return recorded("raw_input")["raw_xyz"]


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    return recorded("raw_input")["raw_rgb"]


@pytest.fixture(scope="module")
def embedding(predictor: Predictor, xyz: np.ndarray, rgb: np.ndarray) -> Embedding:
    return predictor.embed(Cloud(xyz, rgb))


def test_a_small_cloud_is_kept_whole_and_its_logits_are_the_published_ones(
    published: Predictor, embedding: Embedding, xyz: np.ndarray
) -> None:
    data = recorded("rollout")
    assert np.array_equal(embedding.kept.rows, np.arange(len(xyz)))
    clicks = data["prompt_idx"][:, 0]
    predictions = published.segment(embedding, [Prompt(xyz[[row]]) for row in clicks])
    for answer, logits, scores in zip(
        predictions, data["it0_masks"], data["it0_iou_preds"], strict=True
    ):
        order = np.argsort(-scores)
        np.testing.assert_allclose(answer.logits, logits[order], atol=1e-4)
        np.testing.assert_allclose(answer.scores, scores[order], atol=1e-4)
        assert np.array_equal(answer.masks, answer.logits > 0)


def test_refining_clicks_use_the_mask_of_the_click_before(
    published: Predictor, embedding: Embedding, xyz: np.ndarray
) -> None:
    data = recorded("rollout")
    rows, labels = data["prompt_idx"], data["prompt_labels"].astype(int)
    answers = published.segment(embedding, [Prompt(xyz[row[:1]]) for row in rows])
    for step in range(1, 5):
        answers = published.segment(
            embedding,
            [
                Prompt(xyz[row[: step + 1]], label[: step + 1], answer.best())
                for row, label, answer in zip(rows, labels, answers, strict=True)
            ],
        )
        for answer, logits in zip(answers, data[f"it{step}_masks"], strict=True):
            np.testing.assert_allclose(answer.logits, logits, atol=1e-4)


@pytest.fixture(params=["as users run it", "the network alone"])
def either_way(
    request: pytest.FixtureRequest, predictor: Predictor, published: Predictor
) -> Predictor:
    return predictor if request.param == "as users run it" else published


def check_same(way: Predictor, answer: Prediction, alone: Prediction) -> None:
    """Answers that differ by no more than batches of other sizes round otherwise."""
    np.testing.assert_array_equal(answer.masks, alone.masks)
    np.testing.assert_allclose(answer.scores, alone.scores, atol=1e-4)
    # A walker's logit is the logarithm of what its probability lacks to 1, in few digits.
    share = 1e-4 if way.config.geometry else 1e-7
    np.testing.assert_allclose(answer.logits, alone.logits, atol=1e-4, rtol=share)


def test_objects_of_unequal_clicks_decode_together_as_one_by_one(
    either_way: Predictor, embedding: Embedding, xyz: np.ndarray
) -> None:
    first = either_way.segment(embedding, [Prompt(xyz[[7]])])[0].best()
    prompts = [
        Prompt(xyz[[7]], multimask=False),
        Prompt(xyz[[100, 900, 30]], [1, 0, 1]),
        Prompt(xyz[[100, 900]], [1, 0], first),
        Prompt(xyz[[5, 6, 7, 8, 9]], [0, 1, 1, 0, 1], first),
        Prompt(xyz[[44]]),
    ]
    together = either_way.segment(embedding, prompts)
    for prompt, answer in zip(prompts, together, strict=True):
        (alone,) = either_way.segment(embedding, [prompt])
        check_same(either_way, answer, alone)


def test_more_objects_than_one_batch_holds_keep_their_order(
    either_way: Predictor, embedding: Embedding, xyz: np.ndarray
) -> None:
    rows = np.arange(0, 2000, 50)
    answers = either_way.segment(embedding, [Prompt(xyz[[row]]) for row in rows])
    assert len(answers) == len(rows) == 40
    (last,) = either_way.segment(embedding, [Prompt(xyz[[rows[-1]]])])
    check_same(either_way, answers[-1], last)


def test_a_single_click_gives_up_to_three_masks_best_first_and_more_clicks_one(
    either_way: Predictor, embedding: Embedding, xyz: np.ndarray
) -> None:
    one, two = either_way.segment(embedding, [Prompt(xyz[[3]]), Prompt(xyz[[3, 4]])])
    assert one.masks.shape == (len(one), len(xyz)) and two.masks.shape == (1, len(xyz))
    assert (np.diff(one.scores) <= 0).all()
    assert one.best().scores[0] == one.scores.max()
    if either_way.config.geometry:
        assert 1 <= len(one) <= 3
        for a, b in combinations(one.masks, 2):
            assert (a & b).sum() / (a | b).sum() < 0.8, "the same mask twice"
    else:
        assert len(one) == 3


def test_several_clicks_without_a_mask_start_from_the_first_clicks_best_mask(
    model: PointSAM, published: Predictor, embedding: Embedding, xyz: np.ndarray
) -> None:
    prompt = Prompt(xyz[[9, 10, 700]], [0, 1, 1])
    first = published.segment(embedding, [Prompt(xyz[[10]])])[0].best()
    (told,) = published.segment(embedding, [Prompt(prompt.points, prompt.labels, first)])
    (answer,) = published.segment(embedding, [prompt])
    np.testing.assert_allclose(answer.logits, told.logits, atol=1e-4)
    plain = Predictor(model, replace(PUBLISHED, first_click_mask=False))
    (other,) = plain.segment(embedding, [prompt])
    assert np.abs(other.logits - answer.logits).max() > 1e-2


def test_masks_cover_dropped_points_but_never_invalid_or_cropped_ones(
    model: PointSAM, xyz: np.ndarray, rgb: np.ndarray
) -> None:
    source = np.concatenate([xyz, xyz + 1e-3, np.full((5, 3), np.nan), np.zeros((4, 3)), xyz[:9]])
    source[-1, 2] = np.inf
    colours = np.concatenate([rgb, rgb, np.zeros((9, 3), np.uint8), rgb[:9]])
    low = float(np.quantile(xyz[:, 0], 0.2))
    predictor = Predictor(
        model,
        reduction=ReductionConfig(max_points=500, crop_min_m=(low, -99.0, -99.0)),
    )
    embedding = predictor.embed(Cloud(source, colours))
    assert len(embedding.kept.rows) == 500
    clicked = int(embedding.kept.rows[3])
    (answer,) = predictor.segment(embedding, [Prompt(source[[clicked]])])
    assert answer.masks.shape == (len(answer), len(source))
    usable = np.isfinite(source).all(1) & source.any(1) & (source[:, 0] >= low)
    assert not answer.masks[:, ~usable].any()
    for row in np.flatnonzero(usable)[::97]:
        nearest = np.linalg.norm(source[embedding.kept.rows] - source[row], axis=1)
        kept = embedding.kept.nearest[row]
        assert nearest[kept] <= nearest.min() + 1e-6
        assert np.array_equal(answer.masks[:, row], answer.logits[:, kept] > 0)


def test_stability_counts_source_points(
    predictor: Predictor, embedding: Embedding, xyz: np.ndarray
) -> None:
    (answer,) = predictor.segment(embedding, [Prompt(xyz[[11]])])
    for logits, stability in zip(answer.logits, answer.stability, strict=True):
        outer = max((logits > -1).sum(), 1)
        assert stability == pytest.approx((logits > 1).sum() / outer)


def test_coordinates_of_half_a_million_metres_give_the_masks_of_the_same_cloud_at_home(
    predictor: Predictor,
    published: Predictor,
    embedding: Embedding,
    xyz: np.ndarray,
    rgb: np.ndarray,
) -> None:
    away = np.array([5.5e5, 5.2e6, 300.0])
    far = predictor.embed(Cloud(xyz.astype(np.float64) + away, rgb, viewpoint=away))
    assert embedding.cloud.sensor is not None, "else the two know different things"
    for way in (predictor, published):
        (answer,) = way.segment(far, [Prompt(xyz[[42]].astype(np.float64) + away)])
        (expected,) = way.segment(embedding, [Prompt(xyz[[42]])])
        np.testing.assert_allclose(answer.logits, expected.logits, atol=1e-3)


def test_one_embedding_serves_many_threads(
    predictor: Predictor, embedding: Embedding, xyz: np.ndarray
) -> None:
    def ask(row: int) -> np.ndarray:
        return predictor.segment(embedding, [Prompt(xyz[[row]])])[0].logits

    expected = [ask(row) for row in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for logits, single in zip(pool.map(ask, range(8)), expected, strict=True):
            np.testing.assert_allclose(logits, single, atol=1e-5)


def test_the_sugar_answers_like_sam(
    either_way: Predictor, xyz: np.ndarray, rgb: np.ndarray
) -> None:
    either_way.set_cloud(xyz, rgb)
    masks, scores, logits = either_way.predict(xyz[[3]], [1])
    count = len(masks)
    assert count == 3 or (count < 3 and either_way.config.geometry)
    assert masks.shape == (count, len(xyz)) and masks.dtype == bool
    assert scores.shape == (count,) and logits.shape == (count, len(xyz))
    masks, _, _ = either_way.predict(xyz[[3, 9]], [1, 0], logits[:1], multimask_output=False)
    assert masks.shape == (1, len(xyz))
    with pytest.raises(PromptError, match="earlier prediction"):
        either_way.predict(xyz[[3]], [1], logits[0, :-1])


def test_predict_before_set_cloud_says_what_to_call(model: PointSAM, xyz: np.ndarray) -> None:
    with pytest.raises(PromptError, match="set_cloud"):
        Predictor(model).predict(xyz[[0]])


def test_a_cloud_without_colour_is_mid_grey(predictor: Predictor, xyz: np.ndarray) -> None:
    grey = predictor.embed(Cloud(xyz))
    (answer,) = predictor.segment(grey, [Prompt(xyz[[1]])])
    assert np.isfinite(answer.logits).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_answers_nearly_the_same(
    dtype: str, embedding: Embedding, predictor: Predictor, xyz: np.ndarray, rgb: np.ndarray
) -> None:
    half = Predictor(
        load_model(
            str(FOLDER / "config.json"), FOLDER / "weights.safetensors", device="cpu", dtype=dtype
        )
    )
    (answer,) = half.segment(half.embed(Cloud(xyz, rgb)), [Prompt(xyz[[42]])])
    (expected,) = predictor.segment(embedding, [Prompt(xyz[[42]])])
    assert abs(answer.scores.max() - expected.scores.max()) < 0.1
    assert np.isfinite(answer.logits).all()


@pytest.mark.parametrize(
    ("points", "labels", "message"),
    [
        (np.zeros((0, 3)), None, "no click is on the object"),
        (np.zeros(3), None, r"\(q, 3\)"),
        (np.zeros((2, 2)), None, r"\(q, 3\)"),
        ([["a", "b", "c"]], None, "numbers"),
        ([[np.nan, 0, 0]], None, "finite"),
        ([[0.0, 0.0, 0.0]], [2], "1 .* or 0"),
        ([[0.0, 0.0, 0.0]], [1, 1], r"\(1,\)"),
        ([[0.0, 0.0, 0.0]], [0], "no click is on the object"),
        ([[1e4, 0.0, 0.0]], [1], "outside the cloud"),
    ],
)
def test_a_malformed_prompt_is_refused_with_what_is_right(
    predictor: Predictor, embedding: Embedding, points: object, labels: object, message: str
) -> None:
    with pytest.raises(PromptError, match=message):
        predictor.segment(embedding, [Prompt(points, labels)])  # type: ignore[arg-type]


def test_the_object_at_fault_is_named(
    predictor: Predictor, embedding: Embedding, xyz: np.ndarray
) -> None:
    with pytest.raises(PromptError, match=r"^prompt 2: a label is 7"):
        predictor.segment(embedding, [Prompt(xyz[[0]]), Prompt(xyz[[0]], [7])])
    with pytest.raises(PromptError, match=r"^prompt 1: a label is 7"):
        predictor.segment(embedding, [Prompt(xyz[[0]], [7]), Prompt(xyz[[0]])])
    with pytest.raises(PromptError, match=r"^the cup: a label is 7"):
        predictor.segment(embedding, [Prompt(xyz[[0]], [7], name="the cup"), Prompt(xyz[[0]])])
    with pytest.raises(PromptError, match=r"^a label is 7"):
        predictor.segment(embedding, [Prompt(xyz[[0]], [7])])


def test_logits_of_another_cloud_are_refused(
    predictor: Predictor, embedding: Embedding, xyz: np.ndarray
) -> None:
    other = predictor.embed(Cloud(xyz + 1.0))
    (answer,) = predictor.segment(other, [Prompt(xyz[[0]] + 1.0)])
    with pytest.raises(PromptError, match="another cloud"):
        predictor.segment(embedding, [Prompt(xyz[[0]], mask=answer.best())])
    with pytest.raises(PromptError, match="choose one"):
        predictor.segment(other, [Prompt(xyz[[0]] + 1.0, mask=answer)])
    with pytest.raises(PromptError, match="not finite"):
        predictor.segment(other, [Prompt(xyz[[0]] + 1.0, mask=np.full(len(xyz), np.nan))])


@pytest.mark.parametrize(
    "cloud",
    [
        np.zeros((0, 3), np.float32),
        np.full((5, 3), np.nan, np.float32),
        np.ones((50, 3), np.float32),
    ],
    ids=["empty", "nothing finite", "one place"],
)
def test_a_cloud_that_cannot_be_segmented_is_refused(
    predictor: Predictor, cloud: np.ndarray
) -> None:
    with pytest.raises(CloudError):
        predictor.embed(Cloud(cloud))


def test_a_click_snaps_to_the_nearest_point_and_is_refused_far_from_all(
    embedding: Embedding, xyz: np.ndarray
) -> None:
    near = xyz[[12]] + 1e-4
    np.testing.assert_allclose(embedding.snap(near), xyz[[12]], atol=1e-3)
    with pytest.raises(TooFarError, match=r"click 2 .* from the nearest point"):
        embedding.snap(np.concatenate([near, xyz[[12]] + 50.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of numbers that overflow
        with pytest.raises(TooFarError, match=r"click 1 at \(1e\+300, 0\.000, 0\.000\) m"):
            embedding.snap(np.array([[1e300, 0, 0]]))
    for nowhere in (np.nan, np.inf):
        with pytest.raises(PromptError, match=r"click 2 .* must be finite"):
            embedding.snap(np.concatenate([near, [[0, nowhere, 0]]]))


def test_more_patches_than_points_are_as_many_as_there_are(model: PointSAM) -> None:
    predictor = Predictor(model, PredictorConfig(num_patches=1000, patch_size=1000))
    points = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    embedding = predictor.embed(Cloud(points))
    assert embedding.encoding.patches.groups.shape == (1, 40, 40)
    (answer,) = predictor.segment(embedding, [Prompt(points[[0]])])
    assert np.isfinite(answer.logits).all()


def test_colours_count_as_much_as_the_config_says() -> None:
    rng = np.random.default_rng(4)
    points = rng.normal(size=(300, 3)).astype(np.float32)
    colors = rng.integers(0, 256, (300, 3)).astype(np.uint8)
    gray = np.full((300, 3), 127.5).astype(np.float32)
    halved = np.round(gray + (colors - gray) / 2).astype(np.uint8)

    def tokens(gain: float, rgb: np.ndarray) -> torch.Tensor:
        model = load_model("tiny", device="cpu")
        model.pc_encoder.color_gain = gain
        return Predictor(model).embed(Cloud(points, rgb)).encoding.embedding

    torch.testing.assert_close(tokens(0.5, colors), tokens(1.0, halved), atol=0.05, rtol=0.05)
    torch.testing.assert_close(
        tokens(0.0, colors), tokens(1.0, gray.astype(np.uint8)), atol=0.05, rtol=0.05
    )
    assert not torch.allclose(tokens(1.0, colors), tokens(1.0, halved), atol=0.05, rtol=0.05)


def test_embedding_tells_of_its_stages_in_their_order(
    predictor: Predictor, xyz: np.ndarray
) -> None:
    stages: list[str] = []
    predictor.embed(Cloud(xyz), stages.append)
    assert stages == ["reduce", "encode"]
    stages.clear()
    with pytest.raises(CloudError):
        predictor.embed(Cloud(np.ones((9, 3), np.float32)), stages.append)
    assert stages == [], "a cloud that cannot be reduced reaches nothing"
