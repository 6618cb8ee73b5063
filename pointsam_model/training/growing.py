"""A network with parts that its checkpoint does not have yet."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from pointsam_model.config.model import ModelConfig
from pointsam_model.nn import PointSAM
from pointsam_model.weights.loading import read_weights

# Switches of ModelConfig whose parts begin with nothing, and how the names of their weights begin.
PARTS = {
    "click_features": "point_encoder.seen.",
    "relative_positions": "nearest_clicks.",
    "negative_masks": "mask_decoder.negative_",
    "surface_features": "pc_encoder.surface_embed.",
}


def grown(config: ModelConfig, path: Path, seed: int) -> PointSAM:
    """The network of a checkpoint, with what `config` switches on beside it.

    New parts give what the network gave without them, until they have learned.

    Args:
        seed: that new weights are drawn by.

    Raises:
        CheckpointError: no such file, or not this model's weights but for such parts.
    """
    missing = [name for name, prefix in PARTS.items() if not _has(path, prefix)]
    changes: dict[str, Any] = dict.fromkeys(missing, False)
    before = dataclasses.replace(config, **changes)
    with torch.device("meta"):
        old = PointSAM(before)
    read_weights(old, path, torch.device("cpu"), torch.float32)
    if before == config:
        return old
    torch.manual_seed(seed)
    network = PointSAM(config)
    network.load_state_dict(old.state_dict(), strict=False)
    return network


def _has(path: Path, prefix: str) -> bool:
    """Whether a checkpoint has weights of such names; one that cannot be read has none."""
    try:
        with safe_open(path, framework="pt") as file:
            return any(name.startswith(prefix) for name in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError):
        return False
