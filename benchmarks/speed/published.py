"""Point-SAM the published way, as the yardstick: float32, nothing kept from click to click.

Written from the description of the published implementation, apart from `pointsam_model.nn`, over
the same weights: distances are dense matrices, layers run as they are drawn (no linear layer is
split or moved before the interpolation), all points of all patches go through the PointNet at once,
and a click embeds its cloud anew. Nothing is made slower than that: attention is PyTorch's fused
kernel where the published encoder's is, centres come from the same sampler as ours. It runs where
its weights are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pointsam_model import ops
from pointsam_model.config.model import ModelConfig


@dataclass(frozen=True)
class EmbeddedCloud:
    """What the published forward pass has before it comes to the prompts; of one cloud.

    Attributes:
        coords: (n, 3). centers: (l, 3). groups: (l, k) int64, rows of each patch's points.
        embedding: (l, d), the encoder's output. position: (l, d), encoding of the centres.
    """

    coords: Tensor
    centers: Tensor
    groups: Tensor
    embedding: Tensor
    position: Tensor


class PublishedPointSAM:
    """Point-SAM with EVA02 blocks (tiny, large) as published.

    Args:
        weights: a checkpoint's tensors by name, float32, on one device.
        config: the network's shape.
    """

    def __init__(self, weights: Mapping[str, Tensor], config: ModelConfig) -> None:
        if config.vit.family != "eva02":
            raise ValueError(f"the yardstick has EVA02 blocks, not {config.vit.family}")
        self.weights = weights
        self.config = config

    @torch.inference_mode()
    def embed(
        self, coords: Tensor, features: Tensor, num_patches: int, patch_size: int
    ) -> EmbeddedCloud:
        """Patches, PointNet and transformer: coords (n, 3), features (n, f) of one cloud."""
        centers = coords[ops.farthest_points(coords, num_patches)]
        groups = _distances(centers, coords).topk(patch_size, largest=False).indices
        offsets = coords[groups] - centers[:, None]
        points = torch.cat([offsets, features[groups]], -1)
        tokens = self._point_net(points, "pc_encoder.patch_embed.patch_encoder")
        position = F.gelu(self._linear(centers, "pc_encoder.pos_embed.0"))
        position = self._linear(position, "pc_encoder.pos_embed.2")
        tokens = self._linear(tokens, "pc_encoder.patch_proj") + position
        embedding = self._linear(self._transformer(tokens), "pc_encoder.out_proj")
        return EmbeddedCloud(coords, centers, groups, embedding, self._fourier(centers))

    @torch.inference_mode()
    def decode(
        self,
        cloud: EmbeddedCloud,
        clicks: Tensor,
        labels: Tensor,
        mask_logits: Tensor | None,
        multimask: bool,
    ) -> tuple[Tensor, Tensor]:
        """Masks of one object: clicks (q, 3), labels (q,) of 0 and 1, mask_logits (n,) or None.

        Returns:
            logits (c, n) and predicted IoUs (c,).
        """
        kinds = [self.weights[f"point_encoder.point_embeddings.{kind}.weight"] for kind in (0, 1)]
        prompts = self._fourier(clicks) + torch.cat(kinds)[labels]
        output = [
            self.weights["mask_decoder.iou_token.weight"],
            self.weights["mask_decoder.mask_tokens.weight"],
        ]
        tokens = torch.cat([*output, prompts])
        tokens, points = self._two_way(
            tokens, cloud.embedding + self._mask_prompt(cloud, mask_logits), cloud.position
        )

        distance, index = _distances(cloud.coords, cloud.centers).topk(3, largest=False)
        weight = 1 / distance.square().clamp_min(1e-8)
        weight = weight / weight.sum(-1, keepdim=True)
        points = (points[index] * weight[..., None]).sum(-2)
        points = self._linear(points, "mask_decoder.output_upscaling.0")
        points = F.gelu(self._norm(points, "mask_decoder.output_upscaling.1"))
        points = F.gelu(self._linear(points, "mask_decoder.output_upscaling.3"))

        masks = self.config.num_multimask + 1
        heads = torch.stack(
            [
                self._mlp(tokens[1 + mask], f"mask_decoder.output_hypernetworks_mlps.{mask}")
                for mask in range(masks)
            ]
        )
        logits = heads @ points.T
        ious = self._mlp(tokens[0], "mask_decoder.iou_prediction_head")
        return (logits[1:], ious[1:]) if multimask else (logits[:1], ious[:1])

    def _mask_prompt(self, cloud: EmbeddedCloud, logits: Tensor | None) -> Tensor:
        if logits is None:
            return self.weights["mask_encoder.no_mask_embed.weight"]
        groups = cloud.groups[:, : self.config.mask_patch_size or None]  # nearest first
        offsets = cloud.coords[groups] - cloud.centers[:, None]
        points = torch.cat([offsets, logits[groups][..., None]], -1)
        return self._point_net(points, "mask_encoder.patch_encoder")

    def _point_net(self, points: Tensor, name: str) -> Tensor:
        """(l, k, c) to (l, out)."""
        local = F.gelu(self._norm(self._linear(points, f"{name}.conv1.0"), f"{name}.conv1.1"))
        local = self._linear(local, f"{name}.conv1.3")
        whole = local.amax(-2, keepdim=True).expand_as(local)
        mixed = self._linear(torch.cat([whole, local], -1), f"{name}.conv2.0")
        mixed = F.gelu(self._norm(mixed, f"{name}.conv2.1"))
        return self._linear(mixed, f"{name}.conv2.3").amax(-2)

    def _transformer(self, tokens: Tensor) -> Tensor:
        vit = self.config.vit
        for number in range(vit.depth):
            name = f"pc_encoder.transformer.blocks.{number}"
            x = self._norm(tokens, f"{name}.norm1", vit.norm_eps)
            query, key, value = (
                _split(self._linear(x, f"{name}.attn.{part}_proj"), vit.heads) for part in "qkv"
            )
            attended = F.scaled_dot_product_attention(query[None], key[None], value[None])[0]
            tokens = tokens + self._linear(_join(attended), f"{name}.attn.proj")
            x = self._norm(tokens, f"{name}.norm2", vit.norm_eps)
            gate = F.silu(self._linear(x, f"{name}.mlp.fc1_g"))
            x = gate * self._linear(x, f"{name}.mlp.fc1_x")
            x = self._norm(x, f"{name}.mlp.norm", vit.norm_eps)
            tokens = tokens + self._linear(x, f"{name}.mlp.fc2")
        return self._norm(tokens, "pc_encoder.transformer.fc_norm", vit.norm_eps)

    def _two_way(self, tokens: Tensor, points: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        prompt = tokens
        for number in range(self.config.decoder.depth):
            name = f"mask_decoder.transformer.layers.{number}"
            if number == 0:
                tokens = self._attend(tokens, tokens, tokens, f"{name}.self_attn")
            else:
                placed = tokens + prompt
                tokens = tokens + self._attend(placed, placed, tokens, f"{name}.self_attn")
            tokens = self._norm(tokens, f"{name}.norm1")
            update = self._attend(
                tokens + prompt, points + position, points, f"{name}.cross_attn_token_to_image"
            )
            tokens = self._norm(tokens + update, f"{name}.norm2")
            hidden = F.relu(self._linear(tokens, f"{name}.mlp.lin1"))
            tokens = tokens + self._linear(hidden, f"{name}.mlp.lin2")
            tokens = self._norm(tokens, f"{name}.norm3")
            update = self._attend(
                points + position, tokens + prompt, tokens, f"{name}.cross_attn_image_to_token"
            )
            points = self._norm(points + update, f"{name}.norm4")
        name = "mask_decoder.transformer.final_attn_token_to_image"
        tokens = tokens + self._attend(tokens + prompt, points + position, points, name)
        return self._norm(tokens, "mask_decoder.transformer.norm_final_attn"), points

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, name: str) -> Tensor:
        query, key, value = (
            _split(self._linear(x, f"{name}.{part}_proj"), self.config.decoder.heads)
            for part, x in (("q", query), ("k", key), ("v", value))
        )
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        return self._linear(_join(scores.softmax(-1) @ value), f"{name}.out_proj")

    def _fourier(self, coords: Tensor) -> Tensor:
        name = "point_encoder.pe_layer.positional_encoding_gaussian_matrix"
        phase = 2 * math.pi * (coords @ self.weights[name])
        return torch.cat([phase.sin(), phase.cos()], -1)

    def _mlp(self, x: Tensor, name: str) -> Tensor:
        for layer in (0, 1):
            x = F.relu(self._linear(x, f"{name}.layers.{layer}"))
        return self._linear(x, f"{name}.layers.2")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))

    def _norm(self, x: Tensor, name: str, eps: float = 1e-5) -> Tensor:
        weight = self.weights[f"{name}.weight"]
        return F.layer_norm(x, weight.shape, weight, self.weights[f"{name}.bias"], eps)


def _distances(queries: Tensor, points: Tensor) -> Tensor:
    """(q, n), dense, and exact: the matrix-product shortcut finds other neighbours."""
    return torch.cdist(queries, points, compute_mode="donot_use_mm_for_euclid_dist")


def _split(x: Tensor, heads: int) -> Tensor:
    """(t, heads · d) to (heads, t, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(0, 1)


def _join(x: Tensor) -> Tensor:
    """(heads, t, d) to (t, heads · d)."""
    return x.transpose(0, 1).flatten(1)
