"""Looks: which part of a cloud a click is answered from."""

import numpy as np
import pytest
from published import PUBLISHED

from pointsam_model import Cloud, Follower, Predictor, PredictorConfig, Prompt, load_model
from pointsam_model.cloud.looks import MOST_LOOKS, OUTDOOR_LOOK_M, Looks, rounded, wide_enough
from pointsam_model.cloud.reduction import Ball
from pointsam_model.scenes import generate


@pytest.fixture(scope="module")
def predictor():
    return Predictor(load_model("tiny", device="cpu"))


@pytest.fixture(scope="module")
def street(predictor):
    (scene,) = generate("street", [5])
    return scene, predictor.embed(Cloud(scene.xyz))


def table_with_a_disc(diameter, height=0.0015, spacing=0.0012):
    """A table 0.7 m wide with a coloured disc on it, as a depth camera 0.7 m above sees it."""
    grid = np.arange(-0.35, 0.35, spacing)
    x, y = (axis.ravel() for axis in np.meshgrid(grid, grid))
    xyz = np.stack([x, y, np.full_like(x, 0.7)], 1)
    xyz[:, 2] += np.random.default_rng(0).normal(0, 0.0003, len(xyz))
    at = np.array([0.1, 0.05])
    disc = np.linalg.norm(xyz[:, :2] - at, axis=1) <= diameter / 2
    xyz[disc, 2] -= height
    rgb = np.where(disc[:, None], (200, 60, 50), (120, 130, 125)).astype(np.uint8)
    return xyz.astype(np.float32), rgb, disc, np.array([[*at, 0.7 - height]])


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("diameter", [0.004, 0.008])
def test_a_disc_of_some_millimetres_on_a_table_is_segmented(predictor, diameter):
    xyz, rgb, disc, click = table_with_a_disc(diameter)
    embedding = predictor.embed(Cloud(xyz, rgb))
    (prediction,) = predictor.segment(embedding, [Prompt(click)])
    assert prediction.embedding.region is not None
    assert prediction.masks.shape[1] == len(xyz)
    assert iou(prediction.masks[0], disc) >= 0.6


def test_a_small_scene_is_seen_as_a_whole(predictor):
    (scene,) = generate("tabletop", [3])
    embedding = predictor.embed(Cloud(scene.xyz, scene.rgb))
    row = int(np.flatnonzero(scene.instance == 1)[10])
    (prediction,) = predictor.segment(embedding, [Prompt(scene.xyz[row : row + 1])])
    assert prediction.embedding is embedding
    assert len(embedding.looks) == 0


def test_a_click_on_a_street_is_answered_from_its_surroundings(predictor, street):
    scene, embedding = street
    label = int(np.bincount(scene.instance[scene.instance > 0]).argmax())
    row = int(np.flatnonzero(scene.instance == label)[20])
    (prediction,) = predictor.segment(embedding, [Prompt(scene.xyz[row : row + 1])])
    ball = prediction.embedding.region
    assert ball is not None
    assert ball.radius >= OUTDOOR_LOOK_M
    assert ball.holds(scene.xyz[row : row + 1])[0]
    masks = prediction.masks
    assert masks.shape[1] == len(scene.xyz)
    outside = ~ball.holds(np.nan_to_num(scene.xyz, nan=1e6))
    assert not masks[:, outside].any()


def test_looks_are_shared_by_clicks_beside_each_other_and_kept(predictor, street):
    scene, embedding = street
    rows = np.flatnonzero(scene.instance == 1)[:2]
    (first,) = predictor.segment(embedding, [Prompt(scene.xyz[rows[:1]])])
    (again,) = predictor.segment(embedding, [Prompt(scene.xyz[rows[:1]])])
    assert again.embedding is first.embedding
    assert len(embedding.looks) <= MOST_LOOKS


def test_later_clicks_refine_in_the_look_and_move_to_a_wider_one_with_the_mask(predictor, street):
    scene, embedding = street
    row = int(np.flatnonzero(scene.instance == 1)[0])
    click = scene.xyz[row : row + 1].astype(np.float64)
    (first,) = predictor.segment(embedding, [Prompt(click)])
    beside = np.concatenate([click, click])
    (second,) = predictor.segment(embedding, [Prompt(beside, [1, 1], first.best())])
    assert second.embedding is first.embedding
    seen = scene.xyz[np.isfinite(scene.xyz[:, 0])]
    off = np.linalg.norm(seen - click, axis=1)
    radius = first.embedding.region.radius
    far = seen[(off > 1.2 * radius) & (off < 1.9 * radius)][:1].astype(np.float64)
    (wider,) = predictor.segment(
        embedding, [Prompt(np.concatenate([click, far]), [1, 0], first.best())]
    )
    region = wider.embedding.region
    assert region is None or region.radius > radius
    assert iou(wider.masks[0], first.masks[0]) > 0.3


def test_a_kept_mask_prompt_finds_its_look_again_when_the_cloud_is_embedded_anew(predictor, street):
    scene, embedding = street
    row = int(np.flatnonzero(scene.instance == 1)[0])
    click = scene.xyz[row : row + 1].astype(np.float64)
    (first,) = predictor.segment(embedding, [Prompt(click)])
    anew = predictor.embed(embedding.cloud)
    both = np.concatenate([click, click])
    (here,) = predictor.segment(embedding, [Prompt(both, [1, 1], first.prompt())])
    (there,) = predictor.segment(anew, [Prompt(both, [1, 1], first.prompt())])
    assert np.array_equal(here.masks, there.masks)


