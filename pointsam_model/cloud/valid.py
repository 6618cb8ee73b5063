"""Which points are valid: those that are returns of the sensor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FARTHEST_M = 1e9  # beyond any sensor's range; some drivers send FLT_MAX for "no return"


def valid_points(xyz: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) bool: which of the points (n,3) [m] are valid.

    Invalid: a coordinate is NaN, infinite or beyond FARTHEST_M, or all three are 0.
    """
    near = np.abs(xyz) <= FARTHEST_M  # false for NaN
    some = xyz != 0
    # Column by column: over the short axis numpy is several times slower.
    seen = near[:, 0] & near[:, 1] & near[:, 2] & (some[:, 0] | some[:, 1] | some[:, 2])
    return np.asarray(seen)
