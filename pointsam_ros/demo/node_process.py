"""The node as a process of its own, ended by its id whatever happens."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn

from pointsam_ros.process.transport import PROFILE, profile_is_chosen

ROOT = Path(__file__).parents[2]
SECONDS_TO_END = (10.0, 5.0, 5.0)  # after SIGINT, SIGTERM, SIGKILL


class NodeProcess:
    """Starts `segment_node`; leaving the context ends it.

    Args:
        parameters: ROS parameters that differ from the file, by name.
        log: file that takes what the node prints.
        program: another module that runs nodes, and its arguments.
        remappings: of ROS names, as FROM:=TO.
    """

    def __init__(
        self,
        parameters: dict[str, str],
        log: Path,
        program: Sequence[str] = ("pointsam_ros.segment_node",),
        remappings: Sequence[str] = (),
    ) -> None:
        self.log = log
        self._command = [sys.executable, "-m", *program, "--ros-args"]
        self._command += ["--params-file", str(config_file("segment.yaml"))]
        for remapping in remappings:
            self._command += ["-r", remapping]
        for name, value in parameters.items():
            self._command += ["-p", f"{name}:={value}"]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> NodeProcess:
        with self.log.open("wb") as log:
            # a session of its own: Ctrl-C reaches it once, from us
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        atexit.register(self.end)  # should a signal interrupt even the way out
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # that would leave the node behind
            signal.signal(signal.SIGTERM, _exit_as_asked)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return None if self._process is None else self._process.poll()

    def last_lines(self, count: int = 15) -> str:
        """The end of what it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def end(self) -> None:
        """Asks it to end, then insists."""
        if self._process is None:
            return
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
        for number, seconds in zip(signals, SECONDS_TO_END, strict=True):
            if self._process.poll() is not None:
                return
            self._process.send_signal(number)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue


def config_file(name: str) -> Path:
    """A file of `config/`: of the sources, or of where the package is installed.

    Raises:
        FileNotFoundError: it is in neither.
    """
    for folder in (ROOT / "config", *_installed()):
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(f"{name} is neither in {ROOT / 'config'} nor installed")


def _installed() -> list[Path]:
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(":")
    return [Path(prefix) / "share" / "pointsam_ros" / "config" for prefix in prefixes if prefix]


def private_environment() -> None:
    """Settings of the middleware for this process and the node: a domain of our own, this machine
    only, and shared memory for large clouds. What the user has set stays."""
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    if not profile_is_chosen():
        os.environ[PROFILE] = str(config_file("fastdds_large_clouds.xml"))


def _exit_as_asked(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
