"""Flattens instances, which may overlap, to one label per point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pointsam_model.instances.instance import Instance


def flattened(instances: Sequence[Instance], size: int) -> NDArray[np.int32]:
    """Labels each point of a cloud with its instance: (size,) int32, 1 the first, 0 none.

    Where instances overlap, the one with the highest score gets the point, the first in a tie.

    Args:
        instances: of one cloud, in any order.
        size: number of points in the cloud.
    """
    numbers = np.zeros(size, np.int32)
    order = sorted(range(len(instances)), key=lambda row: -instances[row].score)
    for row in reversed(order):
        numbers[instances[row].indices] = row + 1
    return numbers
