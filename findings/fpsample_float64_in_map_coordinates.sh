#!/bin/sh
# fpsample 1.0.2 with NumPy 2.2.6: a float64 cloud is cast to float32 before it is sampled, without
# a warning. Seen with 200 rows out of 2,000 points in a cube of 1 m, as how far a point is at most
# from the nearest row (the lower, the better):
#   around the origin                        0.15 m
#   the same cube in UTM coordinates         0.23 m
#   rows drawn at random                     0.22 to 0.31 m
# float64 holds the moved points to 10 nanometres. float32 has steps of 0.03 m along the easting and
# of 0.5 m along the northing: farthest point sampling is then no better than chance. Relative to
# any point of the cloud the rows are those around the origin again.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet fpsample==1.0.2 numpy==2.2.6
"$folder/venv/bin/python" -W error - <<'PYTHON'
from importlib.metadata import version

import fpsample
import numpy as np

assert version("fpsample") == "1.0.2", version("fpsample")
UTM = np.array([450_000.0, 4_500_000.0, 100.0])
rng = np.random.default_rng(0)
cloud = rng.random((2000, 3))
moved = cloud + UTM
assert np.abs((moved - UTM) - cloud).max() < 1e-8, "float64 holds it"


def farthest(rows: np.ndarray) -> float:
    """How far [m] a point is at most from the nearest of some rows."""
    return float(np.linalg.norm(cloud[:, None] - cloud[rows][None], axis=2).min(1).max())


def sampled(points: np.ndarray) -> np.ndarray:
    return np.asarray(fpsample.fps_sampling(points, 200, start_idx=0), np.int64)


here, there = farthest(sampled(cloud)), farthest(sampled(moved))
chance = sorted(farthest(rng.choice(2000, 200, replace=False)) for _ in range(20))
print(f"around the origin: {here:.3f} m")
print(f"in UTM coordinates: {there:.3f} m")
print(f"at random: {chance[0]:.3f} to {chance[-1]:.3f} m")
assert here < 0.16
assert there > 0.2, "fpsample keeps float64 now: this finding is out of date"
assert (sampled(moved - moved[0]) == sampled(cloud)).all(), "the cast is not all that differs"
PYTHON
