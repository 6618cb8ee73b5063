"""`--topic`, `--index` and `--time` choose a cloud of a recording."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from places import TINY
from recorded import bag, cdr
from rich.console import Console
from typer.testing import CliRunner

from pointsam_model.cli import options
from pointsam_model.cli.app import app
from pointsam_model.data.readers import read_cloud

RANDOM = ["--model", str(TINY / "config.json"), "--checkpoint", str(TINY / "weights.safetensors")]
SURFACE = np.random.default_rng(0).random((600, 3), np.float32) + 1


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Three clouds on /points, each a metre further, a second apart; an empty one on /other."""
    clouds = [("/points", 5.0 + x, cdr(SURFACE + np.float32([x, 0, 0]))) for x in range(3)]
    other = [("/other", 5.0, cdr(SURFACE[:0]))]
    return bag(tmp_path / "bag", [*clouds, *other], topics=("/points", "/other"))


@pytest.mark.parametrize(
    ("chosen", "number"),
    [([], 0), (["--index", "1"], 1), (["--index", "-1"], 2), (["--time", "0.5"], 1)],
)
@pytest.mark.parametrize("command", ["segment", "propose"])
def test_options_choose_the_cloud(
    recording: Path, tmp_path: Path, command: str, chosen: list[str], number: int
) -> None:
    out = tmp_path / "found.npz"
    x, y, z = (SURFACE[0] + [number, 0, 0]).tolist()
    what = ["--click", f"{x},{y},{z}"] if command == "segment" else ["--max-instances", "1"]
    arguments = [command, str(recording), *what, *chosen, *RANDOM, "--output", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(read_cloud(out).xyz, SURFACE + np.float32([number, 0, 0]))


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        (["--index", "3"], "index is 3; /points has 3 messages, 0 to 2"),
        (["--time", "9"], "time is 9.0 s; the last message on /points is 2.000 s"),
        (["--index", "0", "--time", "0"], "not both"),
        (["--topic", "/up"], "no PointCloud2 topic /up; it has /points, /other"),
        (["--topic", "/other"], "none of the 1 messages on /other can be read"),
    ],
)
def test_what_is_beyond_the_recording_is_refused_in_one_line(
    recording: Path, chosen: list[str], reason: str
) -> None:
    result = CliRunner().invoke(app, ["segment", str(recording), "--click", "1,1,1", *chosen])
    assert result.exit_code == 1
    assert reason in result.stderr and result.stderr.count("\n") == 1


def test_a_bar_shows_on_a_terminal_how_far_the_indexing_is(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for terminal in (True, False):
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal)
        monkeypatch.setattr(options, "console", console)
        monkeypatch.setattr(options, "SHOWN_AFTER_S", 0)
        cloud = options.read_source(recording, "", 0, 2, None)
        assert cloud.name == "/points[2]"
        assert ("reading the recording" in out.getvalue()) == terminal
