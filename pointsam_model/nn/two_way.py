"""The two-way transformer: prompt tokens and cloud embedding attend to each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointsam_model.config.model import DecoderConfig
from pointsam_model.nn import absorbed
from pointsam_model.nn.attention import TokenAttention


class TwoWayTransformer(nn.Module):
    """Layers of attention among tokens, from tokens to the cloud, and from the cloud to tokens."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayLayer(config, first=index == 0) for index in range(config.depth)
        )
        self.final_attn_token_to_image = TokenAttention(config, config.attention_downsample)
        self.norm_final_attn = nn.LayerNorm(config.dim)

    def forward(
        self,
        points: Tensor,
        position: Tensor,
        tokens: Tensor,
        visible: Tensor | None = None,
        first_view: CloudView | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Updates tokens and cloud embedding.

        Args:
            points: (m, l, d), cloud embedding with the mask prompt added. m = 1 serves all.
            position: (1 or m, l, d), positional encoding of the patch centres.
            tokens: (m, t, d), output tokens and clicks.
            visible: (m, t) bool, False for padding; None: no padding.
            first_view: `view(points, position)`, if it was kept.

        Returns:
            tokens (m, t, d) and points (m, l, d).
        """
        prompt = tokens
        view = first_view
        for layer in self.layers:
            tokens, points = layer(tokens, points, prompt, position, visible, view)
            view = None
        update = self.final_attn_token_to_image(tokens + prompt, points + position, points)
        return self.norm_final_attn(tokens + update), points

    def learn(
        self, points: Tensor, position: Tensor, tokens: Tensor, visible: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Like `forward`, but with cheaper gradients; see `absorbed`.

        Args:
            points: (b · m, l, d), or (b, l, d) where all objects of a cloud share them.
            position: (b, l, d); tokens: (b · m, t, d); visible: (b · m, t) bool.
        """
        kind = points.device.type
        if torch.is_autocast_enabled(kind):
            points = points.to(torch.get_autocast_dtype(kind))
        prompt = tokens
        for layer in self.layers:
            assert isinstance(layer, TwoWayLayer)
            tokens, points = layer.learn(tokens, points, prompt, position, visible)
        update = absorbed.look_at_points(
            self.final_attn_token_to_image, tokens + prompt, points, position
        )
        return self.norm_final_attn(tokens + update), points

    def view(self, points: Tensor, position: Tensor) -> CloudView:
        """The first layer's projections of a cloud, which do not depend on the tokens."""
        layer = self.layers[0]
        assert isinstance(layer, TwoWayLayer)
        return layer.view(points, position)


@dataclass(frozen=True)
class CloudView:
    """A layer's projections of the cloud embedding, each (m or 1, heads, l, inner / heads).

    Attributes:
        keys, values: of the attention from tokens to cloud.
        queries: of the attention from cloud to tokens.
    """

    keys: Tensor
    values: Tensor
    queries: Tensor


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
        view: CloudView | None = None,
    ) -> tuple[Tensor, Tensor]:
        tokens = self._among_tokens(tokens, prompt, visible)
        to_cloud, to_tokens = self.cross_attn_token_to_image, self.cross_attn_image_to_token
        view = view or self.view(points, position)
        update = to_cloud.attend(to_cloud.queries(tokens + prompt), view.keys, view.values)
        tokens = self.norm2(tokens + update)
        tokens = self.norm3(tokens + self.mlp(tokens))
        keys, values = to_tokens.keys(tokens + prompt), to_tokens.values(tokens)
        update = to_tokens.attend(view.queries, keys, values, visible)
        return tokens, self.norm4(points + update)

    def learn(
        self,
        tokens: Tensor,
        points: Tensor,
        prompt: Tensor,
        position: Tensor,
        visible: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Like `forward`; shapes as in `TwoWayTransformer.learn`."""
        tokens = self._among_tokens(tokens, prompt, visible)
        update = absorbed.look_at_points(
            self.cross_attn_token_to_image, tokens + prompt, points, position
        )
        tokens = self.norm2(tokens + update)
        tokens = self.norm3(tokens + self.mlp(tokens))
        points = absorbed.tell_points(
            self.cross_attn_image_to_token, tokens + prompt, tokens, points, position, visible
        )
        return tokens, self.norm4(points)

    def _among_tokens(self, tokens: Tensor, prompt: Tensor, visible: Tensor | None) -> Tensor:
        if self.first:
            return self.norm1(self.self_attn(tokens, tokens, tokens, visible))
        query = tokens + prompt
        return self.norm1(tokens + self.self_attn(query, query, tokens, visible))

    def view(self, points: Tensor, position: Tensor) -> CloudView:
        """This layer's projections of a cloud, from points and position (m or 1, l, d)."""
        placed = points + position
        return CloudView(
            self.cross_attn_token_to_image.keys(placed),
            self.cross_attn_token_to_image.values(points),
            self.cross_attn_image_to_token.queries(placed),
        )


class ReluMLP(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden)
        self.lin2 = nn.Linear(hidden, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.lin2(F.relu(self.lin1(tokens)))
