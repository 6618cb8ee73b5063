"""What tests of the project as a whole share."""

from __future__ import annotations

import runpy
from typing import Any

import pytest
import setuptools
from places import ROOT


@pytest.fixture(scope="session")
def declared() -> dict[str, Any]:
    """What setup.py passes to setuptools."""
    captured: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(setuptools, "setup", captured.update)
        patched.chdir(ROOT)
        runpy.run_path(str(ROOT / "setup.py"))
    return captured
