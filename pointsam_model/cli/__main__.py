"""`python -m pointsam_model.cli`."""

from pointsam_model.cli.app import app

app()
