"""Every choice of a training config does what it says; the paper's recipe among them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_runs import run_from_nothing

from pointsam_model import ConfigError
from pointsam_model.data.clouds import LabelledCloud
from pointsam_model.nn import PointSAM
from pointsam_model.training import TrainingConfig, train
from pointsam_model.training.augmentation import coloured, moved, shown_points
from pointsam_model.training.batches import Batch
from pointsam_model.training.clicks import Clicks, DeviceClicks
from pointsam_model.training.config import Stage
from pointsam_model.training.losses import dice_loss, focal_loss, iteration_loss
from pointsam_model.training.masks import Masks
from pointsam_model.training.pool import Pool
from pointsam_model.training.rollout import chosen_mask, rollout
from pointsam_model.training.state import TrainingState
from pointsam_model.training.step import encode, learn

PUBLISHED = Path("config/training/large_published.yaml")
STAGE = Stage(3, 256, 32, 8, 2, 2, 3, 1e-3)


@pytest.fixture
def config(pool: Path, tmp_path: Path) -> TrainingConfig:
    return run_from_nothing(pool, tmp_path / "run", STAGE, warmup_steps=2)


def test_published_steps_of_the_learning_rate() -> None:
    config = TrainingConfig.read(PUBLISHED)
    rates = {step: config.stage_at(step)[1] for step in (0, 1499, 2999, 29_999, 30_000, 45_000)}
    assert rates[0] == pytest.approx(5e-5 / 3000) and rates[1499] == pytest.approx(2.5e-5)
    assert rates[2999] == rates[29_999] == pytest.approx(5e-5)
    assert rates[30_000] == pytest.approx(5e-6) and rates[45_000] == pytest.approx(5e-7)


def test_a_final_rate_is_reached_in_a_straight_line() -> None:
    stage = dataclasses.replace(STAGE, learning_rate=1.0, final_learning_rate=0.5)
    assert [stage.rate_at(part) for part in (0, 0.5, 1)] == [1.0, 0.75, 0.5]


def test_the_published_recipe_shows_128_clouds_and_7_iterations_a_step() -> None:
    (stage,) = TrainingConfig.read(PUBLISHED).stages
    assert stage.clouds * stage.accumulate == 128
    assert 1 + stage.refinements == 7 and not stage.draw_refinements


def losses(config: TrainingConfig) -> Iterator[tuple[torch.Tensor, ...]]:
    """Of a first click and of a later one: loss, mask losses, predicted and true IoUs."""
    torch.manual_seed(3)
    truth = torch.rand(2, 2, 1, 60) > 0.5
    for count in (3, 1):
        logits, predicted = torch.randn(2, 2, count, 60), torch.rand(2, 2, count)
        masks = Masks(logits, predicted, truth, torch.ones(2, 1, 1, 60))
        loss, ious = iteration_loss(masks, config)
        mask_loss = config.focal * focal_loss(logits, truth) + config.dice * dice_loss(
            logits, truth
        )
        yield loss, mask_loss, predicted, ious


def test_published_only_the_best_mask_of_the_first_click_and_its_iou_learn() -> None:
    for loss, mask_loss, predicted, ious in losses(TrainingConfig.read(PUBLISHED)):
        best = mask_loss.argmin(-1, keepdim=True)
        error = (predicted - ious).take_along_dim(best, -1)
        torch.testing.assert_close(loss, mask_loss.amin(-1).mean() + (error**2).mean())


def test_beside_the_best_the_chosen_mask_the_others_and_all_ious_learn(
    config: TrainingConfig,
) -> None:
    loss, mask_loss, predicted, ious = next(losses(config))
    chosen = mask_loss.take_along_dim(predicted.argmax(-1, keepdim=True), -1).mean()
    expected = mask_loss.amin(-1).mean() + chosen + 0.05 * mask_loss.mean()
    torch.testing.assert_close(loss, expected + 4 * ((predicted - ious) ** 2).mean())


def clicks_seen(network: PointSAM, batch: Batch, config: TrainingConfig, **options: Any) -> list:
    """(clicks, mask prompt) of each decoding of a rollout, and the chosen masks."""
    seen: list[tuple[int, torch.Tensor | None]] = []
    chosen: list[torch.Tensor] = []
    answer = network.answer

    def watched(encoding: Any, clicks: torch.Tensor, *rest: Any, **more: Any) -> Any:
        seen.append((clicks.shape[2], more["mask_logits"]))
        return answer(encoding, clicks, *rest, **more)

    network.answer = watched  # type: ignore[method-assign]
    choices = with_choices(config, center_clicks=1.0, **options)
    with torch.no_grad():
        encoding = encode(network, batch, STAGE, config)
        for masks in rollout(network, encoding, batch, 7, np.random.default_rng(1), choices):
            chosen.append(chosen_mask(masks.logits, masks.predicted))
    return [(*one, mask) for one, mask in zip(seen, chosen, strict=True)]


def test_each_iteration_gives_a_click_and_the_mask_of_highest_predicted_iou(
    network: PointSAM, batch: Batch, config: TrainingConfig
) -> None:
    seen = clicks_seen(network, batch, config)
    assert [clicks for clicks, _, _ in seen] == [1, 2, 3, 4, 5, 6, 7]
    assert seen[0][1] is None
    for (_, _, chosen), (_, prompt, _) in pairwise(seen):
        assert prompt is not None and torch.equal(prompt, chosen) and not prompt.requires_grad


def test_published_one_iteration_and_the_last_bring_no_new_click(
    network: PointSAM, batch: Batch, config: TrainingConfig
) -> None:
    counts = [clicks for clicks, _, _ in clicks_seen(network, batch, config, repeats=True)]
    assert counts[-1] == counts[-2] and len(set(counts[:-1])) == 5 and counts[0] == 1


def objects_decoded(network: PointSAM) -> list[int]:
    """Grows by the number of a cloud's objects at every decoding."""
    counts: list[int] = []
    answer = network.answer

    def watched(encoding: Any, clicks: torch.Tensor, *rest: Any, **more: Any) -> Any:
        counts.append(clicks.shape[1])
        return answer(encoding, clicks, *rest, **more)

    network.answer = watched  # type: ignore[method-assign]
    return counts


