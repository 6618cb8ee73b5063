"""What DDS leaves in shared memory when a process is killed: 35 MB each with our profile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

SHARED = Path("/dev/shm")
SEGMENT = re.compile(r"fastrtps_[0-9a-f]{16}")  # of one participant; ports are used again by others


def segments() -> set[Path]:
    """The segments that are there; none where there is no such folder."""
    found = SHARED.iterdir() if SHARED.is_dir() else ()
    return {path for path in found if SEGMENT.fullmatch(path.name)}


def remove_abandoned(candidates: set[Path]) -> None:
    """Removes those that no process uses any more."""
    for segment in candidates - set(_in_use()):
        segment.unlink(missing_ok=True)


def _in_use() -> Iterator[Path]:
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            lines = maps.read_text().splitlines()
        except OSError:  # it has just ended, or is somebody else's
            continue
        yield from (Path(line[line.index("/") :]) for line in lines if str(SHARED) in line)
