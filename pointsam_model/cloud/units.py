"""Detects clouds in millimetres: some drivers forget to convert.

No depth camera sees a scene that begins beyond a hundred metres, but every one sees scenes that
begin beyond a hundred millimetres. So only clouds whose grid is clearly a camera's are checked, by
distances from that camera; a map, a survey in UTM or a LiDAR sweep may be of any size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsam_model.cloud.viewpoint import field_of

NEAREST, MEDIAN = 100.0, 200.0  # least distances from the camera of a scene in millimetres
FARTHEST = 65_536.0  # greatest distance in a 16-bit depth image in millimetres
LEAST_FIELD = np.radians(8)  # least half field of view of a camera; a raster of heights has none


def may_be_millimetres(points: NDArray[Any]) -> bool:
    """Whether the extent of points (k,3) is large enough for `doubt` to find anything."""
    return bool((np.ptp(points, axis=0) > NEAREST / 2).any())


def doubt(points: NDArray[Any], camera: NDArray[np.float64]) -> str:
    """Why a camera's cloud is probably in millimetres, as a message; empty: it is not.

    Args:
        points: (k,3) valid points.
        camera: (3,) its position, in the same unit.
    """
    rays = points - camera
    ranges = np.linalg.norm(rays, axis=1)
    nearest, median, farthest = np.quantile(ranges, (0.01, 0.5, 0.99))
    if nearest < NEAREST or median < MEDIAN or farthest > FARTHEST or field_of(rays) < LEAST_FIELD:
        return ""
    return (
        f"the cloud is probably in millimetres: half of its points are farther than {median:.0f} "
        f"from the camera, and nearly none is nearer than {nearest:.0f}. Coordinates must be in "
        "metres: divide them by 1000, or set the driver's depth scale. If they are in metres, "
        "ignore this warning"
    )
