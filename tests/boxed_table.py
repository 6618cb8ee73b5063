"""A box on a table, as points, and where the camera stands."""

import numpy as np

SENSOR = np.array([0.0, -1.0, 1.5])


def box_on_a_table(step=0.01):
    """A box of 0.2 m on a table of 1 m, seen by a camera above and before it; and what is box."""
    grid = np.arange(-0.5, 0.5, step)
    x, y = (axis.ravel() for axis in np.meshgrid(grid, grid))
    table = np.stack([x, y, np.zeros_like(x)], 1)
    table = table[~((np.abs(x) < 0.1) & (np.abs(y) < 0.1))]
    side = np.arange(-0.1, 0.1, step)
    u, v = (axis.ravel() for axis in np.meshgrid(side, side))
    top = np.stack([u, v, np.full_like(u, 0.2)], 1)
    front = np.stack([u, np.full_like(u, -0.1), v + 0.1], 1)
    points = np.concatenate([table, top, front]).astype(np.float32)
    points += np.random.default_rng(0).normal(0, 0.0005, points.shape).astype(np.float32)
    return points, np.arange(len(points)) >= len(table)
