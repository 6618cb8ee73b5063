"""Generates the parameter reference, `docs/parameters.md`, from the typed settings.

`python -m pointsam_ros.parameter_reference` prints it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from pointsam_model.config.building import settings
from pointsam_ros.config import NodeConfig, is_live, range_of, yaml_value

HEAD = """# Parameters

All parameters of the node `pointsam`. This page is made by
`python -m pointsam_ros.parameter_reference` from the settings in the code, as is
[config/segment.yaml](../config/segment.yaml), a file to copy and change.

*Live* parameters may be changed while the node runs (`ros2 param set`); the others are read when it
starts. A value out of range is refused with the valid range.

## How values are written

- A whole number is accepted for any number: `-p clouds.max_age_s:=1` and
  `ros2 param set /pointsam clouds.max_age_s 1` mean 1.0.
- All numbers of a list must have the same type: `[1.0, 2.5, 3.0]`. ROS itself cannot read
  `[1, 2.5, 3]`, and the node then exits with that reason.
- A string that YAML would read as something else needs its own quotes:
  `-p 'model.preset:="2024"'`.
- A parameter that does not exist is ignored at start, with a warning in the log, and refused
  while the node runs.
"""
COLUMNS = ("name", "default", "range", "live", "what it is")


def as_markdown(config: NodeConfig) -> str:
    """The reference in Markdown: a table for each section of the settings."""
    by_section = groupby(
        settings(config), lambda setting: setting[0].rpartition(".")[0].split(".")[0]
    )
    return "\n".join(
        [HEAD, *(line for section in by_section for line in _section(config, *section))]
    )


def _section(config: NodeConfig, name: str, members: Iterator[Any]) -> Iterator[str]:
    if name:
        yield f"## {name}\n"
        yield _purpose(getattr(config, name)) + "\n"
    yield _row(*COLUMNS)
    yield _row(*("---" for _ in COLUMNS))
    for full_name, value, metadata in members:
        yield _row(
            f"`{full_name}`",
            f"`{yaml_value(value)}`",
            range_of(value, metadata),
            "yes" if is_live(full_name) else "no",
            metadata["description"],
        )
    yield ""


def _purpose(section: Any) -> str:
    """The first sentence of the section's own docstring."""
    assert dataclasses.is_dataclass(section)
    return (type(section).__doc__ or "").split("\n\n")[0].strip()


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    print(as_markdown(NodeConfig()), end="")
