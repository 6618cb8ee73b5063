"""Scaled dot-product attention over heads, on whatever is fastest where it runs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def attention(query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √d) v for each head.

    Args:
        query: (b, heads, q, d); key, value: (b, heads, k, d).
        visible: (b, k) bool, the keys that may be looked at; None: all.

    Returns:
        (b, heads, q, d).
    """
    mask = None if visible is None else visible[:, None, None, :]
    if query.device.type == "cpu" and torch.is_grad_enabled():
        # The fused kernel's backward pass is slower than two matrix products on a CPU.
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return scores.softmax(-1) @ value
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(b, t, heads · d) to (b, heads, t, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """(b, heads, t, d) to (b, t, heads · d)."""
    return x.transpose(1, 2).flatten(2)
