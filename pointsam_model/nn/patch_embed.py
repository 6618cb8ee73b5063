"""The PointNet that turns the points of a patch into one feature (paper, section 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS_AT_ONCE = 8_192  # points per step without gradients: what stays in a CPU's cache


class PatchEncoder(nn.Module):
    """PointNet over patches: two small networks, each followed by a maximum over the points."""

    def __init__(self, channels: int, hidden: tuple[int, int], out: int) -> None:
        super().__init__()
        first, second = hidden
        self.conv1 = nn.Sequential(
            nn.Linear(channels, first), nn.LayerNorm(first), nn.GELU(), nn.Linear(first, first)
        )
        self.conv2 = nn.Sequential(
            nn.Linear(2 * first, second), nn.LayerNorm(second), nn.GELU(), nn.Linear(second, out)
        )

    def forward(self, points: Tensor) -> Tensor:
        """(..., l, k, channels) to (..., l, out)."""
        patches = points.flatten(0, -3)
        if torch.is_grad_enabled() or patches.device.type != "cpu":
            features = self._encode(patches)
        else:
            step = max(1, ROWS_AT_ONCE // patches.shape[1])
            features = torch.cat([self._encode(part) for part in patches.split(step)])
        return features.unflatten(0, points.shape[:-2])

    def _encode(self, points: Tensor) -> Tensor:
        local = self.conv1(points)
        whole = local.amax(-2, keepdim=True)
        # The first linear layer of [whole, local], each half where it is cheapest: the half of
        # `whole` once a patch, not once a point.
        linear = self.conv2[0]
        split = local.shape[-1]
        mixed = F.linear(local, linear.weight[:, split:], linear.bias)
        mixed = mixed + F.linear(whole, linear.weight[:, :split])
        for layer in list(self.conv2)[1:]:
            mixed = layer(mixed)
        return mixed.amax(-2)


class PatchEmbed(nn.Module):
    """Features of patches from their points' offsets and colours."""

    def __init__(self, in_features: int, hidden: tuple[int, int], out: int) -> None:
        super().__init__()
        self.patch_encoder = PatchEncoder(3 + in_features, hidden, out)

    def forward(self, offsets: Tensor, features: Tensor) -> Tensor:
        """offsets (b, l, k, 3), features (b, l, k, f) to (b, l, out)."""
        points = torch.cat([offsets, features.to(offsets.dtype)], -1)
        return self.patch_encoder(points.to(self.patch_encoder.conv1[0].weight.dtype))
