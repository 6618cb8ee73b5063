"""Rate-limited log lines, for problems that recur with every cloud."""

from __future__ import annotations

import time
from collections.abc import Callable

LOGGED_S = 60.0


class Rarely:
    """Logs at most one line per LOGGED_S; the diagnostics show the problem all the time.

    Args:
        log: writes a line.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._next = float("-inf")

    def __call__(self, line: str) -> None:
        """Logs a line, unless one was logged less than LOGGED_S ago."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LOGGED_S
            self._log(line)
