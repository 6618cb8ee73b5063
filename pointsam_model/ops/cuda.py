"""The operations on a GPU: our kernels where CuPy is installed, else plain PyTorch. It logs which.

Contracts are in `pointsam_model.ops`.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec

__all__ = [
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
    "voxel_rows",
]

if find_spec("cupy") is not None:
    from pointsam_model.ops.kernel_ops import (
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
        voxel_rows,
    )

    logging.getLogger(__name__).info("operations on the GPU: CUDA kernels, launched by CuPy")
else:
    from pointsam_model.ops.torch_ops import (
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
        voxel_rows,
    )

    logging.getLogger(__name__).warning(
        "operations on the GPU: plain PyTorch, several times slower than our CUDA kernels; these "
        "need CuPy (pip install cupy-cuda12x, or cupy-cuda13x for CUDA 13)"
    )