@pytest.mark.parametrize("drawn", [True, False])
def test_refinements_are_drawn_or_fixed(
    network: PointSAM, batch: Batch, config: TrainingConfig, drawn: bool
) -> None:
    stage = dataclasses.replace(STAGE, draw_refinements=drawn)
    decodings = objects_decoded(network)
    counts = set()
    for seed in range(14):
        decodings.clear()
        learn(network, batch, stage, config, np.random.default_rng(seed))
        counts.add(len(decodings))
    assert counts == ({2, 3, 4} if drawn else {4})


def test_few_batches_and_objects_go_on_after_the_first_click(
    network: PointSAM, batch: Batch, config: TrainingConfig
) -> None:
    objects = objects_decoded(network)
    choices = with_choices(config, refine_share=0.5, refine_masks=1)
    kinds = []
    for seed in range(12):
        objects.clear()
        report = learn(network, batch, STAGE, choices, np.random.default_rng(seed))
        assert objects[0] == 2 and set(objects[1:]) <= {1}
        assert len(objects) > 1 or report.last == report.chosen
        kinds.append(len(objects) > 1)
    assert 0 < sum(kinds) < 12


def test_accumulated_gradients_are_the_mean_of_the_batches(
    network: PointSAM, batch: Batch, config: TrainingConfig
) -> None:
    gradients = []
    for accumulate in (1, 2):
        network.zero_grad()
        stage = dataclasses.replace(STAGE, accumulate=accumulate)
        for _ in range(accumulate):
            learn(network, batch, stage, config, np.random.default_rng(5))
        gradients.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    for once, twice in zip(*gradients, strict=True):
        torch.testing.assert_close(once, twice, atol=1e-5, rtol=1e-4)


def test_gradients_are_clipped_and_matrices_alone_decay(
    network: PointSAM, batch: Batch, config: TrainingConfig, tmp_path: Path
) -> None:
    choices = with_choices(config, clip_norm=0.0, weight_decay=0.5)
    state = TrainingState.resume(network, choices, tmp_path / "state.safetensors")
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    learn(network, batch, STAGE, choices, np.random.default_rng(0))
    state.update(0.1)
    for name, value in network.named_parameters():
        learned = before[name] * (0.95 if value.ndim > 1 else 1.0)
        torch.testing.assert_close(value.detach(), learned, msg=name)


