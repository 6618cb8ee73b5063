"""Weighted sums of feature rows: PyTorch's embedding bag with a custom backward.

The bag never materialises the (n,t,d) rows it sums. PyTorch's own backward scatters row by row;
with a transposed table it is a bag again, in a third of the time during training. On a CPU SciPy
transposes the table as a sparse matrix, by counting, in a fifth of the time of a sort.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.autograd.function import once_differentiable


def interpolate(features: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """`pointsam_model.ops.interpolate`, with all feature tables concatenated to one."""
    *lead, length, d = features.shape
    n, t = index.shape[-2:]
    tables = features.numel() // max(length * d, 1)
    if index.dim() == 3:
        per_cloud = (index.shape[0], *[1] * (len(lead) - 1), n, t)
        index, weight = index.reshape(per_cloud), weight.reshape(per_cloud)
    start = torch.arange(0, tables * length, length, device=features.device).view(*lead, 1, 1)
    rows = (index + start).reshape(tables * n, t)
    weights = weight.to(features.dtype).expand(*lead, n, t).reshape(tables * n, t)
    table = features.reshape(tables * length, d)
    summed = (
        _WeightedRows.apply(table, rows, weights)
        if table.requires_grad
        else _bags(table, rows.reshape(-1), _every(t, rows), weights.reshape(-1))
    )
    return summed.view(*lead, n, d)


class _WeightedRows(torch.autograd.Function):
    """Sum over t of weights[:, t] * table[rows[:, t]]; gradient for the table only."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weights)
        ctx.length = table.shape[0]
        return _bags(table, rows.reshape(-1), _every(rows.shape[1], rows), weights.reshape(-1))

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        rows, weights = ctx.saved_tensors
        transposed = _transposed_on_cpu if rows.device.type == "cpu" else _transposed
        source, starts, shares = transposed(rows, weights, ctx.length)
        return _bags(gradient.contiguous(), source, starts, shares), None, None


def _transposed(rows: Tensor, weights: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Transposes the table: which of the n sums use each row of the features, in ascending order.

    Args:
        rows, weights: (n, t).
        length: number of rows of the features.

    Returns:
        (n t,) indices of sums, (length,) where those of each row begin, and (n t,) their weights.
    """
    flat = rows.reshape(-1)
    order = torch.argsort(flat, stable=True)
    uses = torch.bincount(flat, minlength=length)
    source = torch.div(order, rows.shape[1], rounding_mode="floor")
    return source, uses.cumsum(0) - uses, weights.reshape(-1)[order]


def _transposed_on_cpu(rows: Tensor, weights: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """`_transposed` with SciPy; the same result."""
    n, t = rows.shape
    places, ends = np.arange(n * t), np.arange(0, n * t + 1, t)
    table = csr_matrix((places, rows.reshape(-1).numpy(), ends), (n, length)).tocsc()
    source, starts, order = (
        torch.from_numpy(values) for values in (table.indices, table.indptr[:-1], table.data)
    )
    return source, starts, weights.reshape(-1)[order]


def _bags(table: Tensor, rows: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    return F.embedding_bag(rows, table, starts, mode="sum", per_sample_weights=weights)


def _every(step: int, rows: Tensor) -> Tensor:
    return torch.arange(0, rows.numel(), step, device=rows.device)
