"""Weighted sums of feature rows, for both devices: PyTorch's embedding bag, and a backward of ours.

The bag never makes the (n,t,d) rows it sums. PyTorch's own backward of it scatters row by row; the
transposed table makes it a bag again, which took a third of the time in training.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def interpolate(features: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """`pointsam_model.ops.interpolate`: all feature tables laid end to end are one table."""
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
    """sum over t of weights[:, t] * table[rows[:, t]]; gradient for the table alone."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weights)
        ctx.length = table.shape[0]
        return _bags(table, rows.reshape(-1), _every(rows.shape[1], rows), weights.reshape(-1))

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        rows, weights = ctx.saved_tensors
        flat = rows.reshape(-1)
        order = torch.argsort(flat, stable=True)
        uses = torch.bincount(flat, minlength=ctx.length)
        source = torch.div(order, rows.shape[1], rounding_mode="floor")
        bags = _bags(
            gradient.contiguous(), source, uses.cumsum(0) - uses, weights.reshape(-1)[order]
        )
        return bags, None, None


def _bags(table: Tensor, rows: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    return F.embedding_bag(rows, table, starts, mode="sum", per_sample_weights=weights)


def _every(step: int, rows: Tensor) -> Tensor:
    return torch.arange(0, rows.numel(), step, device=rows.device)
