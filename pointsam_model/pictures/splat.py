"""Draws points as a camera would see them: nearest first, with edges that depth makes visible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BACKGROUND = np.array([0.075, 0.08, 0.095])
FIELD_OF_VIEW = np.radians(40.0)
EDGE_STRENGTH = 35.0


@dataclass(frozen=True)
class View:
    """A pinhole camera that looks at `center`.

    Attributes:
        center: (3,) [m] what it looks at.
        radius: of the sphere about it that fills the picture [m].
        direction: (3,) from the camera to the centre; need not be of unit length.
        up: (3,) what is up in the picture.
        size: (rows, columns) [pixels].
    """

    center: NDArray[np.float64]
    radius: float
    direction: NDArray[np.float64]
    up: NDArray[np.float64]
    size: tuple[int, int]

    def project(
        self, xyz: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Column and row [pixels] and depth [m] of (n,3) points; depth below 0 lies behind."""
        forward = self.direction / np.linalg.norm(self.direction)
        right = np.cross(forward, self.up)
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        eye = self.center - forward * self.radius / np.tan(FIELD_OF_VIEW / 2)
        seen = (xyz.astype(np.float64) - eye) @ np.stack([right, down, forward], axis=1)
        rows, columns = self.size
        focal = min(rows, columns) / 2 / np.tan(FIELD_OF_VIEW / 2)
        depth = seen[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            column = focal * seen[:, 0] / depth + columns / 2
            row = focal * seen[:, 1] / depth + rows / 2
        return column, row, depth


def splat(
    xyz: NDArray[np.floating],
    colors: NDArray[np.float64],
    view: View,
    point_size: int = 2,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draws points as squares, the nearest in front.

    Args:
        xyz: (n,3) finite points [m].
        colors: (n,3) from 0 to 1.
        view: from where.
        point_size: side of a point at the centre's distance [pixels]; nearer ones are larger.

    Returns:
        picture (rows, columns, 3) from 0 to 1 and depth (rows, columns) [m], inf where nothing is.
    """
    rows, columns = view.size
    column, row, depth = view.project(xyz)
    reference = view.radius / np.tan(FIELD_OF_VIEW / 2)
    in_front = depth > reference * 0.02
    in_front &= (column > -50) & (column < columns + 50) & (row > -50) & (row < rows + 50)
    column, row, depth = column[in_front], row[in_front], depth[in_front]
    colors = colors[in_front]
    half = np.clip(np.round((point_size * reference / depth - 1) / 2), 0, 6).astype(int)

    far_to_near = np.argsort(-depth, kind="stable")
    picture = np.broadcast_to(BACKGROUND, (rows, columns, 3)).copy()
    nearest = np.full((rows, columns), np.inf)
    column, row = column.astype(int), row.astype(int)
    # larger points are nearer, so drawing them offset by offset keeps the order within each ring
    for drow in range(-int(half.max(initial=0)), int(half.max(initial=0)) + 1):
        for dcolumn in range(-int(half.max(initial=0)), int(half.max(initial=0)) + 1):
            big = far_to_near[half[far_to_near] >= max(abs(drow), abs(dcolumn))]
            at_row, at_column = row[big] + drow, column[big] + dcolumn
            inside = (at_row >= 0) & (at_row < rows) & (at_column >= 0) & (at_column < columns)
            big, at_row, at_column = big[inside], at_row[inside], at_column[inside]
            # of several points in a pixel numpy keeps the last, here the nearest
            layer = np.full((rows, columns), -1)
            layer[at_row, at_column] = big
            drawn = layer >= 0
            point = layer[drawn]
            closer = depth[point] < nearest[drawn]
            at = tuple(index[closer] for index in np.nonzero(drawn))
            nearest[at] = depth[point[closer]]
            picture[at] = colors[point[closer]]
    return _with_edges(picture, nearest), nearest


def _with_edges(picture: NDArray[np.float64], depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Darkens where a neighbour is nearer (eye-dome lighting): shapes without colour show."""
    drawn = np.isfinite(depth)
    log = np.log2(np.where(drawn, depth, depth[drawn].max(initial=1.0)))
    padded = np.pad(log, 2, mode="edge")
    rows, columns = log.shape
    shade = np.zeros_like(log)
    offsets = ((0, 2), (2, 0), (0, -2), (-2, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))
    for drow, dcolumn in offsets:
        neighbour = padded[2 + drow : 2 + drow + rows, 2 + dcolumn : 2 + dcolumn + columns]
        shade += np.maximum(0, log - neighbour) / len(offsets)
    light = np.exp(-EDGE_STRENGTH * np.minimum(shade, 0.06))
    return np.where(drawn[..., None], picture * light[..., None], picture)
