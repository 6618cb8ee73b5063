"""One point per voxel, in PyTorch for both devices."""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST_KEY = 2**62


def voxel_rows(points: Tensor, size: float) -> Tensor:
    """`pointsam_model.ops.voxel_rows`."""
    n = points.shape[0]
    if n == 0:
        return torch.empty(0, dtype=torch.int64, device=points.device)
    exact = points.double()
    cells = torch.floor(exact / size)
    if not bool((cells.abs() < LARGEST_KEY).all()):
        raise ValueError(f"voxels of {size} are too small for coordinates as large as these")
    key = _voxel_keys(cells.long())
    voxels, voxel = torch.unique(key, return_inverse=True)
    sums = torch.zeros(len(voxels), 3, dtype=torch.float64, device=points.device)
    sums.index_add_(0, voxel, exact)
    mean = sums / torch.bincount(voxel, minlength=len(voxels)).unsqueeze(1)
    # In single precision, so that the order in which a GPU sums a voxel decides nothing.
    off = (exact - mean[voxel]).square().sum(1).float()
    least = torch.full((len(voxels),), torch.inf, device=points.device)
    least.scatter_reduce_(0, voxel, off, "amin")
    row = torch.arange(n, device=points.device)
    nearest = off == least[voxel]
    rows = torch.full((len(voxels),), n, device=points.device)
    rows.scatter_reduce_(0, voxel[nearest], row[nearest], "amin")
    return rows.sort().values


def _voxel_keys(cells: Tensor) -> Tensor:
    """One int64 for each row of cells (n,3), equal for equal rows only."""
    cells = cells - cells.amin(0)
    x, y, z = (int(extent) + 1 for extent in cells.amax(0))
    if x * y * z < LARGEST_KEY:
        return (cells[:, 0] * y + cells[:, 1]) * z + cells[:, 2]
    key, y, z = (torch.unique(axis, return_inverse=True)[1] for axis in cells.unbind(1))
    for axis in (y, z):
        key = torch.unique(key * (int(axis.max()) + 1) + axis, return_inverse=True)[1]
    return key
