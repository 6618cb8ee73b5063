"""The cloud encoder: patches to tokens, through the transformer, to the cloud embedding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointsam_model.config.model import ModelConfig
from pointsam_model.nn.drawing import begins_with_zero
from pointsam_model.nn.patch_embed import PatchEmbed
from pointsam_model.nn.patches import Patches
from pointsam_model.nn.vit import ViT

POSITION_HIDDEN = 128  # width of the MLP over patch centres, in every released model
SURFACE_HIDDEN = 64  # width of the MLP over `surface`
SURFACE_VALUES = 7


class CloudEncoder(nn.Module):
    """F_p of the paper (section 3): one embedding per patch."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.vit.width
        self.color_gain = config.color_gain
        self.patch_embed = PatchEmbed(config.in_features, config.patch_hidden, config.patch_dim)
        self.patch_proj = nn.Linear(config.patch_dim, width)
        self.pos_embed = nn.Sequential(
            nn.Linear(3, POSITION_HIDDEN), nn.GELU(), nn.Linear(POSITION_HIDDEN, width)
        )
        self.surface_embed: nn.Sequential | None = None
        if config.surface_features:
            last = begins_with_zero(nn.Linear(SURFACE_HIDDEN, width))
            self.surface_embed = nn.Sequential(
                nn.Linear(SURFACE_VALUES, SURFACE_HIDDEN), nn.GELU(), last
            )
        self.transformer = ViT(config.vit)
        self.out_proj = nn.Linear(width, config.decoder.dim)

    def forward(self, patches: Patches, features: Tensor) -> Tensor:
        """Embeds clouds.

        Args:
            patches: the geometry of b clouds.
            features: (b, n, f), colours in [-1, 1].

        Returns:
            (b, l, d), the cloud embedding.
        """
        return self.embed(patches.offsets, self.by_patch(patches, features), patches.centers)

    def by_patch(self, patches: Patches, features: Tensor) -> Tensor:
        """Features of points, (b, n, f), as the network sees those of patches: (b, l, k, f)."""
        return patches.gather(features * self.color_gain)

    def embed(self, offsets: Tensor, features: Tensor, centers: Tensor) -> Tensor:
        """Of patches: offsets (b, l, k, 3), `by_patch` (b, l, k, f), centers (b, l, 3)."""
        tokens = self.patch_proj(self.patch_embed(offsets, features)) + self._position(centers)
        if self.surface_embed is not None:
            tokens = tokens + self.surface_embed(surface(offsets).to(self.patch_embed.dtype))
        return self.out_proj(self.transformer(tokens))

    def _position(self, centers: Tensor) -> Tensor:
        """Coordinates are multiplied in float32, whatever the weights are: half precision tells
        places of the unit sphere only some thousandths apart."""
        first, *rest = self.pos_embed
        assert isinstance(first, nn.Linear)
        position = F.linear(centers, first.weight.float(), first.bias.float())
        position = position.to(first.weight.dtype)
        for layer in rest:
            position = layer(position)
        return position


def surface(offsets: Tensor) -> Tensor:
    """How the points of patches spread: the surface's normal, flatness and size.

    A maximum over points can hardly compute these. The covariance holds both: its least axis is the
    normal, and the variance along it the lack of flatness. Unlike a normal it needs no sign, which
    only the sensor's place could give, and it does not jump where two axes are alike.

    Args:
        offsets: (b, l, k, 3) float32, points from their patch's centre, in units of the sphere.

    Returns:
        (b, l, 7) float32: the covariance's three variances and three covariances over the sum of
        the variances, and half the logarithm of that sum.
    """
    around = (offsets - offsets.mean(2, keepdim=True)).float()
    covariance = around.transpose(2, 3) @ around / around.shape[2]
    variances = covariance.diagonal(dim1=2, dim2=3)
    mixed = torch.stack([covariance[..., a, b] for a, b in ((0, 1), (0, 2), (1, 2))], -1)
    total = variances.sum(-1, keepdim=True).clamp_min(1e-12)
    return torch.cat([variances / total, mixed / total, total.log() / 2], -1)
