"""The peak of this process's memory during a piece of work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROCESS = Path("/proc/self")


@dataclass
class Peak:
    """MiB needed at most beyond what was in use before; None where Linux does not tell."""

    mib: float | None = None


@contextmanager
def peak_memory_mib() -> Iterator[Peak]:
    """Measures the work inside; the result is there on leaving."""
    peak = Peak()
    before = _reset()
    yield peak
    if before is not None:
        peak.mib = _status("VmHWM") - before


def _reset() -> float | None:
    """Makes the kernel forget the earlier peak; what is in use now [MiB]."""
    try:
        (PROCESS / "clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return None


def _status(name: str) -> float:
    for line in (PROCESS / "status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    raise OSError(f"{name} is not in {PROCESS / 'status'}")
