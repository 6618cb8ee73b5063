"""The node stands what the commands of `benchmarks/endurance` do to it, here for a short while."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from domains import free_domain
from node_process import RANDOM_MODEL
from places import ROOT

pytestmark = [pytest.mark.dds, pytest.mark.slow]


def run(command: str, output: Path, *options: str) -> dict[str, Any]:
    """What a command wrote, after it has found that all its checks hold."""
    weights = ["--preset", RANDOM_MODEL["model.preset"]]
    weights += ["--checkpoint", RANDOM_MODEL["model.checkpoint"]]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(free_domain()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [
            *(sys.executable, "-m", f"benchmarks.endurance.{command}"),
            *(*options, *weights, "--output", str(output)),
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = output.glob("*.json")
    result: dict[str, Any] = json.loads(file.read_text())
    assert result["holds"] and all(check["holds"] for check in result["checks"])
    return result


def test_mutated_clouds_and_requests_are_all_answered_and_counted(tmp_path: Path) -> None:
    result = run("malformed", tmp_path, "--mutations", "300", "--points", "300")
    assert result["asked"] == 300
    assert {"OK", "BAD_REQUEST", "BAD_CLOUD", "TOO_FAR", "NO_CLOUD"} <= set(result["codes"])


def test_a_flood_loses_no_answer(tmp_path: Path) -> None:
    # how long it takes says nothing on a machine that does other things too
    options = ("--minutes", "0.1", "--closed", "0.1", "--clients", "12", "--goals", "1")
    result = run(
        "flood", tmp_path, *options, "--processes", "2", "--points", "2000", "--most-medians", "50"
    )
    assert result["phases"]["flood"]["codes"]["OVERLOADED"] > 0


def test_memory_does_not_grow_in_a_soak(tmp_path: Path) -> None:
    # in so short a time the allocator has not yet seen the worst of it
    run("soak", tmp_path, "--minutes", "0.25", "--most-growth", "50")