def test_predict_takes_logits_of_a_look_as_mask_input(street):
    scene, _ = street
    predictor = Predictor(load_model("tiny", device="cpu"))
    predictor.set_cloud(scene.xyz)
    row = int(np.flatnonzero(scene.instance == 1)[0])
    click = scene.xyz[row : row + 1]
    _masks, scores, logits = predictor.predict(click)
    again, _, _ = predictor.predict(
        np.concatenate([click, click]), [1, 1], logits[:1], multimask_output=False
    )
    assert again.shape == (1, len(scene.xyz))
    assert scores[0] == scores.max()


def test_whole_and_no_geometry_is_the_published_way(predictor, street):
    scene, _ = street
    published = Predictor(predictor.model, PUBLISHED)
    embedding = published.embed(Cloud(scene.xyz))
    row = int(np.flatnonzero(scene.instance == 1)[0])
    (prediction,) = published.segment(embedding, [Prompt(scene.xyz[row : row + 1])])
    assert prediction.embedding is embedding
    assert len(prediction) == 3


def test_a_ball_grows_until_it_holds_the_clicks_and_enough_points(street):
    _, embedding = street
    middle = embedding.kept.points.astype(np.float64).mean(0)
    ball = wide_enough(embedding, Ball(tuple(middle), 0.01), [middle])
    assert ball is None or embedding.points_within(ball) >= 400
    far = embedding.kept.points[0].astype(np.float64)
    wide = wide_enough(embedding, Ball(tuple(middle), 1.0), [middle, far])
    assert wide is None or wide.holds(far[None])[0]


def test_balls_about_near_points_are_the_same(street):
    _, embedding = street
    one, other = embedding.center + np.array([[1.001, 2, 3], [1.1, 2.05, 3]])
    assert rounded(embedding, one, 8.0) == rounded(embedding, other, 8.0)


def clicks_on(scene, count):
    """(count,3), a point of each of the objects with the most points."""
    sizes = np.bincount(scene.instance[scene.instance > 0])
    largest = np.argsort(-sizes)[:count]
    return np.stack([scene.xyz[np.flatnonzero(scene.instance == each)[20]] for each in largest])


def test_objects_of_one_request_are_answered_from_looks_of_their_own(predictor, street):
    scene, embedding = street
    clicks = clicks_on(scene, 3).astype(np.float64)
    prompts = [Prompt(click[None]) for click in clicks]
    together = predictor.segment(embedding, prompts)
    assert len({each.embedding.region for each in together}) > 1
    for prompt, answer in zip(prompts, together, strict=True):
        (alone,) = predictor.segment(embedding, [prompt])
        assert alone.embedding is answer.embedding
        assert np.array_equal(alone.masks, answer.masks)
        np.testing.assert_allclose(alone.scores, answer.scores, atol=1e-4)


def test_a_street_far_from_its_frames_origin_gives_the_masks_of_the_street_at_home(
    predictor, street
):
    scene, embedding = street
    away = np.array([5.5e5, 5.2e6, 300.0])
    far = predictor.embed(Cloud(scene.xyz.astype(np.float64) + away, viewpoint=away))
    for click in clicks_on(scene, 2).astype(np.float64):
        (here,) = predictor.segment(embedding, [Prompt(click[None])])
        (there,) = predictor.segment(far, [Prompt(click[None] + away)])
        assert there.embedding.region.radius == here.embedding.region.radius
        assert iou(here.masks[0], there.masks[0]) > 0.99
        np.testing.assert_allclose(here.scores[0], there.scores[0], atol=0.01)


def test_an_object_that_was_clicked_in_a_look_is_followed_in_looks(predictor, street):
    scene, embedding = street
    (click,) = clicks_on(scene, 1).astype(np.float64)
    (prompted,) = predictor.segment(embedding, [Prompt(click[None])])
    follower = Follower(prompted, 0.0)
    moved = np.array([0.2, 0.1, 0.0], np.float32)  # the sensor's frame
    pose = np.eye(4)
    pose[:3, 3] = -moved
    later = predictor.embed(Cloud(scene.xyz + moved))
    prompt = follower.prompt(later, 0.1, pose)
    assert prompt.mask.region.radius == prompted.embedding.region.radius
    (answer,) = predictor.segment(later, [prompt])
    assert answer.embedding.region == prompt.mask.region
    found = follower.see(answer, 0.1, pose)
    assert found is not None
    again = np.zeros(len(scene.xyz), bool)
    again[found.indices] = True
    assert iou(again, prompted.masks[0]) > 0.7
    whole = Predictor(predictor.model, PredictorConfig(looks="whole"))
    (answer,) = whole.segment(embedding, [Prompt(click[None])])
    prompt = Follower(answer, 0.0).prompt(later, 0.1, pose)
    assert prompt is None or len(prompt.mask) == len(later.kept), "as it was prompted"


def test_the_least_recently_used_looks_are_dropped():
    looks: Looks[str] = Looks()
    balls = [Ball((float(number), 0.0, 0.0), 1.0) for number in range(MOST_LOOKS + 1)]
    for ball in balls[:-1]:
        looks.get(ball, lambda: "made")
    looks.get(balls[0], lambda: "made anew")
    looks.get(balls[-1], lambda: "made")
    assert len(looks) == MOST_LOOKS
    assert looks.get(balls[0], lambda: "made anew") == "made"
    assert looks.get(balls[1], lambda: "made anew") == "made anew"
