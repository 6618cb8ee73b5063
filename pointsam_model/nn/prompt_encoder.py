"""Prompts as embeddings: clicks by Fourier features, masks by a PointNet (paper, section 3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pointsam_model.nn.drawing import begins_with_zero, learned, normal
from pointsam_model.nn.patch_embed import PatchEncoder
from pointsam_model.nn.patches import Patches


class FourierFeatures(nn.Module):
    """[sin, cos](2π x G) of coordinates in the unit sphere, in float32 whatever the weights are."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", normal(3, dim // 2))

    def forward(self, coords: Tensor) -> Tensor:
        """(..., 3) float32 to (..., dim) float32."""
        phase = 2 * math.pi * (coords @ self.positional_encoding_gaussian_matrix)
        return torch.cat([phase.sin(), phase.cos()], -1)


class ClickEncoder(nn.Module):
    """Clicks as their position and the learned embedding of their label.

    Args:
        dim: d, the decoder's width.
        features: whether to add the cloud embedding at a click, through a small network initialised
            to zero output (as in PartSAM and SNAP).
    """

    def __init__(self, dim: int, features: bool = False) -> None:
        super().__init__()
        self.pe_layer = FourierFeatures(dim)
        self.point_embeddings = nn.ModuleList(learned(1, dim) for _ in range(2))
        self.seen: nn.Sequential | None = None
        if features:
            last = begins_with_zero(nn.Linear(dim, dim))
            self.seen = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU(), last)

    def forward(self, coords: Tensor, labels: Tensor, seen: Tensor | None = None) -> Tensor:
        """coords (m, q, 3), labels (m, q): 1 on, 0 off the object, any other: position alone.

        Args:
            seen: (m, q, dim), the cloud embedding at the clicks, where it is asked for.

        Returns:
            (m, q, dim).
        """
        off, on = (table.get_parameter("weight")[0] for table in self.point_embeddings)
        label = labels[..., None]
        nothing = torch.zeros_like(on)
        kind = torch.where(label == 1, on, torch.where(label == 0, off, nothing))
        clicks = self.pe_layer(coords).to(kind.dtype) + kind
        return clicks if self.seen is None or seen is None else clicks + self.seen(seen)


class MaskEncoder(nn.Module):
    """A mask prompt (logits over the points) as an addition to the cloud embedding.

    Args:
        hidden: widths of the PointNet.
        dim: d, the decoder's width.
        patch_size: most points used per patch, those nearest to its centre; 0: all.
    """

    def __init__(self, hidden: tuple[int, int], dim: int, patch_size: int = 0) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.patch_encoder = PatchEncoder(4, hidden, dim)
        self.no_mask_embed = learned(1, dim)

    def forward(self, patches: Patches, logits: Tensor) -> Tensor:
        """Embeds one mask for each of b · m objects, m of each cloud.

        Args:
            patches: the geometry of b clouds.
            logits: (b, m, n).

        Returns:
            (b, m, l, d).
        """
        return self.embed(*self.nearest(patches), logits)

    def nearest(self, patches: Patches) -> tuple[Tensor, Tensor]:
        """Groups (b, l, k') and offsets (b, l, k', 3) of the points used."""
        nearest = slice(self.patch_size or None)  # groups are sorted
        return patches.groups[:, :, nearest], patches.offsets[:, :, nearest]

    def embed(self, groups: Tensor, offsets: Tensor, logits: Tensor) -> Tensor:
        """Of `nearest` and logits (b, m, n): (b, m, l, d)."""
        b, m, _ = logits.shape
        rows = groups.flatten(1)[:, None].expand(-1, m, -1)
        values = logits.gather(-1, rows).view(b, m, *groups.shape[1:], 1)
        offsets = offsets[:, None].expand(*values.shape[:-1], 3)
        points = torch.cat([offsets, values.to(offsets.dtype)], -1)
        return self.patch_encoder(points.to(self.patch_encoder.dtype))
