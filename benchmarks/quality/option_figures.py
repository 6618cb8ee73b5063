"""The figures of `training_options`: kept in files, compared, shown as a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from rich.table import Table

from benchmarks.quality.option_trials import NOT_TRAINED, Measured

MEASURES = ("iou1", "best1", "iou3", "iou5", "prompted")
TITLES = ("IoU@1", "best of click 1", "IoU@3", "IoU@5", "from a foreign mask")
RUNS = ("option", "steps", "cpu_s")


class Figures:
    """Figures of options, read from a folder and written there as they come.

    `objects.csv` has a row for each object and option, `runs.csv` one for each option; an option
    that is in `runs.csv` is complete.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs = {row["option"]: row for row in _rows(folder / "runs.csv")}
        self._objects: dict[str, list[Measured]] = {}
        for row in _rows(folder / "objects.csv"):
            values = (float(row[name]) for name in Measured._fields[2:])
            measured = Measured(row["kind"], int(row["cloud"]), *values)
            self._objects.setdefault(row["option"], []).append(measured)

    def has(self, option: str) -> bool:
        """Whether this option needs no trial any more."""
        return option in self._runs

    def add(self, option: str, steps: int, seconds: float, measured: Iterable[Measured]) -> None:
        """Keeps what an option gave."""
        objects = list(measured)
        self._objects[option] = objects
        rows = [(option, *one) for one in objects]
        _append(self.folder / "objects.csv", ("option", *Measured._fields), rows)
        values = (option, str(steps), f"{seconds:.1f}")
        _append(self.folder / "runs.csv", RUNS, [values])
        self._runs[option] = dict(zip(RUNS, values, strict=True))

    def compared(self, option: str, measure: str, with_option: str = "") -> tuple[float, float]:
        """Mean and standard error of a measure, or of its gain over another option [per cent].

        Objects of one cloud are one sample: errors are those of a mean over clusters.
        """
        objects = self._objects[option]
        values = 100 * np.array([getattr(one, measure) for one in objects])
        if with_option:
            values -= 100 * np.array([getattr(one, measure) for one in self._objects[with_option]])
        clouds: dict[tuple[str, int], float] = {}
        for measured, off in zip(objects, values - values.mean(), strict=True):
            place = measured.kind, measured.cloud
            clouds[place] = clouds.get(place, 0.0) + float(off)
        error = float(np.sqrt(np.square(list(clouds.values())).sum())) / len(values)
        return float(values.mean()), error

    def table(self, baselines: Mapping[str, str]) -> Table:
        """Means of all options and, in brackets, gains over their baselines."""
        some = next(iter(self._objects.values()))
        clouds = len({(one.kind, one.cloud) for one in some})
        given = 100 * np.mean([one.given for one in some])
        table = Table(
            "option",
            "steps",
            "CPU s",
            *TITLES,
            title=f"{len(some)} held-out objects of {clouds} clouds",
            caption=f"per cent ± standard error; the foreign masks themselves: {given:.1f}",
        )
        for option, run in self._runs.items():
            baseline = baselines.get(option, "")
            cells = [self._cell(option, measure, baseline) for measure in MEASURES]
            table.add_row(option, run["steps"], f"{float(run['cpu_s']):.0f}", *cells)
        return table

    def _cell(self, option: str, measure: str, baseline: str) -> str:
        mean, error = self.compared(option, measure)
        cell = f"{mean:.1f} ± {error:.1f}"
        if not self.has(baseline):
            return cell
        against = NOT_TRAINED if baseline == option else baseline
        gain, error = self.compared(option, measure, against)
        return f"{cell}\n({gain:+.1f} ± {error:.1f})"

    def write_summary(self, baselines: Mapping[str, str]) -> Path:
        """`summary.csv`: a row for each option and measure."""
        path = self.folder / "summary.csv"
        path.unlink(missing_ok=True)
        rows = []
        for option, run in self._runs.items():
            baseline = baselines.get(option, "")
            against = NOT_TRAINED if baseline == option else baseline
            for measure in MEASURES:
                values = self.compared(option, measure)
                gain = self.compared(option, measure, against) if self.has(against) else ()
                numbers = [f"{value:.2f}" for value in (*values, *gain)]
                rows.append((option, run["steps"], run["cpu_s"], measure, against, *numbers))
        names = ("measure", "compared_with", "mean", "error", "gain", "gain_error")
        _append(path, (*RUNS, *names), rows)
        return path


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _append(path: Path, names: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(names)
        writer.writerows(rows)
