"""The ways of a cloud and of a click, as docs/architecture.md draws them, are those of the code."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from typing import Any

import pytest
from places import ROOT

DRAWING: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "draw_ways.py"), run_name="drawing")
MISSING: Callable[[Any], str] = DRAWING["missing"]
MOST_FILES = {"way_of_a_cloud": 14, "way_of_a_click": 14}


@pytest.mark.parametrize("way", DRAWING["WAYS"])
def test_every_step_is_in_the_code_and_the_way_is_short(way: str) -> None:
    steps = DRAWING["WAYS"][way]
    assert [text for step in steps if (text := MISSING(step))] == []
    assert len({step.file for step in steps}) <= MOST_FILES[way]
    assert (ROOT / "docs" / "images" / f"{way}.png").is_file()


def test_a_step_that_the_code_does_not_have_is_seen() -> None:
    step = DRAWING["Step"]
    assert "no file" in MISSING(step("pointsam_model/nowhere.py", "x", ""))
    assert "has no" in MISSING(step("pointsam_model/cloud/cloud.py", "Cloud.nothing", ""))
