"""Snaps clicks to the nearest point of the cloud, and refuses those that are too far from any."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from pointsam_model.cloud.cloud import Cloud
from pointsam_model.cloud.valid import FARTHEST_M
from pointsam_model.errors import PromptError, TooFarError

SPACINGS = 3.0  # local point spacings that a click may be off if the sensor's position is unknown


def snap(
    cloud: Cloud, points: npt.ArrayLike, radius_m: float, range_fraction: float, extent_m: float
) -> NDArray[np.float64]:
    """The valid points of a cloud nearest to clicks: (q, 3) float64 [m].

    Args:
        cloud: the source.
        points: (q, 3), clicks [m].
        radius_m: greatest distance of a click from the nearest point [m].
        range_fraction: or, if greater, this fraction of the click's distance to the sensor, whose
            error grows with range. If the sensor's position is unknown (`Cloud.sensor`), SPACINGS
            times the local point spacing, at most this fraction of the cloud's extent.
        extent_m: diagonal of the cloud's bounding box [m].

    Raises:
        PromptError: a coordinate that is not finite.
        TooFarError: a click is farther than that from every point.
    """
    points = np.asarray(points, np.float64).reshape(-1, 3)
    if len(points) == 0:  # the prompt may be a box alone
        return points
    check_finite(points)
    # No valid point is beyond this; squares of larger numbers would overflow.
    near = points.clip(-2 * FARTHEST_M, 2 * FARTHEST_M)
    nearest, distances = cloud.snap(near)
    far = np.flatnonzero(distances > radius_m)
    if len(far) == 0:  # the usual case; finding the sensor's position takes time
        return nearest
    known = cloud.sensor
    if known is not None:
        reasons = range_fraction * np.linalg.norm(near[far] - known, axis=1)
        why = "predictor.snap_radius_m, predictor.snap_range_fraction"
    else:
        reasons = np.minimum(SPACINGS * cloud.spacing(nearest[far]), range_fraction * extent_m)
        why = (
            f"predictor.snap_radius_m, or {SPACINGS:g} times the local point spacing, because the "
            "position of this cloud's sensor is unknown"
        )
    allowed = np.maximum(radius_m, reasons)
    for click, at_most in zip(far, allowed, strict=True):
        if distances[click] > at_most:
            raise TooFarError(
                f"click {click + 1} at {meters(points[click])} is {distances[click]:.7g} m from "
                f"the nearest point, {meters(nearest[click])}; at most {at_most:.3f} m is "
                f"allowed there ({why})"
            )
    return nearest


def meters(point: np.ndarray) -> str:
    """Formats a point (3,) [m] for messages."""
    numbers = (f"{x:.3f}" if abs(x) <= FARTHEST_M else f"{x:g}" for x in point)
    return f"({', '.join(numbers)}) m"


def check_finite(points: NDArray[np.float64]) -> None:
    """Checks the coordinates of clicks (q, 3).

    Raises:
        PromptError: a coordinate is NaN or infinite.
    """
    for row in np.flatnonzero(~np.isfinite(points).all(1)):
        raise PromptError(f"click {row + 1} is {points[row].tolist()}; it must be finite")
