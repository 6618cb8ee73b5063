"""Whether a cloud is plainly in millimetres: some drivers forget to divide.

No depth camera sees a scene that begins beyond a hundred metres, but every one sees scenes that
begin beyond a hundred millimetres. So only clouds whose grid is plainly a camera's are judged, by
distances from that camera: a map, a survey in UTM or a LiDAR's sweep may be as large as it likes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsam_model.cloud.viewpoint import field_of

NEAREST, MEDIAN = 100.0, 200.0  # that a scene in millimetres is away from its camera, at least
FARTHEST = 65_536.0  # that a depth image of 16 bit can tell in millimetres
LEAST_FIELD = np.radians(8)  # half the field of a camera; a raster of heights has next to none


def may_be_millimetres(points: NDArray[Any]) -> bool:
    """Whether points (k,3) are so far apart that it is worth a closer look."""
    return bool((np.ptp(points, axis=0) > NEAREST / 2).any())


def doubt(points: NDArray[Any], camera: NDArray[np.float64]) -> str:
    """Why a camera's cloud is plainly in millimetres, for a person; empty: it is not.

    Args:
        points: (k,3) valid ones.
        camera: (3,) where it stood, in their units.
    """
    rays = points - camera
    ranges = np.linalg.norm(rays, axis=1)
    nearest, median, farthest = np.quantile(ranges, (0.01, 0.5, 0.99))
    if nearest < NEAREST or median < MEDIAN or farthest > FARTHEST or field_of(rays) < LEAST_FIELD:
        return ""
    return (
        f"the cloud is probably in millimetres: half of its points are farther than {median:.0f} "
        f"from the camera, and nearly none is nearer than {nearest:.0f}. Everything here is in "
        "metres: divide the coordinates by 1000, or set the driver's depth scale. If it is metres, "
        "all is well"
    )
