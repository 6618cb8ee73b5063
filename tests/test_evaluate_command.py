"""`pointsam evaluate` on folders of mixed clouds: its table, its report and its pictures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from plain_tabletop import plain_tabletop
from typer.testing import CliRunner

from pointsam_model.cli import app

TINY = Path(__file__).parent / "fixtures" / "tiny"
RANDOM = ["--model", str(TINY / "config.json"), "--checkpoint", str(TINY / "weights.safetensors")]
REAL = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labelled clouds of one name: a camera's with colour and a flat list with intensity."""
    folder = tmp_path_factory.mktemp("mixed")
    cloud = plain_tabletop()
    for source in ("camera", "lidar"):
        (folder / source).mkdir()
    seen = {"xyz": cloud.xyz, "label": cloud.label}
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
    options = ["--clicks", "5", "--json", str(out / "new" / "report.json")]
    output = ran(str(mixed), *options, "--pictures", str(out / "pictures"))
    written = json.loads((out / "new" / "report.json").read_text())
    return {**written, "output": output, "pictures": out / "pictures"}


def ran(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["evaluate", *arguments, *RANDOM])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_table_has_masks_and_proposals_of_both_methods(report: dict[str, Any]) -> None:
    output = report["output"]
    for heading in ("IoU@1", "IoU@3", "IoU@5", "AR", "AR50", "AR25", "proposals"):
        assert heading in output
    assert "│ config " in output and "│ classical " in output
    assert "2 clouds" in output
    assert "classical is better in: IoU@1" in output, "its opponent has random weights"


def test_clouds_of_one_name_in_several_folders_stay_apart(report: dict[str, Any]) -> None:
    assert {item["cloud"] for item in report["objects"]} == {"camera/a", "lidar/a"}
    assert report["summary"]["clouds"] == 2


def test_the_report_says_how_well_proposals_cover_each_object(report: dict[str, Any]) -> None:
    for method in (report, report["baseline"]):
        covered = [item["best_proposal_iou"] for item in method["objects"]]
        assert method["summary"]["recall"]["ar25"] == np.mean(np.array(covered) >= 0.25)
        assert set(method["proposals"]) == {"camera/a", "lidar/a"}
    assert report["baseline"]["summary"]["recall"]["ar25"] == 1.0


def test_the_report_says_what_was_measured(report: dict[str, Any]) -> None:
    about = report["about"]
    assert about["checkpoint"] == "weights.safetensors" and len(about["checkpoint_sha256"]) == 64
    assert {"pointsam", "python", "torch", "numpy", "open3d"} <= set(about["versions"])
    assert about["dtype"] == "float32" and about["clicks"] == 5 and about["processor"]
    assert about["date"].endswith("+00:00")


def test_best_median_and_worst_objects_are_drawn(report: dict[str, Any]) -> None:
    for name in ("best", "median", "worst"):
        picture = matplotlib.image.imread(report["pictures"] / f"{name}.png")
        assert picture.shape[1] > 1000 and picture[..., :3].std() > 0.1


def test_proposals_and_baseline_can_be_left_out(mixed: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    options = ["--clicks", "1", "--no-proposals", "--no-classical", "--json", str(path)]
    output = ran(str(mixed / "lidar" / "a.npz"), *options)
    assert "AR" not in output and "classical" not in output
    written = json.loads(path.read_text())
    assert "baseline" not in written and written["summary"]["recall"] is None
    assert {item["cloud"] for item in written["objects"]} == {"a"}


def test_without_open3d_ours_is_still_printed(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    output = ran(str(mixed / "lidar"), "--clicks", "1", "--no-proposals")
    assert "pip install 'pointsam_ros[evaluation]'" in output
    assert "│ config " in output and "│ classical " not in output


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared sensor data is not here")
def test_lidar_frames_are_measured(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    frame = next((REAL / "lidar").glob("seq08*.npz"))
    ran(str(frame), "--clicks", "2", "--no-proposals", "--no-classical", "--json", str(path))
    objects = json.loads(path.read_text())["objects"]
    assert len(objects) == 5 and all(0 <= iou <= 1 for item in objects for iou in item["ious"])
