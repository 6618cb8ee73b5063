"""The node as a process of its own, ended by its id whatever happens."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from pointsam_ros.transport import PROFILE, profile_is_chosen

ROOT = Path(__file__).parents[2]
SECONDS_TO_END = 20.0  # after the signal, before it is killed


class NodeProcess:
    """Starts `segment_node`; leaving the context ends it.

    Args:
        parameters: ROS parameters that differ from the file, by name.
        log: file that takes what the node prints.
        program: another module that runs nodes, and its arguments.
        remappings: of ROS names, as FROM:=TO.
        environment: variables that differ from this process's.
    """

    def __init__(
        self,
        parameters: Mapping[str, Any],
        log: Path,
        program: Sequence[str] = ("pointsam_ros.segment_node",),
        remappings: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._log = log
        self._command = [sys.executable, "-m", *program, "--ros-args"]
        self._command += ["--params-file", str(config_file("segment.yaml"))]
        for remapping in remappings:
            self._command += ["-r", remapping]
        self._command += parameter_arguments(parameters)
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> NodeProcess:
        with self._log.open("wb") as log:
            # a session of its own: Ctrl-C reaches it once, from us
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        atexit.register(self.end)  # should a signal interrupt even the way out
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # that would leave the node behind
            signal.signal(signal.SIGTERM, _exit_as_asked)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; minus a signal's number where that ended it."""
        return None if self._process is None else self._process.poll()

    @property
    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace")

    def last_lines(self, count: int = 15) -> str:
        """The end of what it has printed."""
        return "\n".join(self.log.splitlines()[-count:])

    def end(self, with_signal: int = signal.SIGTERM) -> int | None:
        """Asks it to end, then insists; its exit status."""
        if self._process is None:
            return None
        for number in (with_signal, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(number)
            try:
                return self._process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                continue
        return None


def parameter_arguments(parameters: Mapping[str, Any]) -> list[str]:
    """ROS parameters by name, as a node's command line takes them."""
    arguments = []
    for name, value in parameters.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        arguments += ["-p", f"{name}:={text}"]
    return arguments


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
