"""CSV logs that a resumed run continues as if it had not been stopped."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path


class CsvLog:
    """A CSV file with a header; each row starts with its step and is on disk once written.

    Args:
        path: made if absent. A kill leaves rows of steps that the resumed run takes again, the
            last one perhaps cut short: opening drops them.
        columns: names, the step's first.
        step: the first step that is still to come.
    """

    def __init__(self, path: Path, columns: Sequence[str], step: int) -> None:
        rows = _rows_before(step, path, len(columns)) if path.exists() else []
        partial = path.with_suffix(".partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([columns, *rows])
        partial.replace(path)
        self._file = path.open("a", newline="", encoding="utf-8", buffering=1)
        self._writer = csv.writer(self._file, lineterminator="\n")

    def write(self, step: int, values: Sequence[str]) -> None:
        """Adds a row."""
        self._writer.writerow([step, *values])

    def close(self) -> None:
        """Ends it."""
        self._file.close()


def _rows_before(step: int, path: Path, columns: int) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [
            row
            for row in csv.reader(file)
            if len(row) == columns and row[0].isdigit() and int(row[0]) < step
        ]
