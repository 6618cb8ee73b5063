"""A training that is killed at random moments ends as if it had not been."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from places import ROOT, SUPPORT, TINY
from safetensors.torch import load_file

from pointsam_model.scenes import SceneConfig, generate_scene
from pointsam_model.training.log import CsvLog
from pointsam_model.training.pool import make_pool

KILLS = 5

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of a run in one go and of the same run, killed several times."""
    folder = tmp_path_factory.mktemp("killed")
    list(make_pool(folder / "pool", range(1), scenes=4, config=SceneConfig(width=120, height=90)))
    first = {"steps": 8, "points": 256, "patches": 32, "patch_size": 8, "clouds": 2, "masks": 2}
    first |= {"refinements": 2, "learning_rate": 1e-3, "accumulate": 2}
    config = {
        "model": str(TINY / "config.json"),
        "pool": str(folder / "pool"),
        "output": "",
        "save_every_s": 0,
        "warmup_steps": 4,
        "validate_every": 3,
        "validation": str(labelled(folder)),
        "validation_scenes": 2,
        "stages": [first, {**first, "only_iou": True, "accumulate": 1, "steps": 4}],
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, str(SUPPORT / "killed_runs.py"), str(path), "1", str(KILLS)]
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=here, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 2, "the run is too short to be killed on its way"
    return Path(f"{path}.straight"), Path(f"{path}.killed")


def labelled(folder: Path) -> Path:
    made = generate_scene(8, SceneConfig(width=120, height=90))
    (folder / "clouds").mkdir()
    np.savez(folder / "clouds" / "a.npz", xyz=made.xyz, rgb=made.rgb, label=made.instance)
    return folder / "clouds"


@pytest.mark.parametrize("name", ["state.safetensors", "model.safetensors"])
def test_a_killed_run_has_the_same_weights_bit_for_bit(runs: tuple[Path, Path], name: str) -> None:
    straight, killed = (load_file(folder / name) for folder in runs)
    assert straight.keys() == killed.keys()
    for tensor, value in straight.items():
        assert torch.equal(killed[tensor], value), tensor


def test_a_killed_run_has_the_same_log_line_for_line(runs: tuple[Path, Path]) -> None:
    straight, killed = (without_times(folder / "log.csv") for folder in runs)
    assert straight == killed
    assert straight[0][0] == "step" and [row[0] for row in straight[1:]] == list(
        map(str, range(12))
    )


def test_a_killed_run_has_the_same_validations(runs: tuple[Path, Path]) -> None:
    straight, killed = ((folder / "validation.csv").read_text() for folder in runs)
    assert straight == killed
    assert [line.split(",")[0] for line in straight.splitlines()] == ["steps", "3", "6", "9", "12"]


def test_the_checkpoint_says_what_the_last_validation_saw(runs: tuple[Path, Path]) -> None:
    from safetensors import safe_open

    last = list(csv.DictReader((runs[1] / "validation.csv").open()))[-1]
    with safe_open(runs[1] / "model.safetensors", framework="pt") as file:
        said = json.loads(file.metadata()["validation"])
    assert said["steps"] == 12 and f"{said['last']:.4f}" == last["last"]


def test_a_log_cut_in_the_middle_of_a_row_goes_on_without_it(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for cut in ("11", "11,0.2", "11,0.25,0."):
        path.write_text(f"step,loss,iou\n9,0.4,0.1\n10,0.3,0.2\n{cut}")
        log = CsvLog(path, ["step", "loss", "iou"], 10)
        log.write(10, ["0.3", "0.2"])
        log.close()
        assert path.read_text() == "step,loss,iou\n9,0.4,0.1\n10,0.3,0.2\n"


def without_times(path: Path) -> list[list[str]]:
    """Rows of a log, but for the seconds that no two runs share."""
    with path.open(newline="") as file:
        return [[row[0], *row[2:]] for row in csv.reader(file)]
