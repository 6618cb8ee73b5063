"""Points the CMake files of the ROS wheels at this environment's headers.

The wheels were built elsewhere, and their CMake exports name the Python and numpy include folders
of that machine. Interfaces that depend on them fail to configure until those are this environment's
own. Safe to repeat; run it again after the wheels were installed again.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy as np

BUILDER = r"/opt/python/cp\d+-cp\d+t?"
NUMPY_INCLUDE = re.compile(BUILDER + r"/lib/python3\.\d+t?/site-packages/numpy/_?core/include")
PYTHON_INCLUDE = re.compile(BUILDER + r"/include/python3\.\d+t?")


def patch(prefix: Path) -> int:
    """Rewrites every *.cmake below `prefix`/share; returns how many files changed."""
    python_include = sysconfig.get_path("include")
    numpy_include = np.get_include()
    changed = 0
    for path in sorted((prefix / "share").rglob("*.cmake")):
        text = path.read_text(encoding="utf-8")
        patched = NUMPY_INCLUDE.sub(lambda _: numpy_include, text)
        patched = PYTHON_INCLUDE.sub(lambda _: python_include, patched)
        if patched != text:
            path.write_text(patched, encoding="utf-8")
            changed += 1
    return changed


if __name__ == "__main__":
    print(f"{patch(Path(sys.prefix))} CMake files point at this environment now")
