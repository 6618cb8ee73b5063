"""Real sensor clouds, where they are at hand: all load, and the shipped weights segment them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from places import SHARED
from typer.testing import CliRunner

from pointsam_model import Cloud, ReductionConfig
from pointsam_model.data.readers import read_clouds

DATA = SHARED / "data"
SUFFIXES = {".pcd", ".ply", ".npz", ".npy", ".bin"}
MAX_POINTS = 8192

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="shared sensor clouds not here")


def clouds() -> list[Path]:
    """Every file of a cloud, and every bag."""
    files = [path for path in DATA.rglob("*") if path.suffix in SUFFIXES]
    bags = [path.parent for path in DATA.rglob("metadata.yaml")]
    return sorted(files + bags)


@pytest.mark.parametrize("path", clouds(), ids=lambda path: path.stem)
def test_every_file_loads_and_reduces(path: Path) -> None:
    for source in read_clouds(path):
        assert source.size == source.height * source.width
        cloud = Cloud(source.xyz, source.rgb)
        np.testing.assert_array_equal(cloud.valid, source.valid)
        kept = cloud.reduce(ReductionConfig(), MAX_POINTS)
        assert 3 <= len(kept.rows) <= MAX_POINTS and cloud.valid[kept.rows].all()
        assert np.array_equal(kept.nearest >= 0, cloud.valid)
        back = kept.points.astype(np.float64) + kept.origin
        np.testing.assert_allclose(back, source.xyz[kept.rows], rtol=0, atol=1e-3)


def test_all_kinds_of_clouds_are_among_them() -> None:
    found = {path.suffix for path in clouds()}
    assert found >= {".pcd", ".ply", ".npz", ""}, "the folder of a bag has no suffix"


@pytest.mark.slow
def test_the_shipped_weights_segment_tabletops_they_have_never_seen(tmp_path: Path) -> None:
    from pointsam_model.cli.app import app

    report = tmp_path / "report.json"
    arguments = ["evaluate", str(DATA / "tabletop"), "--clicks", "5", "--no-classical"]
    arguments += ["--json", str(report)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    summary = json.loads(report.read_text())["methods"]["tiny"]["summary"]
    recall = summary["recall"]
    assert summary["clouds"] == 23 and summary["objects"] == 119
    assert summary["iou_at"]["1"] >= 0.84, summary
    assert summary["iou_at"]["3"] >= 0.93, summary
    assert summary["iou_at"]["5"] >= 0.95, summary
    assert recall["ar"] >= 0.84 and recall["ar50"] >= 0.97, recall
