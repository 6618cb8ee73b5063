"""The cloud encoder: patches to tokens, through the transformer, to the cloud embedding."""

from __future__ import annotations

from torch import Tensor, nn

from pointsam_model.config import ModelConfig
from pointsam_model.nn.patch_embed import PatchEmbed
from pointsam_model.nn.patches import Patches
from pointsam_model.nn.vit import ViT

POSITION_HIDDEN = 128  # width of the MLP over patch centres, in every released model


class CloudEncoder(nn.Module):
    """F_p of the paper (section 3): one embedding a patch."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.vit.width
        self.color_gain = config.color_gain
        self.patch_embed = PatchEmbed(config.in_features, config.patch_hidden, config.patch_dim)
        self.patch_proj = nn.Linear(config.patch_dim, width)
        self.pos_embed = nn.Sequential(
            nn.Linear(3, POSITION_HIDDEN), nn.GELU(), nn.Linear(POSITION_HIDDEN, width)
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
        tokens = self.patch_embed(patches.offsets, patches.gather(features * self.color_gain))
        position = self.pos_embed(patches.centers.to(self.patch_proj.weight.dtype))
        return self.out_proj(self.transformer(self.patch_proj(tokens) + position))
