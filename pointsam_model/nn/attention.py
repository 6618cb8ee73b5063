"""Scaled dot-product attention over heads, with the fastest implementation for the device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointsam_model.config.model import DecoderConfig


def attention(query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √d) v for each head.

    Args:
        query: (b, heads, q, d); key, value: (b, heads, k, d).
        visible: (b, k) bool, the keys that may be attended to; None: all.

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


class TokenAttention(nn.Module):
    """Attention whose inner width is `dim / downsample`."""

    def __init__(self, config: DecoderConfig, downsample: int) -> None:
        super().__init__()
        inner = config.dim // downsample
        self.heads = config.heads
        self.q_proj = nn.Linear(config.dim, inner)
        self.k_proj = nn.Linear(config.dim, inner)
        self.v_proj = nn.Linear(config.dim, inner)
        self.out_proj = nn.Linear(inner, config.dim)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None = None
    ) -> Tensor:
        """query (m or 1, q, d), key and value (m or 1, k, d), visible (m, k) to (m, q, d)."""
        return self.attend(self.queries(query), self.keys(key), self.values(value), visible)

    def queries(self, x: Tensor) -> Tensor:
        """(m, q, d) to (m, heads, q, inner / heads); `keys` and `values` alike."""
        return split_heads(self.q_proj(x), self.heads)

    def keys(self, x: Tensor) -> Tensor:
        return split_heads(self.k_proj(x), self.heads)

    def values(self, x: Tensor) -> Tensor:
        return split_heads(self.v_proj(x), self.heads)

    def attend(
        self, queries: Tensor, keys: Tensor, values: Tensor, visible: Tensor | None = None
    ) -> Tensor:
        """Of projections by heads, of which some may serve all m objects: (m, q, d)."""
        count = max(len(queries), len(keys))
        q, k, v = (x.expand(count, -1, -1, -1) for x in (queries, keys, values))
        return self.out_proj(join_heads(attention(q, k, v, visible)))
