"""The command `pointsam`, with one module per subcommand."""

from pointsam_model.cli.app import app

__all__ = ["app"]
