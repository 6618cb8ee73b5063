"""The mask decoder: tokens and cloud embedding to mask logits over points and predicted IoUs."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointsam_model import ops
from pointsam_model.config.model import DecoderConfig
from pointsam_model.nn.chunks import chunked, map_chunks
from pointsam_model.nn.drawing import begins_with_zero, learned
from pointsam_model.nn.two_way import CloudView, TwoWayTransformer


class DecodedMasks(NamedTuple):
    """Decoded b · m objects, from which logits can be computed at any points.

    Attributes:
        points: (b, m, l, d), the cloud embedding after the transformer.
        heads: (b, m, c, u), the classifier of each mask.
        ious: (b, m, c) float32, predicted.
        click_heads: (b, m, q, u), the classifier of each click's own mask; None: not requested.
    """

    points: Tensor
    heads: Tensor
    ious: Tensor
    click_heads: Tensor | None = None


class MaskDecoder(nn.Module):
    """Two-way transformer, upscaling to points, one dynamic linear classifier per mask token.

    Args:
        num_multimask: masks for an ambiguous click.
        negative: whether each mask has a second token, for what is off the object, whose logits are
            subtracted (Easy3D). It attends to the other tokens and the points, but not they to it,
            and its classifier is initialised to zero, so that at first masks do not change.
    """

    def __init__(self, config: DecoderConfig, num_multimask: int, negative: bool = False) -> None:
        super().__init__()
        dim, upscaled = config.dim, config.upscale_dim or config.dim
        masks = num_multimask + 1
        self.transformer = TwoWayTransformer(config)
        self.iou_token = learned(1, dim)
        self.mask_tokens = learned(masks, dim)
        self.output_upscaling = nn.Sequential(
            nn.Linear(dim, upscaled),
            nn.LayerNorm(upscaled),
            nn.GELU(),
            nn.Linear(upscaled, upscaled),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            TokenMLP(dim, dim, upscaled) for _ in range(masks)
        )
        self.iou_prediction_head = TokenMLP(dim, config.iou_hidden, masks)
        self.negative_tokens: nn.Embedding | None = None
        if negative:
            self.negative_tokens = learned(masks, dim)
            self.negative_hypernetworks_mlps = nn.ModuleList(
                TokenMLP(dim, dim, upscaled, begin_with_zero=True) for _ in range(masks)
            )

    def answer(
        self,
        points: Tensor,
        position: Tensor,
        clicks: Tensor,
        visible: Tensor | None,
        multimask: bool,
        first_view: CloudView | None = None,
        click_masks: bool = False,
    ) -> DecodedMasks:
        """Decides on the masks of b · m objects, m of each of b clouds; `masks` tells where.

        Args:
            points: (b, m or 1, l, d), cloud embedding with the mask prompts added.
            position: (b, l, d), positional encoding of the patch centres.
            clicks: (b, m, q, d), embedded clicks.
            visible: (b, m, q) bool, False for padding; None: no padding.
            multimask: all masks of mask tokens 1.., else the mask of token 0.
            first_view: the transformer's first view of `points`, if it was kept.
            click_masks: each click's token is also classified by the head of mask token 0, for a
                mask of the click's own that training compares with the object (as in SNAP).
        """
        b, m, q = clicks.shape[:3]
        tokens, points = self.attend(points, position, clicks, visible, first_view)
        chosen = slice(1, None) if multimask else slice(0, 1)
        count = len(self.output_hypernetworks_mlps)
        numbers = range(*chosen.indices(count))
        heads = torch.stack(
            [self.output_hypernetworks_mlps[number](tokens[:, 1 + number]) for number in numbers], 1
        )
        if self.negative_tokens is not None:
            own = tokens[:, -count:]
            negative = [
                self.negative_hypernetworks_mlps[number](own[:, number]) for number in numbers
            ]
            heads = heads - torch.stack(negative, 1)
        ious = self.iou_prediction_head(tokens[:, 0])[:, chosen]
        click_heads: Tensor | None = None
        if click_masks:
            own = tokens[:, 1 + count : 1 + count + q]
            click_heads = self.output_hypernetworks_mlps[0](own).unflatten(0, (b, m))
        return DecodedMasks(
            points.unflatten(0, (b, m)),
            heads.unflatten(0, (b, m)),
            ious.unflatten(0, (b, m)).float(),
            click_heads,
        )

    def attend(
        self,
        points: Tensor,
        position: Tensor,
        clicks: Tensor,
        visible: Tensor | None,
        first_view: CloudView | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Tokens (b · m, t, d) and points (b · m, l, d) after the two-way transformer.

        Tokens are the IoU's, the masks', the clicks and, where there are any, the negative ones.
        """
        b, m = clicks.shape[:2]
        output = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([output.expand(b * m, -1, -1), clicks.flatten(0, 1)], 1)
        if visible is not None:
            always = visible.new_ones(b * m, len(output))
            visible = torch.cat([always, visible.flatten(0, 1)], 1)
        if self.negative_tokens is not None:
            unseen = self.negative_tokens.weight.expand(b * m, -1, -1)
            if visible is None:
                visible = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
            visible = torch.cat([visible, visible.new_zeros(unseen.shape[:2])], 1)
            tokens = torch.cat([tokens, unseen], 1)
        if torch.is_grad_enabled():
            return self.transformer.learn(points.flatten(0, 1), position, tokens, visible)
        if b > 1 or points.shape[1] == m:
            points = points.expand(-1, m, -1, -1)
        points = points.flatten(0, 1)
        if b > 1:
            position = position[:, None].expand(-1, m, -1, -1).flatten(0, 1)
        return self.transformer(points, position.to(points.dtype), tokens, visible, first_view)

    def masks(self, points: Tensor, heads: Tensor, table: tuple[Tensor, Tensor] | None) -> Tensor:
        """Logits (b, m, c, n) float32: heads (b, m, c, u) times upscaled points (b, m, l, d).

        The first linear layer of the upscaling commutes with the interpolation, whose weights sum
        to 1, so it runs on l patches and not on n points; they are weighted in float32. At a patch
        centre the interpolation gives the patch itself.

        Args:
            table: index and weight (b, n, 3), the interpolation table of the clouds; None: masks
                at the l patch centres, in the place of the n points.
        """
        patches = self.output_upscaling[0](points).transpose(1, 2).flatten(2)  # (b, l, m · u)

        def classify(rows: slice) -> Tensor:
            if table is None:
                return self._classify(patches[:, rows], heads)
            index, weight = table
            points = ops.interpolate(patches.to(weight.dtype), index[:, rows], weight[:, rows])
            return self._classify(points.to(patches.dtype), heads)

        if not chunked(patches):
            return classify(slice(None))
        count = patches.shape[1] if table is None else table[0].shape[1]
        width = len(patches) * patches.shape[-1]
        return map_chunks(classify, count, width, patches.dtype, dim=-1)

    def masks_at(self, points: Tensor, heads: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
        """`masks` at points of each mask's own, for less work where gradients are wanted.

        Args:
            table: index and weight (b, m, p, 3).

        Returns:
            (b, m, c, p) float32.
        """
        first, *rest = self.output_upscaling
        patches = first(points).flatten(0, 1)
        index, weight = (values.flatten(0, 1) for values in table)
        features = ops.interpolate(patches, index, weight)
        for layer in rest:
            features = layer(features)
        logits = (features @ heads.flatten(0, 1).transpose(1, 2)).float().transpose(1, 2)
        return logits.unflatten(0, heads.shape[:2])

    def _classify(self, features: Tensor, heads: Tensor) -> Tensor:
        """features (b, n, m · u) and heads (b, m, c, u) to logits (b, m, c, n)."""
        features = features.unflatten(-1, (heads.shape[1], -1))
        for layer in list(self.output_upscaling)[1:]:
            features = layer(features)
        logits = features.transpose(1, 2).float() @ heads.float().transpose(-1, -2)  # (b, m, n, c)
        return logits.transpose(-1, -2)


class TokenMLP(nn.Module):
    """Three linear layers with ReLU between."""

    def __init__(self, dim: int, hidden: int, out: int, begin_with_zero: bool = False) -> None:
        super().__init__()
        last = nn.Linear(hidden, out)
        self.layers = nn.ModuleList(
            [
                nn.Linear(dim, hidden),
                nn.Linear(hidden, hidden),
                begins_with_zero(last) if begin_with_zero else last,
            ]
        )

    def forward(self, tokens: Tensor) -> Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            tokens = F.relu(layer(tokens))
        return last(tokens)
