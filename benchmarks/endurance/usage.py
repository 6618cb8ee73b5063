"""What a process takes of the machine, as Linux tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SHARED = "/dev/shm/"


@dataclass(frozen=True)
class Usage:
    """What a process has at one moment.

    Attributes:
        rss_mib: resident memory, all of it.
        anon_mib: of that, what the process has allocated itself.
        shared_mib: of that, shared memory (the middleware's segments).
        peak_mib: the greatest resident memory so far.
        threads: how many.
        files: open file descriptors.
        segments: mapped files of shared memory.
    """

    rss_mib: float
    anon_mib: float
    shared_mib: float
    peak_mib: float
    threads: int
    files: int
    segments: int


def usage_of(pid: int) -> Usage:
    """The usage of a process of ours.

    Raises:
        OSError: it has ended, or this is not Linux.
    """
    process = Path(f"/proc/{pid}")
    lines = (line.split(":", 1) for line in (process / "status").read_text().splitlines())
    status = {name: value.split() for name, value in lines}

    def mib(name: str) -> float:
        return int(status[name][0]) / 1024

    return Usage(
        rss_mib=mib("VmRSS"),
        anon_mib=mib("RssAnon"),
        shared_mib=mib("RssShmem"),
        peak_mib=mib("VmHWM"),
        threads=int(status["Threads"][0]),
        files=sum(1 for _ in (process / "fd").iterdir()),
        segments=len(_shared_files(process)),
    )


def _shared_files(process: Path) -> set[str]:
    columns = (line.split(maxsplit=5) for line in (process / "maps").read_text().splitlines())
    return {it[5] for it in columns if len(it) == 6 and it[5].startswith(SHARED)}
