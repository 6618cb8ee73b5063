"""Writes checkpoints with their config and origin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from pointsam_model.nn import PointSAM
from pointsam_model.version import __version__
from pointsam_model.weights.loading import dtype_of


def save_checkpoint(
    network: PointSAM,
    path: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    about: Mapping[str, str] | None = None,
) -> None:
    """Writes a network as safetensors with its config; a crash leaves the old file intact.

    The metadata also contains the versions of this package and of PyTorch.

    Args:
        about: further metadata, such as command, seed and data.
    """
    path = Path(path)
    weights = {
        name: tensor.to("cpu", dtype_of(name, dtype)).contiguous()
        for name, tensor in network.state_dict().items()
    }
    metadata = {
        "config": json.dumps(network.config.to_dict()),
        "version": __version__,
        "torch": torch.__version__,
        **(about or {}),
    }
    partial = path.with_name(path.name + ".partial")
    save_file(weights, partial, metadata)
    partial.replace(path)
