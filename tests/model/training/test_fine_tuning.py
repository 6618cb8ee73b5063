"""A user's own labelled clouds, written as .npz, teach the shipped checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors import safe_open
from typer.testing import CliRunner

from pointsam_model import ConfigError, Predictor, load_model
from pointsam_model.cli.app import app
from pointsam_model.evaluation import evaluate_cloud, read_labelled
from pointsam_model.training import StepReport, TrainingConfig, train
from pointsam_model.training.labelled import LabelledClouds

SHIPPED = Path("config/training/finetune.yaml")


def towers(seed: int) -> dict[str, np.ndarray]:
    """A floor with three towers; the red upper half of each is an object, and the blue lower one.

    The shipped checkpoint, which likes whole objects, does not part them.
    """
    rng = np.random.default_rng(seed)
    floor = np.concatenate([rng.uniform(-1, 1, (1500, 2)), rng.normal(0, 0.003, (1500, 1))], 1)
    xyz, rgb, label = [floor], [np.full((1500, 3), 120)], [np.zeros(1500, int)]
    for number, middle in enumerate(((-0.5, -0.5, 0.3), (0.5, -0.4, 0.3), (0.1, 0.5, 0.3))):
        tower = rng.uniform(-0.12, 0.12, (500, 3)) * (1, 1, 2.5)
        side = np.arange(500), rng.integers(2, size=500)
        tower[side] = np.sign(tower[side]) * 0.12
        upper = tower[:, 2] > 0
        xyz.append(np.add(tower, middle) + rng.normal(0, (0.1, 0.1, 0)))
        rgb.append(np.where(upper[:, None], (230, 40, 30), (20, 60, 200)))
        label.append(np.where(upper, 2 * number + 1, 2 * number + 2))
    points, labels = np.concatenate(xyz), np.concatenate(label)
    labels[rng.random(len(labels)) < 0.05] = -1
    points[rng.random(len(points)) < 0.02] = np.nan
    order = rng.permutation(len(points))
    return {
        "xyz": points.astype(np.float32)[order],
        "rgb": np.concatenate(rgb).astype(np.uint8)[order],
        "label": labels.astype(np.int32)[order],
    }


@pytest.fixture
def clouds(tmp_path: Path) -> Path:
    folder = tmp_path / "clouds"
    folder.mkdir()
    for seed in range(4):
        np.savez(folder / f"{seed}.npz", **towers(seed))
    return folder


@pytest.fixture
def config(tmp_path: Path, clouds: Path) -> Path:
    """The shipped config with fewer steps on fewer points, as a file."""
    values = yaml.safe_load(SHIPPED.read_text())
    (stage,) = values["stages"]
    stage |= {"steps": 32, "points": 1024, "patches": 256, "patch_size": 16, "masks": 4}
    stage |= {"refinements": 2, "learning_rate": 5.0e-4}
    values |= {"output": str(tmp_path / "run"), "warmup_steps": 4, "ema_decay": 0.8}
    path = tmp_path / "finetune.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def mean_iou(model: Path | None, clouds: Path) -> float:
    """After one click, by the chosen mask."""
    predictor = Predictor(load_model("tiny", model, device="cpu"))
    results = [
        result
        for path in sorted(clouds.glob("*.npz"))
        for result in evaluate_cloud(predictor, read_labelled(path), 1)
    ]
    return float(np.mean([result.ious[0] for result in results]))


@pytest.mark.slow
def test_fine_tuning_lowers_the_loss_and_raises_the_iou(config: Path, clouds: Path) -> None:
    before = mean_iou(None, clouds)
    seen: list[StepReport] = []
    settings = TrainingConfig.read(config, data=str(clouds))
    train(settings, report=lambda _, report: seen.append(report))
    losses = [report.loss for report in seen]
    assert np.mean(losses[-8:]) < 0.85 * np.mean(losses[:8])
    assert mean_iou(Path(settings.output) / "model.safetensors", clouds) > before + 0.1


def test_a_cloud_is_reduced_to_valid_points_and_keeps_its_labels(clouds: Path) -> None:
    scenes = LabelledClouds(clouds, 350, (0, 0, 1))
    assert len(scenes) == 4
    scene, written = scenes[0], np.load(clouds / "0.npz")
    assert scene.xyz.shape == (700, 3) and np.isfinite(scene.xyz).all()
    rows = [np.flatnonzero((written["xyz"] == point).all(1))[0] for point in scene.xyz]
    np.testing.assert_array_equal(scene.instance, written["label"][rows])
    np.testing.assert_array_equal(scene.rgb, written["rgb"][rows])
    assert set(np.unique(scene.instance)) == {-1, 0, 1, 2, 3, 4, 5, 6} and scene.rgb is not None
    np.testing.assert_array_equal(scene.up, (0, 0, 1))


def test_a_cloud_far_from_its_origin_keeps_its_shape(clouds: Path) -> None:
    near = towers(0)
    far = {**near, "xyz": np.add(near["xyz"], (550_000.0, 4_000_000.0, 0.0))}
    np.savez(clouds / "0.npz", **far)
    np.savez(clouds / "1.npz", **near)
    scenes = LabelledClouds(clouds, 10_000)
    spread = [scenes[row].xyz - scenes[row].xyz.mean(0) for row in (0, 1)]
    np.testing.assert_allclose(*spread, atol=1e-4)


def test_clouds_with_intensity_alone_are_learned_without_colour(clouds: Path) -> None:
    cloud = towers(0)
    del cloud["rgb"]
    np.savez(clouds / "0.npz", **cloud, intensity=np.ones(len(cloud["xyz"]), np.float32))
    assert LabelledClouds(clouds, 350)[0].rgb is None


def test_clouds_without_objects_are_refused(tmp_path: Path) -> None:
    cloud = towers(0)
    np.savez(tmp_path / "a.npz", **{**cloud, "label": np.minimum(cloud["label"], 0)})
    with pytest.raises(ConfigError, match="has an object"):
        LabelledClouds(tmp_path, 350)


def test_the_command_learns_from_a_folder_and_evaluates_on_another(
    config: Path, clouds: Path, tmp_path: Path
) -> None:
    values = yaml.safe_load(config.read_text())
    values["stages"][0] |= {"steps": 2, "points": 512, "patches": 32, "patch_size": 8}
    values |= {"validate_every": 1, "validation": str(clouds), "validation_scenes": 2}
    config.write_text(yaml.safe_dump(values))
    output = tmp_path / "elsewhere"
    arguments = ["train", str(config), "--data", str(clouds), "--output", str(output)]
    result = CliRunner().invoke(app, [*arguments, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert len((output / "validation.csv").read_text().splitlines()) == 3
    with safe_open(output / "model.safetensors", framework="pt") as file:
        said = file.metadata()
    assert json.loads(said["training"])["start"] == "tiny"
    assert said["seed"] == "0" and said["steps"] == "2"
    assert said["version"] and said["torch"] and said["command"] and said["device"]
    result = CliRunner().invoke(app, ["train", str(config), "--model", "huge", "--data", "a"])
    assert result.exit_code == 1 and "pointsam:" in result.stderr
