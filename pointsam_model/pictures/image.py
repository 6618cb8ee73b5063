"""A camera's cloud as an image: its colours, or light where it has none, and masks over them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pointsam_model.data.clouds import SensorCloud
from pointsam_model.pictures.palette import color_of

MASK_SHARE = 0.62  # of a masked pixel's colour


def is_image(cloud: SensorCloud) -> bool:
    """Whether rows and columns are those of a camera, and not of a spinning LiDAR."""
    return cloud.height >= 48 and cloud.width <= 3 * cloud.height


def image_colors(cloud: SensorCloud) -> NDArray[np.float64]:
    """(rows, columns, 3) from 0 to 1; without colour the light that a lamp at the camera makes."""
    shape = (cloud.height, cloud.width, 3)
    if cloud.rgb is not None:
        return cloud.rgb.reshape(shape) / 255.0
    points = np.where(cloud.valid[:, None], cloud.xyz, np.nan).astype(np.float64).reshape(shape)
    down, right = np.gradient(points, axis=0), np.gradient(points, axis=1)
    normal = np.cross(down, right)
    cosine = np.abs((normal * points).sum(axis=2))
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine /= np.linalg.norm(normal, axis=2) * np.linalg.norm(points, axis=2)
    light = np.where(np.isnan(cosine), np.where(np.isnan(points[..., 0]), 0.0, 0.4), cosine)
    return np.repeat((0.15 * (light > 0) + 0.8 * light)[..., None], 3, axis=2)


def image_with_masks(cloud: SensorCloud, number: NDArray[np.int64]) -> NDArray[np.float64]:
    """(rows, columns, 3) from 0 to 1: the image, masks in colour, unseen pixels dark.

    Args:
        number: (rows, columns) index of each pixel's mask, -1 for none.
    """
    plain = image_colors(cloud)
    valid = cloud.valid.reshape(number.shape)
    grey = plain.mean(axis=2, keepdims=True) * 0.5 + plain * 0.5
    overlay = np.where(valid[..., None], grey * 0.8, grey * 0.3)
    border = _border(number)
    for index in np.unique(number[number >= 0]):
        inside = number == index
        overlay[inside] = (1 - MASK_SHARE) * plain[inside] + MASK_SHARE * color_of(index)
        overlay[inside & border] = 0.35 + 0.65 * color_of(index)
    return np.clip(overlay, 0, 1)


def _border(number: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Pixels next to another mask or to none."""
    padded = np.pad(number, 1, mode="edge")
    centre = padded[1:-1, 1:-1]
    return np.asarray(
        (centre != padded[:-2, 1:-1])
        | (centre != padded[2:, 1:-1])
        | (centre != padded[1:-1, :-2])
        | (centre != padded[1:-1, 2:])
    )
