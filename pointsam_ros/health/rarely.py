"""Log lines on what is wrong with one cloud after the other."""

from __future__ import annotations

import time
from collections.abc import Callable

LOGGED_S = 60.0


class Rarely:
    """Passes on a line at most once in LOGGED_S; the diagnostics tell it all the time.

    Args:
        log: takes a line.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._next = float("-inf")

    def __call__(self, line: str) -> None:
        """Logs a line, unless one was logged a moment ago."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LOGGED_S
            self._log(line)
