"""How long things take, beside the published way or an earlier version."""
