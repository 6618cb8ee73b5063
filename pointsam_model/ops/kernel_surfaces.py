"""Normals and parts of a surface with CUDA kernels (`axes.cu`, `pieces.cu`), for `kernel_ops`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pointsam_model.ops.launching import Launcher

BLOCK = 128


def principal_axes(moments: Tensor, run: Launcher) -> tuple[Tensor, Tensor]:
    """`pointsam_model.ops.principal_axes`, without waiting for the device."""
    m = len(moments)
    normals = torch.empty(m, 3, dtype=torch.float32, device=moments.device)
    variances = torch.empty(m, 3, dtype=torch.float32, device=moments.device)
    given = moments.contiguous(), np.int32(m)
    run.launch("axes_of_moments", _blocks(m), BLOCK, *given, normals, variances)
    return normals, variances


def connected_parts(
    start: Tensor,
    end: Tensor,
    cut: Tensor,
    count: int,
    strictness: Sequence[float],
    run: Launcher,
) -> Tensor:
    """`pointsam_model.ops.connected_parts`, without waiting for the device."""
    own = torch.arange(count, dtype=torch.int32, device=cut.device)
    labels = torch.empty(len(strictness), count, dtype=torch.int64, device=cut.device)
    edges = start.contiguous(), end.contiguous(), cut.contiguous(), np.int64(len(cut))
    for each, parts in zip(strictness, labels, strict=True):
        parents = own.clone()
        run.launch("join_edges", _blocks(len(cut)), BLOCK, *edges, np.float32(each), parents)
        run.launch("find_roots", _blocks(count), BLOCK, parents, np.int32(count), parts)
    return labels


def _blocks(n: int) -> tuple[int, int]:
    return -(-n // BLOCK), 1
