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
    # Column by column: over the short axis numpy is several times slower.
    x, y, z = xyz[:, 0], xyz[:, 1], xyz[:, 2]
    near = np.abs(x) <= FARTHEST_M  # false for NaN
    near &= np.abs(y) <= FARTHEST_M
    near &= np.abs(z) <= FARTHEST_M
    near &= (x != 0) | (y != 0) | (z != 0)
    return np.asarray(near)
