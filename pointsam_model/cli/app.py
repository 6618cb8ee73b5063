"""The command `pointsam`: Point-SAM on files, without ROS."""

from __future__ import annotations

import typer

from pointsam_model.cli.evaluate import evaluate
from pointsam_model.cli.fit import fit
from pointsam_model.cli.propose import propose
from pointsam_model.cli.scenes import pool, scenes
from pointsam_model.cli.segment import segment
from pointsam_model.cli.train import train

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def commands() -> None:
    """Segments any object of a 3-D point cloud from clicks, boxes and masks."""


for command in (segment, propose, evaluate, scenes, pool, train, fit):
    app.command()(command)
