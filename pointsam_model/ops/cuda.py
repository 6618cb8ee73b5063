"""The operations on a GPU: our kernels where CuPy is installed, else plain PyTorch. It logs which.

Contracts are in `pointsam_model.ops`.
"""

from __future__ import annotations

import logging

import torch

__all__ = [
    "cleaned_masks",
    "connected_parts",
    "decode",
    "decode_valid",
    "downsample",
    "farthest_points",
    "interpolate",
    "interpolation_table",
    "mask_rows",
    "nearest_neighbours",
    "nearest_point",
    "normalise",
    "principal_axes",
    "summed_rows",
    "voxel_rows",
]

OLDEST_CHIP = (8, 0)  # warps reduce in one instruction from there on


def obstacle() -> str | None:
    """Why the kernels cannot run here, or None."""
    try:
        import cupy  # noqa: F401
    except ImportError as error:
        return f"CuPy cannot be imported: {error} (pip install cupy-cuda12x, or cupy-cuda13x)"
    chips = [torch.cuda.get_device_capability(each) for each in range(torch.cuda.device_count())]
    if min(chips, default=OLDEST_CHIP) < OLDEST_CHIP:
        major, minor = min(chips)
        return f"a GPU here has compute capability {major}.{minor}; the kernels need 8.0"
    return None


_OBSTACLE = obstacle()
if _OBSTACLE is None:
    from pointsam_model.ops.kernel_ops import (
        cleaned_masks,
        connected_parts,
        decode,
        decode_valid,
        downsample,
        farthest_points,
        interpolate,
        interpolation_table,
        mask_rows,
        nearest_neighbours,
        nearest_point,
        normalise,
        principal_axes,
        summed_rows,
        voxel_rows,
    )

    logging.getLogger(__name__).info("operations on the GPU: CUDA kernels, launched by CuPy")
else:
    from pointsam_model.ops.torch_ops import (
        cleaned_masks,
        connected_parts,
        decode,
        decode_valid,
        downsample,
        farthest_points,
        interpolate,
        interpolation_table,
        mask_rows,
        nearest_neighbours,
        nearest_point,
        normalise,
        principal_axes,
        summed_rows,
        voxel_rows,
    )

    logging.getLogger(__name__).warning(
        "operations on the GPU: plain PyTorch, slower than our CUDA kernels. %s", _OBSTACLE
    )
