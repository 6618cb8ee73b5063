"""The two-way transformer: prompt tokens and cloud embedding attend to each other."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pointsam_model.config import DecoderConfig
from pointsam_model.nn.attention import attention, join_heads, split_heads


class TwoWayTransformer(nn.Module):
    """Tokens first look at each other, then at the cloud, then the cloud looks at them."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayLayer(config, first=index == 0) for index in range(config.depth)
        )
        self.final_attn_token_to_image = TokenAttention(config, config.attention_downsample)
        self.norm_final_attn = nn.LayerNorm(config.dim)

    def forward(
        self, points: Tensor, position: Tensor, tokens: Tensor, visible: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Updates tokens and cloud embedding.

        Args:
            points: (m, l, d), cloud embedding with the mask prompt added. m = 1 serves all.
            position: (1 or m, l, d), positional encoding of the patch centres.
            tokens: (m, t, d), output tokens and clicks.
            visible: (m, t) bool, False for padding; None: no padding.

        Returns:
            tokens (m, t, d) and points (m, l, d).
        """
        prompt = tokens
        for layer in self.layers:
            tokens, points = layer(tokens, points, prompt, position, visible)
        update = self.final_attn_token_to_image(tokens + prompt, points + position, points)
        return self.norm_final_attn(tokens + update), points


class TwoWayLayer(nn.Module):
    """One layer; the first replaces the tokens by their self-attention (no residual, no PE)."""

    def __init__(self, config: DecoderConfig, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = TokenAttention(config, 1)
        self.norm1 = nn.LayerNorm(config.dim)
        self.cross_attn_token_to_image = TokenAttention(config, config.attention_downsample)
        self.norm2 = nn.LayerNorm(config.dim)
        self.mlp = ReluMLP(config.dim, config.mlp_dim)
        self.norm3 = nn.LayerNorm(config.dim)
        self.norm4 = nn.LayerNorm(config.dim)
        self.cross_attn_image_to_token = TokenAttention(config, config.attention_downsample)

    def forward(
        self,
        tokens: Tensor,
        points: Tensor,
        prompt: Tensor,
        position: Tensor,
        visible: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        if self.first:
            tokens = self.norm1(self.self_attn(tokens, tokens, tokens, visible))
        else:
            query = tokens + prompt
            tokens = self.norm1(tokens + self.self_attn(query, query, tokens, visible))
        placed = points + position
        update = self.cross_attn_token_to_image(tokens + prompt, placed, points)
        tokens = self.norm2(tokens + update)
        tokens = self.norm3(tokens + self.mlp(tokens))
        update = self.cross_attn_image_to_token(placed, tokens + prompt, tokens, visible)
        return tokens, self.norm4(points + update)


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
        q, k, v = (
            split_heads(project(x), self.heads)
            for project, x in ((self.q_proj, query), (self.k_proj, key), (self.v_proj, value))
        )
        count = max(len(q), len(k))
        q, k, v = (x.expand(count, -1, -1, -1) for x in (q, k, v))
        return self.out_proj(join_heads(attention(q, k, v, visible)))


class ReluMLP(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden)
        self.lin2 = nn.Linear(hidden, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.lin2(F.relu(self.lin1(tokens)))
