"""Views of a cloud: of all masked objects, or of one of them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pointsam_model.data.clouds import SensorCloud
from pointsam_model.pictures.image import is_image
from pointsam_model.pictures.splat import View

VIEW_SIZE = (620, 1000)  # rows, columns [pixels]
CLOSE_UP_SIZE = (420, 420)


def overview(
    xyz: NDArray[np.floating],
    number: NDArray[np.int64],
    clicks: NDArray[np.floating],
    up: NDArray[np.float64],
) -> View:
    """A view of masked points, clicks and the middle of all others, from above at an angle."""
    centre = np.median(xyz, axis=0).astype(np.float64)
    radius = float(np.quantile(np.linalg.norm(xyz - centre, axis=1), 0.8))
    masked = np.concatenate([xyz[number >= 0], clicks])
    if len(masked):
        centre = (masked.min(axis=0).astype(np.float64) + masked.max(axis=0)) / 2
        reach = float(np.linalg.norm(masked - centre, axis=1).max())
        radius = float(np.clip(1.15 * reach, 0.25 * radius, 1.5 * radius))
    return View(centre, radius, _looking(xyz, centre, up, 35.0), up, VIEW_SIZE)


def close_up(
    xyz: NDArray[np.floating], masked: NDArray[np.floating], up: NDArray[np.float64]
) -> View:
    """A view filled by one masked object, with a little of its surroundings."""
    centre = (masked.min(axis=0).astype(np.float64) + masked.max(axis=0)) / 2
    radius = float(np.quantile(np.linalg.norm(masked - centre, axis=1), 0.98))
    extent = float(np.linalg.norm(np.ptp(xyz, axis=0)))
    radius = max(1.5 * radius, 1e-3 * extent, 1e-6)
    return View(centre, radius, _looking(xyz, centre, up, 22.0), up, CLOSE_UP_SIZE)


def up_axis(cloud: SensorCloud) -> NDArray[np.float64]:
    """(3,) the up direction: -y in an optical coordinate frame, else z (REP 103)."""
    optical = cloud.frame_id.endswith("optical_frame") or is_image(cloud)
    return np.array([0.0, -1.0, 0.0]) if optical else np.array([0.0, 0.0, 1.0])


def point_size(xyz: NDArray[np.floating], view: View) -> int:
    """Point size [pixels] at which a surface in the middle of the picture has no gaps."""
    inside = np.count_nonzero(np.linalg.norm(xyz - view.center, axis=1) < view.radius)
    spacing = min(*view.size) / 2 * math.sqrt(math.pi / max(int(inside), 1))
    return int(np.clip(round(0.8 * spacing), 2, 7))


def _looking(
    xyz: NDArray[np.floating],
    centre: NDArray[np.float64],
    up: NDArray[np.float64],
    elevation_deg: float,
) -> NDArray[np.float64]:
    """Away from the sensor where the sensor stood in the cloud, and down by the elevation."""
    extent = float(np.linalg.norm(np.ptp(xyz, axis=0)))
    level = centre - up * (centre @ up)
    if np.linalg.norm(centre) > 3 * extent or np.linalg.norm(level) < 0.02 * extent:
        level = np.roll(up, 1)  # far coordinates: the origin is no sensor
    level = level / np.linalg.norm(level)
    elevation = np.radians(elevation_deg)
    return np.asarray(np.cos(elevation) * level - np.sin(elevation) * up)
