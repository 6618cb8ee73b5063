"""A tabletop whose segmentation is obvious: two boxes' tops above a plane, seen from above."""

from __future__ import annotations

import numpy as np

from pointsam_model.evaluation import LabelledCloud


def plain_tabletop() -> LabelledCloud:
    """A plane 0.8 m before the camera and two squares of 10 cm, 10 cm apart, 8 cm nearer."""
    axis = np.arange(-0.3, 0.3, 0.004)
    x, y = (grid.ravel() for grid in np.meshgrid(axis, axis))
    label = np.zeros(len(x), dtype=np.int32)
    for number, center in ((1, -0.1), (2, 0.1)):
        label[(np.abs(x - center) < 0.05) & (np.abs(y) < 0.05)] = number
    xyz = np.stack([x, y, np.where(label > 0, 0.72, 0.8)], axis=1).astype(np.float32)
    xyz[5] = np.nan
    shades = np.array([[120, 110, 100], [200, 60, 40], [40, 90, 200]], dtype=np.uint8)
    return LabelledCloud(xyz, shades[label], len(axis), len(axis), "tabletop", instance=label)
