"""Attention between few tokens and many points, with all projections applied to the tokens.

The dot product of a projected point with a projected token equals that of the point itself with the
token projected twice, and a weighted sum of projected points is the projection of the weighted sum.
So nothing of the size of the points is projected, split into heads or summed: each layer needs only
three matrix products with heads · tokens rows. Results and gradients equal those of
`TokenAttention` up to rounding. Used in training, where copies of the points took most of the time.

Shapes: b clouds of l patches, B = b · m objects of t tokens, width d, h heads of e values.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pointsam_model.nn.attention import TokenAttention, join_heads, split_heads


def look_at_points(
    attention: TokenAttention, queries: Tensor, points: Tensor, position: Tensor
) -> Tensor:
    """Attention from tokens to points, whose keys include the position and whose values do not.

    Args:
        queries: (B, t, d).
        points: (B, l, d), or (b, l, d) where all objects of a cloud share them.
        position: (b, l, d).

    Returns:
        (B, t, d). The bias of the keys is left out: a constant does not change a softmax.
    """
    heads, (objects, tokens, dim) = attention.heads, queries.shape
    asked = _scaled(split_heads(attention.q_proj(queries), heads))
    key_weight = attention.k_proj.weight.unflatten(0, (heads, -1))
    asked = torch.einsum("bhte,hed->bhtd", asked, key_weight).flatten(1, 2)
    shares = _products(asked, points, position).softmax(-1)
    seen = shares.reshape(len(points), -1, shares.shape[-1]) @ points
    seen = seen.view(objects, heads, tokens, dim)
    value_weight = attention.v_proj.weight.unflatten(0, (heads, -1))
    values = torch.einsum("bhtd,hed->bhte", seen, value_weight)
    values = values + attention.v_proj.bias.unflatten(0, (heads, 1, -1))
    return attention.out_proj(join_heads(values))


def tell_points(
    attention: TokenAttention,
    keys: Tensor,
    values: Tensor,
    points: Tensor,
    position: Tensor,
    visible: Tensor | None = None,
) -> Tensor:
    """Attention from points to tokens, added to the points.

    Args:
        keys, values: (B, t, d), of the tokens.
        points, position: as in `look_at_points`; queries are their sum.
        visible: (B, t) bool, False for padding; None: no padding.

    Returns:
        (B, l, d).
    """
    heads, (objects, tokens, _) = attention.heads, keys.shape
    key = _scaled(split_heads(attention.k_proj(keys), heads))
    query_weight = attention.q_proj.weight.unflatten(0, (heads, -1))
    asked = torch.einsum("bhte,hed->bhtd", key, query_weight).flatten(1, 2)
    offset = torch.einsum("bhte,he->bht", key, attention.q_proj.bias.unflatten(0, (heads, -1)))
    if visible is not None:
        offset = offset.masked_fill(~visible[:, None], -torch.inf)
    scores = _products(asked, points, position).view(objects, heads, tokens, -1)
    shares = (scores + offset[..., None].to(scores.dtype)).softmax(2).flatten(1, 2)
    # The shares of a head sum to 1, so each head may bring its part of the output's bias.
    told = torch.einsum(
        "bhte,dhe->bhtd",
        split_heads(attention.v_proj(values), heads),
        attention.out_proj.weight.unflatten(1, (heads, -1)),
    )
    told = (told + attention.out_proj.bias / heads).flatten(1, 2)
    return torch.baddbmm(_of_objects(points, objects), shares.transpose(1, 2), told)


def _scaled(x: Tensor) -> Tensor:
    return x * x.shape[-1] ** -0.5


def _products(asked: Tensor, points: Tensor, position: Tensor) -> Tensor:
    """Dot products of vectors (B, v, d) with points + position: (B, v, l)."""
    objects, count, dim = asked.shape
    asked, position = asked.to(points.dtype), position.to(points.dtype)
    by_cloud = asked.view(len(position), -1, dim)
    if len(points) == len(position):
        return _DotProducts.apply(by_cloud, points + position).view(objects, count, -1)
    with_position = (by_cloud @ position.transpose(1, 2)).view(objects, count, -1)
    return with_position + _DotProducts.apply(asked, points)


class _DotProducts(torch.autograd.Function):
    """asked (B, v, d) times points (B, l, d) transposed: (B, v, l), all of one type.

    PyTorch's own gradient of the points comes transposed in memory, and adding it to the others
    took as long as the rest of the layer.
    """

    @staticmethod
    def forward(ctx: Any, asked: Tensor, points: Tensor) -> Tensor:
        ctx.save_for_backward(asked, points)
        return asked @ points.transpose(1, 2)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        asked, points = ctx.saved_tensors
        return gradient @ points, gradient.transpose(1, 2) @ asked


def _of_objects(points: Tensor, objects: int) -> Tensor:
    """(b or B, l, d) to (B, l, d)."""
    if len(points) == objects:
        return points
    return points[:, None].expand(-1, objects // len(points), -1, -1).flatten(0, 1)
