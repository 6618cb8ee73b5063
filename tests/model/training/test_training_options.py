"""The comparison of training options: equal times, figures that say how sure they are."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.quality.option_figures import Figures
from benchmarks.quality.option_trials import NOT_TRAINED, OPTIONS, Measured
from pointsam_model.scenes import SceneConfig
from pointsam_model.training.pool import make_pool


def measured(kind: str, cloud: int, iou: float) -> Measured:
    return Measured(kind, cloud, iou, iou, iou, iou, 0.5, iou)


def test_objects_of_one_cloud_are_one_sample(tmp_path: Path) -> None:
    figures = Figures(tmp_path)
    apart = [measured("room", number, iou) for number, iou in enumerate((0.2, 0.4, 0.6, 0.8))]
    figures.add("apart", 1, 1.0, apart)
    figures.add("twice", 1, 1.0, [each for each in apart for _ in range(2)])
    mean, error = figures.compared("apart", "iou1")
    assert (mean, error) == (pytest.approx(50), pytest.approx(2000**0.5 / 4))
    assert figures.compared("twice", "iou1") == (pytest.approx(mean), pytest.approx(error))


def test_a_gain_is_measured_object_by_object(tmp_path: Path) -> None:
    figures = Figures(tmp_path)
    before = [measured("room", number, number / 10) for number in range(8)]
    figures.add("none", 1, 1.0, before)
    after = [measured("room", number, number / 10 + 0.05) for number in range(8)]
    figures.add("more", 1, 1.0, after)
    gain, error = figures.compared("more", "iou3", "none")
    assert gain == pytest.approx(5) and error < 1e-6
    assert figures.compared("more", "iou3")[1] > 5


def test_figures_outlive_the_process(tmp_path: Path) -> None:
    before = Figures(tmp_path)
    before.add(NOT_TRAINED, 0, 0.0, [measured("room", 0, 0.5), measured("street", 0, 0.7)])
    again = Figures(tmp_path)
    assert again.has(NOT_TRAINED) and not again.has("none")
    assert again.compared(NOT_TRAINED, "iou5") == before.compared(NOT_TRAINED, "iou5")


def test_each_option_changes_one_thing_or_the_seed() -> None:
    names = [option.name for option in OPTIONS]
    assert len(set(names)) == len(names)
    for option in OPTIONS:
        assert option.baseline in names
        changes = len(option.model) + len(option.training) + len(option.stage)
        assert changes == (0 if option.baseline == option.name else 1)


@pytest.mark.slow
def test_the_command_trains_each_option_as_long_and_writes_its_figures(tmp_path: Path) -> None:
    pool, output = tmp_path / "pool", tmp_path / "out"
    list(make_pool(pool, range(1), scenes=4, config=SceneConfig(width=120, height=90)))
    command = [sys.executable, "-m", "benchmarks.quality.training_options", "--pool", str(pool)]
    command += ["--minutes", "0.01", "--kept", "4", "--clouds", "1", "--scenes", "2"]
    command += ["--only", "none", "--only", "click features", "--output", str(output)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    with (output / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["option"] for row in rows} == {NOT_TRAINED, "none", "click features"}
    assert all(0.6 <= float(row["cpu_s"]) < 10 for row in rows if row["option"] != NOT_TRAINED)
    assert "click features" in printed and "held-out objects" in printed
    again = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "steps;" in printed and "steps;" not in again, "what there are figures of is not redone"
