"""What a run has found: each check as one line, all of it as a file."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from benchmarks.speed.machine import machine

RESULTS = Path(__file__).parents[1] / "results"


class Verdict:
    """Gathers checks and figures of one run.

    Args:
        name: of the command.
        output: folder of the file; None: none is written.
    """

    def __init__(self, name: str, output: Path | None) -> None:
        self._name = name
        self._output = output
        self._began = datetime.now(timezone.utc)
        self._report: dict[str, Any] = {
            "benchmark": name,
            "date": self._began.isoformat(timespec="seconds"),
            **machine(),
        }
        self._checks: list[dict[str, Any]] = []
        self._console = Console(highlight=False, soft_wrap=True)

    @property
    def good(self) -> bool:
        """Whether every check so far holds."""
        return all(check["holds"] for check in self._checks)

    def say(self, text: str) -> None:
        """Prints a line: what is being done, or a figure."""
        self._console.print(escape(text))

    def figures(self, **values: Any) -> None:
        """Keeps numbers for the file."""
        self._report.update(values)

    def check(self, what: str, holds: bool, found: str) -> None:
        """Keeps and prints whether something that must hold does, with what was found."""
        self._checks.append({"check": what, "holds": bool(holds), "found": found})
        mark = "[green]holds[/]" if holds else "[bold red]FAILS[/]"
        self._console.print(f"{mark}  {escape(what)}: {escape(found)}")

    def close(self) -> int:
        """Prints the verdict, writes the file; the exit status: 0 where all holds, else 1."""
        failed = sum(not check["holds"] for check in self._checks)
        said = f"{failed} of {len(self._checks)} checks fail" if failed else "all checks hold"
        colour = "bold red" if failed else "bold green"
        self._console.print(f"[{colour}]{self._name}: {said}[/]")
        if self._output is not None:
            self._output.mkdir(parents=True, exist_ok=True)
            file = self._output / f"{self._name}-{self._began:%Y-%m-%dT%H%M%S}.json"
            report = {**self._report, "checks": self._checks, "holds": not failed}
            file.write_text(json.dumps(report, indent=1) + "\n")
            self._console.print(f"numbers: {file}")
        return 1 if failed else 0
