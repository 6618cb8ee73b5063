"""Nodes that start at once: forked from a process that has imported everything and run nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node_process import RANDOM_MODEL, WAIT_S, environment_of, status_of

from pointsam_ros.client.node_process import parameter_arguments

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["pointsam_ros.segment_node"])


class ForkedNode:
    """As NodeProcess, for tests that start many.

    Args:
        domain, log: as there.
        prepare: called in the node's process before its first line.
        parameters: over random weights, `__` for a dot.
    """

    def __init__(
        self, domain: int, log: Path, prepare: Callable[[], None] | None = None, **parameters: Any
    ) -> None:
        named = {name.replace("__", "."): value for name, value in parameters.items()}
        arguments = ["--ros-args", *parameter_arguments({**RANDOM_MODEL, **named})]
        environment = {**os.environ, **environment_of(domain)}
        self._log = log
        self._older = set(Path("/dev/shm").iterdir())
        self._process = _forks.Process(target=_run, args=(log, arguments, environment, prepare))
        self._process.start()

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int:
        return self._process.pid

    def status(self, name: str) -> int:
        """A number of its /proc/PID/status, memory in KiB."""
        return status_of(self.pid, name)

    def send(self, number: int) -> None:
        if self._process.is_alive():
            os.kill(self.pid, number)

    def listens_to_signals(self) -> bool:
        """Whether the node's first line has run; before it a signal ends any Python program."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)

    def shared_memory(self) -> set[Path]:
        """The segments of /dev/shm that are this node's own, not those of whom it talks to."""
        mapped = Path(f"/proc/{self.pid}/maps").read_text().split()
        segments = {Path(each) for each in mapped if each.startswith("/dev/shm/fastrtps_")}
        return {segment for segment in segments - self._older if "_port" not in segment.name}

    def end(self, with_signal: int = signal.SIGINT) -> int:
        """Sends a signal; gives the exit status, minus a signal's number where that ended it."""
        self.send(with_signal)
        return self.wait()

    def wait(self) -> int:
        self._process.join(WAIT_S)
        alive = self._process.is_alive()
        self.kill()
        assert not alive, f"the node did not end within {WAIT_S} s:\n{self.log}"
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def _run(
    log: Path, arguments: list[str], environment: dict[str, str], prepare: Callable[[], None] | None
) -> None:
    os.environ.update(environment)
    output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    from pointsam_ros.segment_node import main

    if prepare is not None:
        prepare()
    sys.exit(main(arguments))
