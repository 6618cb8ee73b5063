"""Point-SAM: the parts put together (paper, section 3 and figure 2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pointsam_model.config import ModelConfig
from pointsam_model.nn.cloud_encoder import CloudEncoder
from pointsam_model.nn.mask_decoder import MaskDecoder
from pointsam_model.nn.patches import Patches
from pointsam_model.nn.prompt_encoder import ClickEncoder, MaskEncoder
from pointsam_model.nn.two_way import CloudView


@dataclass(frozen=True)
class CloudEncoding:
    """What belongs to b clouds and not to a click, kept from click to click.

    Attributes:
        patches: geometry.
        embedding: (b, l, d), the encoder's output.
        position: (b, l, d) float32, positional encoding of the patch centres.
        first_view: of one cloud without a mask prompt, what the decoder's first layer makes of it;
            None: not kept.
    """

    patches: Patches
    embedding: Tensor
    position: Tensor
    first_view: CloudView | None = None


class PointSAM(nn.Module):
    """Promptable segmentation of point clouds: encode once, decode for every prompt."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.pc_encoder = CloudEncoder(config)
        self.point_encoder = ClickEncoder(config.decoder.dim)
        self.mask_encoder = MaskEncoder(
            config.patch_hidden, config.decoder.dim, config.mask_patch_size
        )
        self.mask_decoder = MaskDecoder(config.decoder, config.num_multimask)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.pc_encoder.out_proj.weight.device

    def encode(self, patches: Patches, features: Tensor) -> CloudEncoding:
        """Embeds b clouds.

        Args:
            patches: their geometry, from coordinates in the unit sphere (`make_patches`).
            features: (b, n, f) float32, colours in [-1, 1]; 0 where there is none.
        """
        position = self.point_encoder.pe_layer(patches.centers)
        return CloudEncoding(patches, self.pc_encoder(patches, features), position)

    def keep_first_view(self, encoding: CloudEncoding) -> CloudEncoding:
        """The encoding of one cloud with all that its first clicks have in common."""
        points = encoding.embedding + self.mask_encoder.no_mask_embed.weight
        position = encoding.position.to(points.dtype)
        view = self.mask_decoder.transformer.view(points, position)
        return replace(encoding, first_view=view)

    def decode(
        self,
        encoding: CloudEncoding,
        clicks: Tensor,
        labels: Tensor,
        *,
        visible: Tensor | None = None,
        mask_logits: Tensor | None = None,
        multimask: bool = False,
        at_centers: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Masks of m objects in each of the b encoded clouds.

        Args:
            clicks: (b, m, q, 3) float32, in the unit sphere.
            labels: (b, m, q), 1 on the object, 0 off it.
            visible: (b, m, q) bool, False where a click is padding; None: no padding.
            mask_logits: (b, m, n) float32, the mask prompts; None: none.
            multimask: three masks of an ambiguous click, else one.
            at_centers: logits at the l patch centres alone, many times cheaper than at n points.

        Returns:
            logits (b, m, c, n or l) float32, the mask is where they are above 0;
            predicted IoUs (b, m, c) float32, as the head gives them.
        """
        points = encoding.embedding[:, None]
        if mask_logits is None:
            points = points + self.mask_encoder.no_mask_embed.weight
        else:
            points = points + self.mask_encoder(encoding.patches, mask_logits)
        b, m = clicks.shape[:2]
        embedded = self.point_encoder(clicks.flatten(0, 1), labels.flatten(0, 1))
        return self.mask_decoder(
            points,
            encoding.position,
            embedded.unflatten(0, (b, m)),
            visible,
            None if at_centers else (encoding.patches.index, encoding.patches.weight),
            multimask,
            encoding.first_view if mask_logits is None else None,
        )
