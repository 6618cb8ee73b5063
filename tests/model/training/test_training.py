"""Losses against recorded ones, simulated clicks, and a run that survives being stopped."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from places import TINY as FOLDER
from scipy.spatial.distance import cdist

from pointsam_model import ConfigError, load_model
from pointsam_model.nn.patch_embed import _SharedMaximum
from pointsam_model.scenes import SceneConfig
from pointsam_model.training import TrainingConfig, train
from pointsam_model.training.batches import draw_batch
from pointsam_model.training.clicks import Choice, first_clicks, next_clicks
from pointsam_model.training.config import Stage
from pointsam_model.training.losses import dice_loss, focal_loss, mask_iou
from pointsam_model.training.pool import Pool, make_pool


def recorded(name: str) -> dict[str, torch.Tensor]:
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(np.asarray(file[key])) for key in file.files}


def test_losses_of_the_first_click_are_the_published_ones() -> None:
    data, rollout = recorded("loss"), recorded("rollout")
    logits, truth = rollout["it0_masks"], rollout["gt_masks"][0][:, None]
    focal, dice = focal_loss(logits, truth), dice_loss(logits, truth)
    torch.testing.assert_close(focal, data["it0_focal_per_output"], atol=1e-4, rtol=0)
    torch.testing.assert_close(dice, data["it0_dice_per_output"], atol=1e-4, rtol=0)
    expected = data["it0_mask_loss_per_output"]
    torch.testing.assert_close(focal + 2 * dice, expected, atol=1e-4, rtol=0)


def test_true_iou_of_a_rollout_is_the_published_one() -> None:
    data, rollout = recorded("loss"), recorded("rollout")
    truth = rollout["gt_masks"][0]
    for step in range(1, 5):
        ious = mask_iou(rollout[f"it{step}_masks"][:, 0], truth)
        torch.testing.assert_close(ious, data["iou"][step], atol=1e-4, rtol=0)


def test_losses_are_finite_on_empty_and_full_truths() -> None:
    logits = torch.randn(2, 50, requires_grad=True)
    truth = torch.stack([torch.zeros(50), torch.ones(50)]).bool()
    loss = (focal_loss(logits, truth) + dice_loss(logits, truth)).sum()
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()
    assert mask_iou(torch.full((1, 5), -1.0), torch.zeros(1, 5, dtype=torch.bool)).item() == 1.0


def test_points_of_unknown_label_count_in_no_loss() -> None:
    logits, truth = torch.randn(1, 40), torch.rand(1, 40) > 0.5
    counted = torch.rand(1, 40) > 0.3
    inside = counted[0]
    for loss in (focal_loss, dice_loss, mask_iou):
        whole = loss(logits, truth, counted)
        torch.testing.assert_close(whole, loss(logits[:, inside], truth[:, inside]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(7, 5, 4), (7, 1, 4), (3, 16, 48), (2, 24, 48), (3, 16, 128)])
def test_equal_points_share_the_gradient_of_a_patch_maximum(
    dtype: torch.dtype, shape: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    points = torch.randint(-3, 3, shape).to(dtype).requires_grad_()
    weight = torch.randn(shape[0], shape[2]).to(dtype)
    assert torch.equal(_SharedMaximum.apply(points), points.amax(-2))
    ours, theirs = (
        torch.autograd.grad(maximum, points, weight)[0]
        for maximum in (_SharedMaximum.apply(points), points.amax(-2))
    )
    assert torch.equal(ours, theirs)


def test_a_centred_click_is_the_point_farthest_from_the_complement() -> None:
    rng = np.random.default_rng(0)
    xyz = rng.normal(size=(300, 3))
    truth = np.stack([xyz[:, 0] > 0.3, np.linalg.norm(xyz, axis=1) < 1])
    for row, mask in zip(
        first_clicks(xyz, truth, np.ones(300, bool), Choice(rng, 1.0)), truth, strict=True
    ):
        depth = cdist(xyz[mask], xyz[~mask]).min(1)
        assert row == np.flatnonzero(mask)[depth.argmax()]


def test_the_next_click_mends_the_deeper_mistake() -> None:
    rng = np.random.default_rng(1)
    xyz = rng.uniform(-1, 1, (500, 3))
    counted = np.ones(500, bool)
    truth = (xyz[:, 0] > 0)[None]
    missing, leaking = (xyz[:, 0] > 0.8)[None], (xyz[:, 0] > -0.8)[None]
    rows, labels = next_clicks(xyz, truth, missing, counted, Choice(rng, 1.0))
    assert labels[0] == 1 and truth[0, rows[0]] and not missing[0, rows[0]]
    rows, labels = next_clicks(xyz, truth, leaking, counted, Choice(rng, 1.0))
    assert labels[0] == 0 and leaking[0, rows[0]] and not truth[0, rows[0]]


def test_a_perfect_mask_is_confirmed_by_a_click_on_the_object() -> None:
    rng = np.random.default_rng(2)
    xyz = rng.normal(size=(100, 3))
    truth = (xyz[:, 0] > 0)[None]
    rows, labels = next_clicks(xyz, truth, truth, np.ones(100, bool), Choice(rng, 1.0))
    assert labels[0] == 1 and truth[0, rows[0]]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    scenes = SceneConfig(width=120, height=90)
    assert len(list(make_pool(folder, range(2), scenes=4, config=scenes))) == 2
    return folder


@pytest.fixture
def config(pool: Path, tmp_path: Path) -> TrainingConfig:
    model = json.loads((FOLDER / "config.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(model))
    stage = Stage(3, 256, 32, 8, 2, 2, 2, 1e-3, 1e-4)
    small = dataclasses.replace(stage, steps=2, points=512)
    return TrainingConfig(
        model=str(tmp_path / "model.json"),
        pool=str(pool),
        output=str(tmp_path / "run"),
        stages=(stage, small),
        bfloat16=False,
        warmup_steps=2,
        save_every_s=0.0,
    )


def test_a_shard_is_made_once(pool: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in pool.iterdir()}
    list(make_pool(pool, range(2), scenes=4))
    assert before == {path: path.stat().st_mtime_ns for path in pool.iterdir()}


def test_a_batch_shows_objects_in_the_unit_sphere(config: TrainingConfig) -> None:
    batch = draw_batch(Pool(config.pool), config.stages[0], config, np.random.default_rng(0))
    assert batch.coords.shape == (2, 256, 3) and batch.truth.shape == (2, 2, 256)
    assert np.linalg.norm(batch.coords, axis=-1).max() <= 1 + 1e-6
    assert np.abs(batch.features).max() <= 1
    assert (batch.truth.sum(-1) > 0).all()


def test_a_run_stopped_at_any_moment_goes_on_as_if_it_had_not(config: TrainingConfig) -> None:
    class Stop(Exception):
        pass

    def stop_at(wanted: int) -> object:
        def report(step: int, _: object) -> None:
            if step == wanted:
                raise Stop

        return report

    straight = train(dataclasses.replace(config, output=config.output + "_straight"))
    for step in (1, 3):
        with pytest.raises(Stop):
            train(config, report=stop_at(step))  # type: ignore[arg-type]
    resumed = train(config)
    for name, tensor in straight.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, atol=1e-5, rtol=1e-4)


def test_a_run_leaves_a_checkpoint_that_says_how_it_was_made(config: TrainingConfig) -> None:
    from safetensors import safe_open

    train(config)
    path = Path(config.output) / "model.safetensors"
    load_model(config.model, path, device="cpu")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["steps"] == "5" and "config" in metadata and "stages" in metadata["training"]


def test_training_lowers_the_loss(config: TrainingConfig) -> None:
    stage = dataclasses.replace(
        config.stages[0], steps=60, clouds=4, masks=4, refinements=1, learning_rate=5e-3
    )
    losses: list[float] = []
    longer = dataclasses.replace(config, stages=(stage,), no_colour=0.0, save_every_s=1e9)
    train(longer, report=lambda _, report: losses.append(report.loss))
    assert np.mean(losses[-15:]) < 0.95 * np.mean(losses[:15])


def test_a_config_is_refused_with_the_key_at_fault(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("model: a\npool: b\noutput: c\nstages: []\nlearning: 3\n")
    with pytest.raises(ConfigError, match="learning"):
        TrainingConfig.read(path)


def test_the_shipped_training_configs_can_start() -> None:
    for path in Path("config/training").glob("*.yaml"):
        own = {"data": "clouds"} if path.stem == "finetune" else {}
        TrainingConfig.read(path, **own).check()
