"""The transformer of the cloud encoder: EVA02 blocks (large, tiny) or EVA giant blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointsam_model.config.model import ViTConfig
from pointsam_model.nn.attention import attention, join_heads, split_heads


class ViT(nn.Module):
    """Pre-norm blocks and a final norm per token; no class token, no position table."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        block = {"eva02": Eva02Block, "eva_giant": EvaGiantBlock}[config.family]
        self.blocks = nn.ModuleList(block(config) for _ in range(config.depth))
        self.fc_norm = nn.LayerNorm(config.width, eps=config.norm_eps)

    def forward(self, tokens: Tensor) -> Tensor:
        """(b, l, width) to (b, l, width)."""
        for block in self.blocks:
            tokens = block(tokens)
        return self.fc_norm(tokens)


class Eva02Block(nn.Module):
    """Attention without a bias on the keys, and a gated MLP (SwiGLU) with its own norm."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.attn = Eva02Attention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.mlp = SwiGLU(config.width, int(config.width * config.mlp_ratio), config.norm_eps)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class Eva02Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = (
            split_heads(project(tokens), self.heads)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.proj(join_heads(attention(query, key, value)))


class SwiGLU(nn.Module):
    def __init__(self, width: int, hidden: int, norm_eps: float) -> None:
        super().__init__()
        self.fc1_g = nn.Linear(width, hidden)
        self.fc1_x = nn.Linear(width, hidden)
        self.norm = nn.LayerNorm(hidden, eps=norm_eps)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(self.norm(F.silu(self.fc1_g(tokens)) * self.fc1_x(tokens)))


class EvaGiantBlock(nn.Module):
    """Attention with one matrix for queries, keys and values, and a plain GELU MLP."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.attn = EvaGiantAttention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.mlp = GeluMLP(config.width, int(config.width * config.mlp_ratio))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class EvaGiantAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        query, key, value = (
            split_heads(part, self.heads)
            for part in F.linear(tokens, self.qkv.weight, bias).chunk(3, -1)
        )
        return self.proj(join_heads(attention(query, key, value)))


class GeluMLP(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(tokens)))
