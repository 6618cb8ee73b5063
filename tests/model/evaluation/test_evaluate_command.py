"""`pointsam evaluate` on folders of mixed clouds: its table, its report and its pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import places
import pytest
from places import TINY
from plain_tabletop import plain_tabletop
from typer.testing import CliRunner

from pointsam_model.cli.app import app
from pointsam_model.evaluation.report import commit
from pointsam_model.evaluation.sources import FIRST_SEED, generated

RANDOM = ["--model", str(TINY / "config.json"), "--checkpoint", str(TINY / "weights.safetensors")]
REAL = places.SHARED / "data"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labelled clouds of one name: a camera's with colour and a flat list with intensity."""
    folder = tmp_path_factory.mktemp("mixed")
    cloud = plain_tabletop()
    for source in ("camera", "lidar"):
        (folder / source).mkdir()
    seen = {"xyz": cloud.xyz, "label": cloud.instance}
    size = np.array([cloud.height, cloud.width])
    np.savez(folder / "camera" / "a.npz", **seen, rgb=cloud.rgb, hw=size)
    light = np.ones(len(cloud.xyz), dtype=np.float32)
    np.savez(folder / "lidar" / "a.npz", **seen, intensity=light)
    return folder


@pytest.fixture(scope="module")
def report(mixed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command says of the mixed folder with everything switched on."""
    pytest.importorskip("open3d", reason="open3d has no wheel for this Python")
    out = tmp_path_factory.mktemp("out")
    options = ["--compare", "--clicks", "5", "--json", str(out / "new" / "report.json")]
    drawn = ["--pictures", str(out / "pictures"), "--reliability", str(out / "scores.png")]
    output = ran(str(mixed), *options, *drawn)
    written = json.loads((out / "new" / "report.json").read_text())
    return {**written, "output": output, "out": out}


def ran(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["evaluate", *arguments, *RANDOM])
    assert result.exit_code == 0, result.output
    return result.output


NETWORKS = ("config", "config, network alone", "config, as published")
ALL = (*NETWORKS, "geometry alone", "classical", "concave parts")


def test_the_table_has_masks_and_proposals_of_all_methods(report: dict[str, Any]) -> None:
    output = report["output"]
    for heading in ("IoU@1", "IoU@3", "IoU@5", "AR", "AR50", "AR25", "proposals", "right"):
        assert heading in output
    assert tuple(report["methods"]) == ALL
    for name in ALL:
        assert f"│ {name} " in output
    assert "2 clouds" in output
    assert "classical is better in: " in output, "its opponent has random weights"


def test_clouds_of_one_name_in_several_folders_stay_apart(report: dict[str, Any]) -> None:
    for method in report["methods"].values():
        assert {item["cloud"] for item in method["objects"]} == {"camera/a", "lidar/a"}
        assert method["summary"]["clouds"] == 2


def test_all_methods_begin_with_the_same_clicks(report: dict[str, Any]) -> None:
    first = [
        [item["clicks"][0] for item in method["objects"]] for method in report["methods"].values()
    ]
    assert all(clicks == first[0] for clicks in first) and len(first[0]) == 4


def test_the_report_says_how_well_proposals_cover_each_object(report: dict[str, Any]) -> None:
    for method in report["methods"].values():
        covered = [item["best_proposal_iou"] for item in method["objects"]]
        assert method["summary"]["recall"]["ar25"] == np.mean(np.array(covered) >= 0.25)
        assert [item["cloud"] for item in method["proposals"]] == ["camera/a", "lidar/a"]
        confident = sum(item["confident"] for item in method["proposals"])
        right = sum(item["right"] for item in method["proposals"])
        share = method["summary"]["recall"]["precision"]
        assert share == (right / confident if confident else None)
    classical = report["methods"]["classical"]["summary"]["recall"]
    assert classical["ar25"] == 1.0 and classical["precision"] == 1.0


def test_the_ways_are_settings_of_the_predictor(report: dict[str, Any]) -> None:
    both, network, published = (report["methods"][name]["objects"] for name in NETWORKS)
    assert [each["ious"] for each in both] != [each["ious"] for each in network]
    # A small scene needs no second look.
    assert [each["ious"] for each in network] == [each["ious"] for each in published]


def test_scores_are_judged_where_they_predict_iou(report: dict[str, Any]) -> None:
    for name, method in report["methods"].items():
        assert set(method["summary"]["score"]) == ({"1", "3", "5"} if name in NETWORKS else set())
    for click, quality in report["methods"]["config"]["summary"]["score"].items():
        objects = report["methods"]["config"]["objects"]
        ious = np.array([item["ious"][int(click) - 1] for item in objects])
        scores = np.array([item["predicted"][int(click) - 1] for item in objects])
        assert quality["error"] == pytest.approx(np.abs(scores - ious).mean())
    picture = matplotlib.image.imread(report["out"] / "scores.png")
    assert picture.shape[1] > 3 * 400, "a panel for each network's way"


def test_the_report_says_how_long_each_method_took(report: dict[str, Any]) -> None:
    for method in report["methods"].values():
        assert method["seconds"]["embedding"] > 0 and method["seconds"]["first"] > 0
        assert method["summary"]["recall"]["seconds"] > 0
    assert report["methods"]["classical"]["seconds"]["refining"] is None, "it has one click"
    assert report["methods"]["config, network alone"]["seconds"]["refining"] > 0


def test_the_report_says_what_was_measured(report: dict[str, Any]) -> None:
    about = report["about"]
    assert about["checkpoint"] == "weights.safetensors" and len(about["checkpoint_sha256"]) == 64
    assert {"pointsam", "python", "torch", "numpy", "open3d"} <= set(about["versions"])
    assert about["dtype"] == "float32" and about["clicks"] == 5 and about["processor"]
    assert about["date"].endswith("+00:00") and about["first_click"] == "deepest"
    assert about["threads"] >= 1 and about["cores"] >= 1 and "commit" in about


def test_the_commit_is_told_where_the_code_is_in_git() -> None:
    root = places.ROOT
    git = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        head = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        assert commit() is None
    else:
        assert commit() in (head, f"{head}+")


def test_best_median_and_worst_objects_are_drawn(report: dict[str, Any]) -> None:
    for name in ("best", "median", "worst"):
        picture = matplotlib.image.imread(report["out"] / "pictures" / f"{name}.png")
        assert picture.shape[1] > 1000 and picture[..., :3].std() > 0.1


def test_proposals_and_baseline_can_be_left_out(mixed: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    options = ["--clicks", "1", "--no-proposals", "--no-classical", "--json", str(path)]
    output = ran(str(mixed / "lidar" / "a.npz"), *options)
    assert "AR" not in output and "classical" not in output
    written = json.loads(path.read_text())
    assert list(written["methods"]) == ["config"]
    assert written["methods"]["config"]["summary"]["recall"] is None
    assert {item["cloud"] for item in written["methods"]["config"]["objects"]} == {"a"}


def test_only_the_ways_that_are_asked_for_are_measured(mixed: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    asked = ["--way", "geometry", "--way", "published", "--way", "geometry"]
    options = ["--clicks", "1", "--no-proposals", "--no-classical", "--json", str(path)]
    ran(str(mixed / "lidar" / "a.npz"), *asked, *options)
    methods = json.loads(path.read_text())["methods"]
    assert list(methods) == ["geometry alone", "config, as published"]
    assert methods["geometry alone"]["summary"]["iou_at"]["1"] > 0.95


def test_random_first_clicks_are_three_an_object_and_their_spread_is_printed(
    mixed: Path, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    options = ["--way", "geometry", "--clicks", "1", "--no-proposals", "--no-classical"]
    output = ran(str(mixed / "lidar"), *options, "--first-click", "random", "--json", str(path))
    (method,) = json.loads(path.read_text())["methods"].values()
    assert [item["draw"] for item in method["objects"]] == [0, 1, 2] * 2
    assert method["summary"]["objects"] == 2
    assert len(method["summary"]["spread"]["iou_at"]) == 3
    assert "over 3 draws of first clicks" in output


def test_generated_scenes_are_measured_without_any_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    options = ["--way", "geometry", "--clicks", "1", "--no-proposals", "--no-classical"]
    scenes = ["--generated", "street", "--count", "2", "--seed", "9"]
    output = ran(*scenes, *options, "--json", str(path))
    assert "generated: street, seeds 9 to 10" in output
    (method,) = json.loads(path.read_text())["methods"].values()
    assert {item["cloud"] for item in method["objects"]} == {"street 9", "street 10"}


def test_on_scenes_without_objects_proposals_are_counted_and_nothing_breaks(
    tmp_path: Path,
) -> None:
    path = tmp_path / "report.json"
    options = ["--way", "geometry", "--json", str(path), "--pictures", str(tmp_path / "drawn")]
    output = ran("--generated", "empty", "--count", "2", "--seed", "2", *options)
    for method in json.loads(path.read_text())["methods"].values():
        summary = method["summary"]
        assert summary["bare"]["clouds"] == 2 and summary["objects"] == 0
        counts = [item["proposals"] for item in method["proposals"]]
        assert summary["bare"]["proposals"] == np.mean(counts) and summary["recall"] is None
    assert "on bare" in output and "IoU@1" not in output


@pytest.mark.parametrize("given", [[], ["somewhere", "--generated", "bin"]])
def test_clouds_come_either_from_files_or_are_generated(given: list[str]) -> None:
    result = CliRunner().invoke(app, ["evaluate", *given])
    assert result.exit_code == 1
    assert "either labelled clouds" in result.output + result.stderr


def test_generated_scenes_are_none_that_was_trained_or_fitted_on() -> None:
    from pointsam_model.fitting import scenes
    from pointsam_model.scenes import generate
    from pointsam_model.training import pool

    assert FIRST_SEED >= scenes.FIRST_SEED + 10**9 and FIRST_SEED > pool.FIRST_SPARE_SEED
    cloud = generated("street", 1, 7).read("street 7")
    (same,) = generate("street", [FIRST_SEED + 7])
    assert np.array_equal(cloud.xyz, same.xyz, equal_nan=True)


@pytest.mark.parametrize("kind", ["tabletop", "parts", "bin", "room", "empty"])
def test_generated_depth_images_have_the_resolution_of_a_camera(kind: str) -> None:
    source = generated(kind, 4, 1)
    cloud = source.read(source.names[0])
    again = source.read(source.names[0])
    assert np.array_equal(cloud.xyz, again.xyz, equal_nan=True)
    assert np.array_equal(cloud.instance, again.instance)
    sizes = {
        (each.width, each.height) for each in map(source.read, source.names) if each.height > 200
    }
    assert sizes == {(640, 480)}


def test_without_open3d_ours_is_still_printed(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    output = ran(str(mixed / "lidar"), "--clicks", "1", "--no-proposals")
    assert "pip install 'pointsam_ros[evaluation]'" in output
    assert "│ config " in output and "│ classical " not in output
    assert "│ concave parts " in output, "it needs no Open3D"


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared sensor data is not here")
def test_lidar_frames_are_measured(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    frame = next((REAL / "lidar").glob("seq08*.npz"))
    ran(str(frame), "--clicks", "2", "--no-proposals", "--no-classical", "--json", str(path))
    objects = json.loads(path.read_text())["methods"]["config"]["objects"]
    assert len(objects) == 5 and all(0 <= iou <= 1 for item in objects for iou in item["ious"])
