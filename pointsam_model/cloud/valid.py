"""What a usable point is: one at which the sensor saw something."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FARTHEST_M = 1e9  # beyond it lies no return of any sensor; some drivers send FLT_MAX for "nothing"


def valid_points(xyz: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) which of the points (n,3) [m] are returns.

    No return: a coordinate that is NaN, infinite or beyond FARTHEST_M, or all three 0.
    """
    near = np.abs(xyz) <= FARTHEST_M  # false for NaN
    some = xyz != 0
    # Column by column: over the short axis numpy is several times slower.
    seen = near[:, 0] & near[:, 1] & near[:, 2] & (some[:, 0] | some[:, 1] | some[:, 2])
    return np.asarray(seen)
