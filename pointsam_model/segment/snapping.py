"""A click belongs to the cloud's nearest point, where that is near enough to be what was meant."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from pointsam_model.cloud.cloud import Cloud
from pointsam_model.cloud.valid import FARTHEST_M
from pointsam_model.errors import PromptError, TooFarError

SPACINGS = 3.0  # between the points of a cloud of unknown sensor, that a click may be off


def snap(
    cloud: Cloud, points: npt.ArrayLike, radius_m: float, range_fraction: float, extent_m: float
) -> NDArray[np.float64]:
    """The valid points of a cloud nearest to clicks: (q, 3) float64 [m].

    Args:
        cloud: the source.
        points: (q, 3), clicks [m].
        radius_m: a click may be this far off everywhere.
        range_fraction: or this share of its distance to the sensor, which errs the more the farther
            it sees. Where its place is not known (`Cloud.sensor`), a click may be off by SPACINGS
            of the points there, and by this share of the cloud's extent at most.
        extent_m: of the cloud, from corner to corner.

    Raises:
        PromptError: a coordinate that is not finite.
        TooFarError: a click farther from every point than that.
    """
    points = np.asarray(points, np.float64).reshape(-1, 3)
    if len(points) == 0:  # a box may be all that is said
        return points
    check_finite(points)
    # No point of a cloud is so far off; squares of larger numbers would overflow.
    near = points.clip(-2 * FARTHEST_M, 2 * FARTHEST_M)
    nearest, distances = cloud.snap(near)
    far = np.flatnonzero(distances > radius_m)
    if len(far) == 0:  # most often; then nobody needs to know where the sensor was
        return nearest
    known = cloud.sensor
    if known is not None:
        reasons = range_fraction * np.linalg.norm(near[far] - known, axis=1)
        why = "predictor.snap_radius_m, predictor.snap_range_fraction"
    else:
        reasons = np.minimum(SPACINGS * cloud.spacing(nearest[far]), range_fraction * extent_m)
        why = (
            f"predictor.snap_radius_m, or {SPACINGS:g} times the points' spacing, as nothing tells "
            "where this cloud's sensor stood"
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
    """A place for a person to read."""
    numbers = (f"{x:.3f}" if abs(x) <= FARTHEST_M else f"{x:g}" for x in point)
    return f"({', '.join(numbers)}) m"


def check_finite(points: NDArray[np.float64]) -> None:
    """Whether clicks (q, 3) are somewhere.

    Raises:
        PromptError: a coordinate is NaN or infinite.
    """
    for row in np.flatnonzero(~np.isfinite(points).all(1)):
        raise PromptError(f"click {row + 1} is {points[row].tolist()}; it must be finite")
