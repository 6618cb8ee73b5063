"""Processes that work when they are told to, each with the package of a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]


@contextmanager
def worker(
    checkout: Path, script: str, arguments: Sequence[str]
) -> Iterator[subprocess.Popen[str]]:
    """A process that runs one of this checkout's benchmarks/speed/ with the package of another.

    Args:
        checkout: whose package it imports.
        script: a file of benchmarks/speed/ that says "ready", and then answers each line with one.
        arguments: of the script.

    Raises:
        SystemExit: it does not start; it has said why.
    """
    with subprocess.Popen(
        [sys.executable, str(HERE / "benchmarks" / "speed" / script), *arguments],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        cwd=checkout,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"{' '.join([script, *arguments])}: the process did not start")
        yield process
        process.stdin.close()


def ask(process: subprocess.Popen[str], line: str = "") -> str:
    """A worker's answer to a line."""
    assert process.stdout is not None and process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return process.stdout.readline()