def scene(colored: bool = True, up: tuple[float, float, float] = (0.6, 0, 0.8)) -> LabelledCloud:
    """An object about (1, 0, 0) before a wide background; the colours are all one."""
    rng = np.random.default_rng(0)
    xyz = np.concatenate([rng.normal((1, 0, 0), 0.05, (60, 3)), rng.uniform(-3, 3, (900, 3))])
    labels = np.repeat([1, 0], [60, 900])
    rgb = np.full((960, 3), 200, np.uint8) if colored else None
    points = xyz.astype(np.float32)
    return LabelledCloud(points, rgb, 1, 960, "made", instance=labels, up=np.array(up))


@pytest.mark.parametrize("seed", range(4))
def test_clicks_made_on_the_device_are_those_made_by_trees(batch: Batch, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counted = rng.random(batch.counted.shape) > 0.1
    arrays = batch.coords, batch.truth, counted
    trees = Clicks(*arrays, rng, 1.0)
    device = DeviceClicks(*map(torch.from_numpy, arrays), rng, 1.0)
    assert torch.equal(device.first(), trees.first())
    for share in (0.05, 0.5):
        predicted = torch.from_numpy(batch.truth ^ (rng.random(batch.truth.shape) < share))
        for some in (predicted, predicted[:, :1]):
            for ours, theirs in zip(device.next(some), trees.next(some), strict=True):
                assert torch.equal(ours, theirs)


@pytest.mark.parametrize("clicker", [Clicks, DeviceClicks])
def test_clicks_lie_in_their_region_whatever_it_is(batch: Batch, clicker: Any) -> None:
    """Masks that are right, wrong everywhere, empty or full; objects that are all of a cloud."""
    truth = batch.truth.copy()
    truth[0, 0] = True
    counted = batch.counted
    arrays = [batch.coords, truth, counted]
    if clicker is DeviceClicks:
        arrays = [torch.from_numpy(array) for array in arrays]
    for centered in (0.0, 1.0):
        clicks = clicker(*arrays, np.random.default_rng(0), centered)
        known = torch.from_numpy(truth & counted[:, None])
        assert known.gather(-1, clicks.first()[..., None]).all()
        for predicted in (known, ~known, torch.zeros_like(known), torch.ones_like(known)):
            rows, labels = clicks.next(predicted)
            assert torch.equal(known.gather(-1, rows[..., None])[..., 0], labels == 1)


def with_choices(config: TrainingConfig, **choices: Any) -> TrainingConfig:
    return dataclasses.replace(config, **choices)


def test_published_clouds_stand_on_y_and_are_never_mirrored(config: TrainingConfig) -> None:
    published = TrainingConfig.read(PUBLISHED)
    made = scene()
    triple = np.array([made.up, [0, 1, 0], np.cross(made.up, [0, 1, 0])], np.float32)
    for seed in range(20):
        _, y, _ = np.eye(3)
        cloud = np.concatenate([made.xyz - made.xyz.mean(0), triple * 1e-3, -triple * 1e-3])
        turned = moved(cloud, made.up, published, np.random.default_rng(seed))
        up, side, front = turned[-6:-3] - turned[-3:]
        assert up @ y > 0.9 * np.linalg.norm(up), "up is y, but for the published tilt"
        assert np.linalg.det([up, side, front]) > 0
        assert 0.8 <= np.linalg.norm(turned, axis=1).max() <= 1 + 1e-6


def test_clouds_are_mirrored_and_stand_on_z_where_the_config_says_so(
    config: TrainingConfig,
) -> None:
    choices = with_choices(config, mirror=1.0, upright=1.0, y_up=0.0)
    made = scene()
    frame = np.array([made.up, [0, 1, 0], np.cross(made.up, [0, 1, 0])], np.float32)
    cloud = np.concatenate([made.xyz, frame, -frame])
    for seed in range(10):
        turned = moved(cloud, made.up, choices, np.random.default_rng(seed))
        axes = turned[-6:-3] - turned[-3:]
        assert axes[0, 2] > 0.9 * np.linalg.norm(axes[0])
        assert np.linalg.det(axes) < 0


def test_clouds_whose_up_is_not_known_stay_about_as_the_sensor_saw_them(
    config: TrainingConfig,
) -> None:
    choices = with_choices(config, upright=1.0, mirror=0.0)
    for seed in range(10):
        cloud = np.concatenate([scene().xyz, [[0, 0, 1], [0, 0, -1]]]).astype(np.float32)
        turned = moved(cloud, None, choices, np.random.default_rng(seed))
        forward = turned[-2] - turned[-1]
        assert forward[2] > 0.9 * np.linalg.norm(forward)


def test_clouds_without_colour_are_mid_grey(config: TrainingConfig) -> None:
    rows, rng = np.arange(10), np.random.default_rng(0)
    in_colour = with_choices(config, no_colour=0.0)
    assert (coloured(scene(), rows, in_colour, rng) != 0).any()
    assert (coloured(scene(colored=False), rows, in_colour, rng) == 0).all()
    assert (coloured(scene(), rows, with_choices(config, no_colour=1.0), rng) == 0).all()


def test_crops_hold_the_object_or_a_part_and_repeat_points_to_fill(config: TrainingConfig) -> None:
    made, cropped = scene(), with_choices(config, crops=1.0)
    for seed in range(10):
        rows = shown_points(made, 256, 32, cropped, np.random.default_rng(seed))
        assert len(rows) == 256 and set(range(60)) <= set(rows.tolist())
        shown = made.xyz[rows]
        assert np.linalg.norm(shown - shown.mean(0), axis=1).max() < 2.5
    whole = shown_points(made, 960, 32, with_choices(config, crops=0.0), np.random.default_rng(0))
    assert sorted(whole) == list(range(960))


def test_a_crop_of_too_few_points_is_not_made(config: TrainingConfig) -> None:
    rows = shown_points(
        scene(), 960, 900, with_choices(config, crops=1.0), np.random.default_rng(0)
    )
    assert sorted(rows) == list(range(960))


def test_a_run_in_bfloat16_learns_in_float32(config: TrainingConfig) -> None:
    network = train(with_choices(config, bfloat16=True))
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


def test_a_cloud_learns_where_labels_are_known_alone(
    network: PointSAM, batch: Batch, config: TrainingConfig
) -> None:
    """Whatever the truth says of points that do not count, the gradients are the same."""
    counted = np.random.default_rng(0).random(batch.counted.shape) > 0.3
    other = batch.truth ^ ~counted[:, None]
    gradients = []
    for truth in (batch.truth, other):
        network.zero_grad()
        changed = dataclasses.replace(batch, truth=truth, counted=counted)
        learn(network, changed, STAGE, config, np.random.default_rng(2))
        gradients.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


@pytest.mark.parametrize("kind", ["tabletop", "room"])
def test_validation_looks_at_generated_scenes_that_no_pool_holds(
    config: TrainingConfig, kind: str
) -> None:
    choices = {"validate_every": 2, "validation_scenes": 2, "validation_kind": kind}
    train(with_choices(config, **choices))
    output = Path(config.output)
    held_out, learned = Pool(output / "validation"), Pool(config.pool)
    assert len(held_out) == 2
    for row in range(len(learned)):
        assert not np.array_equal(held_out[0].xyz, learned[row].xyz)
    lines = (output / "validation.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["steps", "2", "3"]
    ious = np.array([line.split(",")[2:5] for line in lines[1:]], float)
    assert (ious >= 0).all() and (ious <= 1).all() and (ious[:, 1] >= ious[:, 0]).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"crops": 1.5}, "crops is 1.5"),
        ({"pool": ""}, "pool"),
        ({"up": (0.0, 1.0)}, "up is"),
        ({"stages": ()}, "stages is empty"),
        ({"stages": (dataclasses.replace(STAGE, accumulate=0),)}, "accumulate"),
    ],
)
def test_a_run_that_cannot_start_is_refused(
    config: TrainingConfig, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        with_choices(config, **wrong).check()


def test_a_stage_that_wants_more_points_than_the_pool_has_is_refused(
    config: TrainingConfig,
) -> None:
    huge = dataclasses.replace(STAGE, points=1_000_000)
    with pytest.raises(ConfigError, match="1000000 points"):
        train(with_choices(config, stages=(huge,)))


def test_a_number_that_yaml_reads_as_a_text_is_refused_with_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("model: tiny\npool: a\noutput: b\nstages: []\nweight_decay: 1e-2\n")
    with pytest.raises(ConfigError, match=r"weight_decay is '1e-2'.*1.0e-3"):
        TrainingConfig.read(path)
    path.write_text("model: tiny\npool: a\nstages: []\n")
    with pytest.raises(ConfigError, match="lacks output"):
        TrainingConfig.read(path)
