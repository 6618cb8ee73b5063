"""`allocator`: what is freed does not stay with the process because of what is retained."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys, time
from pathlib import Path
from pointsam_ros.process.allocator import return_freed_memory

how, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

if how != "unset":
    return_freed_memory(0.1 if how == "trimmed" else 1e6)
large = bytearray(30 * 2**20)  # once freed, glibc takes blocks up to this size from the heap
del large
before = resident_mib()
freed, retained = [], []
for _ in range(count):
    freed.append(bytearray(size))
    retained.append(bytearray(10_000))
del freed
if how == "trimmed":
    time.sleep(1.0)
print(resident_mib() - before)
"""


def left_mib(how: str, count: int, size: int) -> float:
    """What stays resident of the blocks that were freed between retained ones [MiB]."""
    environment = {
        name: each for name, each in os.environ.items() if not name.startswith("MALLOC_")
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how, str(count), str(size)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return float(done.stdout)


@pytest.mark.parametrize(("how", "size"), [("set", 2**19), ("trimmed", 10**5)])
def test_freed_blocks_between_retained_ones_go_back_to_the_system(how: str, size: int) -> None:
    count = 160 * 2**20 // size
    if left_mib("unset", count, size) < 0.9 * 160:
        pytest.skip("this C library gives them back by itself")
    assert left_mib(how, count, size) < 0.2 * 160
