"""The benchmark measures the same network as the published way, and its command runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from boxed_table import box_on_a_table
from places import ROOT, TINY
from safetensors.torch import load_file

from benchmarks.speed import partition
from benchmarks.speed.network import Effort, Size, measure
from benchmarks.speed.published import PublishedPointSAM
from pointsam_model.config.model import ModelConfig


def recorded(name: str) -> dict[str, torch.Tensor]:
    with np.load(TINY / f"{name}.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def test_the_yardstick_gives_the_published_logits() -> None:
    config = ModelConfig.from_json(TINY / "config.json")
    published = PublishedPointSAM(load_file(TINY / "weights.safetensors"), config)
    cloud, prompts, expected = recorded("raw_input"), recorded("prompts"), recorded("decoder")
    embedded = published.embed(cloud["coords"][0], cloud["features"][0], 64, 32)
    for name, count, mask, multimask in (
        ("click1_multi", 1, None, True),
        ("click1_single", 1, None, False),
        ("click3", 3, expected["prompt_mask_logits"][0], False),
    ):
        logits, ious = published.decode(
            embedded,
            prompts["prompt_coords"][0, :count],
            prompts["prompt_labels"][0, :count].long(),
            mask,
            multimask,
        )
        torch.testing.assert_close(logits, expected[f"{name}_masks"][0], atol=1e-4, rtol=0)
        torch.testing.assert_close(ious, expected[f"{name}_iou"][0], atol=1e-4, rtol=0)


def test_our_logits_are_those_of_the_yardstick() -> None:
    # from random weights, through the benchmark's own measuring, at sizes of its own
    (published, exact, half) = measure(
        str(TINY / "config.json"), [Size(600, 40, 24)], Effort(1, 1, 0.0), lambda said: None
    )
    assert (published.way, exact.way, half.way) == ("published", "ours", "ours")
    assert exact.logits_differ <= 1e-4
    assert 0 < half.logits_differ < 0.1
    for result in (published, exact, half):
        times = result.seconds
        assert all(seconds > 0 for seconds in times.values())
        again = times["embed"] if result is published else 0.0
        assert times["refining click"] == pytest.approx(again + times["refining decoding"])


def test_the_command_prints_tables_and_writes_numbers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.speed.run", "--quick", "--only", "network"]
    command += ["--model", str(TINY / "config.json"), "--size", "600,40,24"]
    done = subprocess.run(
        [*command, "--output", str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "600 points, 40 x 24" in done.stdout
    assert "published" in done.stdout
    (file,) = tmp_path.glob("*.json")
    report = json.loads(file.read_text())
    assert report["cores"] >= 1
    assert report["torch"] == torch.__version__
    assert [each["dtype"] for each in report["network"]] == ["float32", "float32", "bfloat16"]


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [("--only", "all", "network or ros"), ("--size", "10,20,5", "from 1 to the points")],
)
def test_a_wrong_option_is_refused_with_what_is_right(option: str, value: str, reason: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed.run", option, value],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 2
    assert reason in done.stderr


@pytest.mark.dds
@pytest.mark.slow
def test_the_command_times_the_node_over_middleware(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.speed.run", "--quick", "--only", "ros"]
    done = subprocess.run(
        [*command, "--output", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.glob("*.json")
    (answer,) = json.loads(file.read_text())["ros"]
    assert answer["points"] == 640 * 480
    assert 0 < answer["elapsed"] < answer["prompt"] < answer["first_mask"]


@pytest.mark.dds
@pytest.mark.slow
def test_the_command_compares_cameras_in_one_process_and_in_several(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.speed.cameras", "--cameras", "2", "--seconds", "1"]
    done = subprocess.run(
        [*command, "--model", str(TINY / "config.json"), "--output", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.glob("*.json")
    together, apart = json.loads(file.read_text())["results"]
    assert 0 < together["memory_mib"] < apart["memory_mib"]
    for result in (together, apart):
        assert 0 < result["p50_ms"] <= result["p99_ms"]


def test_a_partition_is_timed_beside_the_embedding_of_its_cloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points, box = box_on_a_table(0.03)
    file = tmp_path / "box.npz"
    np.savez(file, xyz=points, label=box.astype(np.int32))
    before = torch.get_num_threads()
    partition.main([str(file), "--rounds", "1", "--threads", str(before)])
    (line,) = capsys.readouterr().out.splitlines()[1:]
    times = re.fullmatch(
        rf"box: {len(points)} points; embedding (\d+) \(\d+\), partition (\d+) \(\d+\), (.+) of it",
        line,
    )
    assert times, line
    assert float(times[3]) > 0
