"""Instances that may overlap as one number for each point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pointsam_model.instances.instance import Instance


def flattened(instances: Sequence[Instance], size: int) -> NDArray[np.int32]:
    """(size,) for each point of a cloud which instance it is of: 1 is the first, 0 none.

    Where instances overlap the one with the highest score has the point, the earlier of equals.

    Args:
        instances: of one cloud, in any order.
        size: how many points the cloud has.
    """
    numbers = np.zeros(size, np.int32)
    order = sorted(range(len(instances)), key=lambda row: -instances[row].score)
    for row in reversed(order):
        numbers[instances[row].indices] = row + 1
    return numbers
