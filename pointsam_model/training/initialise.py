"""The start that decides how soon masks appear.

With attention weights at their usual scale, prompt tokens and patches first have to find out that
they speak of positions. Equal key and query weights make every dot product a positional kernel
from the first step; frequencies spread over half a turn to four turns of the sphere give it both
reach and sharpness.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from pointsam_model.nn import PointSAM
from pointsam_model.nn.attention import TokenAttention

CROSS_ATTENTION_STD = 0.12
LOWEST_FREQUENCY, HIGHEST_FREQUENCY = 0.5, 4.0  # cycles in a unit of length


@torch.no_grad()
def initialise(network: PointSAM, seed: int) -> None:
    """Sets all weights for training from nothing, the same for the same seed."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5 * 0.8)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5)
    for name, module in network.mask_decoder.transformer.named_modules():
        if isinstance(module, TokenAttention) and not name.endswith("self_attn"):
            nn.init.normal_(module.q_proj.weight, std=CROSS_ATTENTION_STD)
            module.k_proj.weight.copy_(module.q_proj.weight)
    frequencies = network.point_encoder.pe_layer.positional_encoding_gaussian_matrix
    count = frequencies.shape[1]
    direction = nn.functional.normalize(torch.randn(3, count), dim=0)
    low, high = math.log(LOWEST_FREQUENCY), math.log(HIGHEST_FREQUENCY)
    length = (low + (high - low) * torch.rand(count)).exp()
    frequencies.copy_(direction * length)
