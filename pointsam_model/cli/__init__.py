"""The command `pointsam`, a file each for its subcommands."""

from pointsam_model.cli.app import app

__all__ = ["app"]
