"""The demonstration works on real middleware, says what went wrong, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from domains import free_domain
from places import ROOT, TINY

from pointsam_model.data.readers import LabelledCloud, SensorCloud
from pointsam_model.errors import CloudError
from pointsam_model.nn.estimator import Estimator
from pointsam_model.quality import shipped_quality
from pointsam_ros.demo.targets import generated, load, targets_of

RANDOM = ["--preset", str(TINY / "config.json"), "--checkpoint", str(TINY / "weights.safetensors")]
LONGEST_S = 200


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
        "ROS_DOMAIN_ID": str(free_domain()),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "pointsam_ros.demo", "--output", str(folder / "out"), *options],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(folder: Path, *options: str) -> tuple[int, str]:
    process = start(folder, *options)
    try:
        output, _ = process.communicate(timeout=LONGEST_S)
    finally:
        process.kill()
    return process.returncode, output


def node_of(output: str) -> int:
    """Process id of the node that a demonstration ran."""
    found = re.search(r"node runs as process (\d+)", output)
    assert found, output
    return int(found.group(1))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def boxes_on_a_table() -> np.ndarray:
    """A table of 1 m with three boxes of about 0.1 m; z up."""
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.uniform(-0.5, 0.5, (20_000, 2)), rng.normal(0, 0.001, 20_000)])
    corners = np.array([[-0.3, -0.3, 0.02], [0.2, 0.1, 0.02], [-0.2, 0.25, 0.02]])
    boxes = [rng.uniform(corner, corner + 0.1, (1500, 3)) for corner in corners]
    return np.concatenate([table, *boxes]).astype(np.float32)


# --- what is clicked


def test_without_labels_a_click_falls_on_each_thing_that_stands_out_of_the_plane() -> None:
    xyz = boxes_on_a_table()
    targets = targets_of(SensorCloud(xyz, None, 1, len(xyz), "table"), 3)
    assert sorted((target.row - 20_000) // 1500 for target in targets) == [0, 1, 2]
    assert [target.object_id for target in targets] == [1, 2, 3]
    assert all(target.truth is None for target in targets)


def test_where_less_stands_out_the_other_clicks_are_spread() -> None:
    xyz = boxes_on_a_table()
    targets = targets_of(SensorCloud(xyz, None, 1, len(xyz), "table"), 6)
    assert len({target.row for target in targets}) == 6


def test_a_flat_cloud_is_clicked_too() -> None:
    xyz = boxes_on_a_table()[:20_000]
    assert len(targets_of(SensorCloud(xyz, None, 1, len(xyz), "flat"), 4)) == 4


def test_the_largest_labelled_objects_are_clicked_inside() -> None:
    cloud = generated(3)
    assert isinstance(cloud, LabelledCloud)
    targets = targets_of(cloud, 2)
    assert len(targets) == 2
    sizes = np.bincount(cloud.instance[(cloud.instance > 0) & cloud.valid])
    assert sorted(np.count_nonzero(target.truth) for target in targets) == sorted(sizes)[-2:]
    assert all(target.truth is not None and target.truth[target.row] for target in targets)


def test_a_file_that_is_no_cloud_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "a.pcd").write_text("no cloud")
    with pytest.raises(CloudError, match="not a PCD file"):
        load(tmp_path / "a.pcd", "")
    status, output = run(tmp_path, "--cloud", str(tmp_path / "a.pcd"))
    assert status == 1 and "not a PCD file" in output and "process" not in output


# --- the whole line, over real middleware


@pytest.mark.dds
@pytest.mark.slow
def test_the_demonstration_shows_a_table_and_pictures_and_ends_the_node(tmp_path: Path) -> None:
    np.save(tmp_path / "table.npy", boxes_on_a_table())
    status, output = run(
        tmp_path, *RANDOM, "--cloud", str(tmp_path / "table.npy"), "--objects", "3"
    )
    assert status == 0, output
    assert "3 objects to segment" in output and re.search(
        r"object.*clicks.*score.*points.*ms", output
    )
    assert "A dot is a click on the object" in " ".join(output.split())
    assert (tmp_path / "out" / "clicks_1.png").stat().st_size > 20_000
    assert not is_running(node_of(output))


@pytest.mark.dds
@pytest.mark.slow
def test_bad_masks_of_the_generated_scene_fail_the_demonstration(tmp_path: Path) -> None:
    weights = tmp_path / "contrary.safetensors"
    weights.write_bytes((TINY / "weights.safetensors").read_bytes())
    contrary = dict(shipped_quality().estimator.tensors)
    for name in ("weight.2", "bias.2"):
        contrary[name] = -contrary[name]  # chooses the worst
    Estimator(contrary, {}).write(tmp_path / "contrary.quality.safetensors")
    status, output = run(tmp_path, *RANDOM[:2], "--checkpoint", str(weights))
    assert status == 1 and "under 0.5" in output, output
    assert (tmp_path / "out" / "clicks_2.png").exists(), "the refined masks are drawn too"
    assert not is_running(node_of(output))


@pytest.mark.dds
@pytest.mark.slow
def test_the_shipped_weights_pass_the_demonstration(tmp_path: Path) -> None:
    status, output = run(tmp_path)
    assert status == 0, output
    assert not is_running(node_of(output))


@pytest.mark.dds
@pytest.mark.slow
def test_a_node_that_cannot_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    status, output = run(tmp_path, "--checkpoint", str(tmp_path / "nothing.safetensors"))
    assert status == 1 and "the node ended with 1" in output and "nothing.safetensors" in output


@pytest.mark.dds
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demonstration_and_its_node(tmp_path: Path, number: int) -> None:
    np.save(tmp_path / "table.npy", boxes_on_a_table())
    process = start(tmp_path, *RANDOM, "--cloud", str(tmp_path / "table.npy"))
    try:
        assert process.stdout is not None
        said = ""
        while "node runs" not in said:
            line = process.stdout.readline()
            assert line, f"ended early: {said}"
            said += line
        time.sleep(0.2)
        process.send_signal(number)
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number, said + rest
    deadline = time.monotonic() + 10
    while is_running(node_of(said)):  # it may still be on its way out
        assert time.monotonic() < deadline, rest
        time.sleep(0.05)
