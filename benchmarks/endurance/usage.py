"""What a process takes of the machine, as Linux tells."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median_low

WARM_UP_SHARE = 1 / 4  # of the time: sessions fill, and the allocator sees its worst
END_SHARE = 0.1  # of the samples after it: so many at either end make a median
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
    return {column[5] for column in columns if len(column) == 6 and column[5].startswith(SHARED)}


class UsageOverTime:
    """Samples of a process, taken by a thread while other things are done.

    Args:
        pid: of the process.
        period_s: time between two samples [s].
    """

    def __init__(self, pid: int, period_s: float) -> None:
        self._pid = pid
        self._period_s = period_s
        self._samples: list[Usage] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> UsageOverTime:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def samples(self) -> list[Usage]:
        """All so far."""
        return list(self._samples)

    def _run(self) -> None:
        while not self._done.wait(self._period_s):
            try:
                self._samples.append(usage_of(self._pid))
            except OSError:  # the process has ended; whoever waits for its answers will tell
                return


def first_and_last(samples: Sequence[Usage]) -> tuple[Usage, Usage]:
    """What the process used after its warm-up and at the end: medians, as single samples jump."""
    warm = samples[int(WARM_UP_SHARE * len(samples)) :]
    count = max(1, round(END_SHARE * len(warm)))
    return _medians(warm[:count]), _medians(warm[-count:])


def _medians(samples: Sequence[Usage]) -> Usage:
    return Usage(
        **{field.name: median_low(getattr(sample, field.name) for sample in samples)
           for field in fields(Usage)}
    )  # fmt: skip
