"""A box on a table, as points, and where the camera stands; and partitions of arrays."""

import numpy as np
import torch

from pointsam_model.geometry.partition import graph_of, partition

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


def partition_of(points, source, sensor):
    """`partition` of arrays, on the CPU."""
    return partition(torch.from_numpy(points), torch.from_numpy(source), sensor)


def graph_of_arrays(points, source, sensor):
    """`graph_of` of arrays, on the CPU."""
    return graph_of(torch.from_numpy(points), torch.from_numpy(source), sensor)
