"""The PointNet that turns the points of a patch into one feature (paper, section 3)."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pointsam_model.nn.chunks import chunked, map_chunks

FULL_VECTORS = 64  # channels that PyTorch's maximum over points is as fast as memory for


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

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights, which the points must have too."""
        return next(self.parameters()).dtype

    def forward(self, points: Tensor) -> Tensor:
        """(..., l, k, channels) to (..., l, out)."""
        patches = points.flatten(0, -3)
        if chunked(patches):
            widest = max(linear.out_features for linear in self._linears())
            features = map_chunks(
                lambda rows: self._encode(patches[rows]),
                len(patches),
                patches.shape[1] * widest,
                patches.dtype,
            )
        else:
            learning = torch.is_grad_enabled()
            features = self._learn(patches) if learning else self._encode(patches)
        return features.unflatten(0, points.shape[:-2])

    def _encode(self, points: Tensor) -> Tensor:
        local = self.conv1(points)
        whole = _maximum(local)
        # The first linear layer of [whole, local], each half where it is cheapest: the half of
        # `whole` once a patch, not once a point.
        first, *rest = self.conv2
        assert isinstance(first, nn.Linear)
        for_whole, for_local = first.weight.split(local.shape[-1], 1)
        mixed = F.linear(local, for_local.contiguous(), first.bias)
        mixed += F.linear(whole, for_whole)[..., None, :]
        for layer in rest:
            mixed = layer(mixed)
        return mixed.amax(-2)

    def _learn(self, points: Tensor) -> Tensor:
        """`_encode` where gradients are wanted: each bias is added once a patch and not once a
        point, which a layer does by a copy of its own; after a maximum it is the same."""
        (first, second), (third, last) = (
            [layer for layer in stage if isinstance(layer, nn.Linear)]
            for stage in (self.conv1, self.conv2)
        )
        _, norm1, gelu, _ = self.conv1
        _, norm2, _, _ = self.conv2
        weight = torch.cat([first.weight, first.bias[:, None]], 1)
        points = torch.cat([points, points.new_ones(*points.shape[:-1], 1)], -1)
        local = F.linear(gelu(norm1(F.linear(points, weight))), second.weight)
        whole = _SharedMaximum.apply(local) + second.bias
        for_whole, for_local = third.weight.split(local.shape[-1], 1)
        once = F.linear(whole, for_whole) + (third.bias + F.linear(second.bias, for_local))
        mixed = F.linear(local, for_local)
        mixed += once.to(mixed.dtype)[..., None, :]
        features = F.linear(gelu(norm2(mixed)), last.weight)
        return _SharedMaximum.apply(features) + last.bias

    def _linears(self) -> list[nn.Linear]:
        return [layer for layer in self.modules() if isinstance(layer, nn.Linear)]


def _maximum(local: Tensor) -> Tensor:
    """(l, k, c) to (l, c). Several points of a patch are taken as one wide row first: PyTorch's
    maximum is several times slower over rows that do not fill its vectors."""
    together = math.gcd(local.shape[-2], 8)
    wide = local.unflatten(-2, (-1, together)).flatten(-2)
    return wide.amax(-2).unflatten(-1, (together, -1)).amax(-2)


class _SharedMaximum(torch.autograd.Function):
    """`amax` over the points of (l, k, c); equal points share the gradient, as with PyTorch's own,
    whose backward pass counts them in integers and took 40 % of a training step on a CPU."""

    @staticmethod
    def forward(ctx: Any, points: Tensor) -> Tensor:
        greatest = _greatest(points)
        ctx.save_for_backward(points, greatest)
        return greatest

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        points, greatest = ctx.saved_tensors
        equal = torch.empty_like(points)
        torch.eq(points, greatest[..., None, :], out=equal)
        count = (equal.new_ones(1, points.shape[-2]) @ equal)[..., 0, :]
        return equal.mul_((gradient / count)[..., None, :])


def _greatest(points: Tensor) -> Tensor:
    """`amax` over the points of (l, k, c). Where the channels do not fill a CPU's vectors, maxima
    of halves, whose rows are longer, take half as long."""
    if points.device.type != "cpu" or points.shape[-1] % FULL_VECTORS == 0:
        return points.amax(-2)
    while points.shape[-2] % 2 == 0:
        half = points.shape[-2] // 2
        points = torch.maximum(points[..., :half, :], points[..., half:, :])
    first, *others = points.unbind(-2)
    for other in others:
        first = torch.maximum(first, other)
    return first


class PatchEmbed(nn.Module):
    """Features of patches from their points' offsets and colours."""

    def __init__(self, in_features: int, hidden: tuple[int, int], out: int) -> None:
        super().__init__()
        self.patch_encoder = PatchEncoder(3 + in_features, hidden, out)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.patch_encoder.dtype

    def forward(self, offsets: Tensor, features: Tensor) -> Tensor:
        """offsets (b, l, k, 3), features (b, l, k, f) to (b, l, out)."""
        points = torch.cat([offsets, features.to(offsets.dtype)], -1)
        return self.patch_encoder(points.to(self.patch_encoder.dtype))
