"""Initial values of new networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def normal(*shape: int) -> Tensor:
    """Values of N(0, 1); on the meta device just the shape.

    PyTorch can draw there too, but imports its compiler for that, which takes seconds.
    """
    values = torch.empty(shape)
    return values if values.is_meta else values.normal_()


def learned(count: int, dim: int) -> nn.Embedding:
    """A table of `count` learned vectors."""
    return nn.Embedding.from_pretrained(normal(count, dim), freeze=False)


def begins_with_zero(layer: nn.Linear) -> nn.Linear:
    """Initialises a layer to zero, so that at first it does not change what it is added to."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
