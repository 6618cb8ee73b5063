"""The network's architecture, and its presets."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pointsam_model.config.building import built
from pointsam_model.errors import ConfigError


@dataclass(frozen=True)
class ViTConfig:
    """The transformer of the cloud encoder (EVA02 or EVA giant blocks, as in Point-SAM)."""

    family: Literal["eva02", "eva_giant"] = "eva02"
    width: int = 1024
    depth: int = 24
    heads: int = 16
    mlp_ratio: float = 8 / 3
    norm_eps: float = 1e-6


@dataclass(frozen=True)
class DecoderConfig:
    """The mask decoder (paper, section 3)."""

    dim: int = 256
    depth: int = 2
    heads: int = 8
    mlp_dim: int = 2048
    attention_downsample: int = 2
    iou_hidden: int = 256
    upscale_dim: int = 0  # width of the per-point features; 0: `dim`, as published


@dataclass(frozen=True)
class PatchRule:
    """Number and size of patches for clouds of more than `above_points` kept points."""

    above_points: int
    num_patches: int
    patch_size: int


@dataclass(frozen=True)
class ModelConfig:
    """The architecture of a Point-SAM network; stored in checkpoints as JSON."""

    in_features: int = 3
    patch_hidden: tuple[int, int] = (128, 512)
    patch_dim: int = 512
    num_patches: int = 512
    patch_size: int = 64
    vit: ViTConfig = ViTConfig()
    decoder: DecoderConfig = DecoderConfig()
    num_multimask: int = 3
    mask_patch_size: int = 0  # most points per patch in the mask prompt encoder; 0: all
    color_gain: float = 1.0  # factor on colours before the network; below 1 they count less
    # Extensions that training can add to a checkpoint (`training.growing`); off in all releases.
    click_features: bool = False  # add the cloud's feature at a click to its token
    relative_positions: bool = False  # encode patch positions relative to the nearest clicks
    negative_masks: bool = False  # a second token per mask, whose logits are subtracted (Easy3D)
    surface_features: bool = False  # add the surface's normal and flatness to patch tokens
    prompt_iterations: int = 7
    large_clouds: tuple[PatchRule, ...] = ()  # for clouds that need more than `num_patches`
    max_points: int = 10_000  # kept points on a CPU
    max_points_gpu: int = 32_768

    @classmethod
    def from_json(cls, path: str | Path) -> ModelConfig:
        """Reads a JSON config.

        Raises:
            ConfigError: no such file, invalid JSON, an unknown key or a value of the wrong type.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the model config {path}: {error}") from error
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"the model config {path} is not valid JSON: {error}") from error
        return cls.from_dict(values, where=str(path))

    @classmethod
    def from_dict(cls, values: object, where: str = "model config") -> ModelConfig:
        """Builds a config from plain values; keys that are absent keep their defaults."""
        config = built(cls, values, where)
        _check_model(config, where)
        return config

    def to_dict(self) -> dict[str, Any]:
        """The plain values that `from_dict` reads."""
        return dataclasses.asdict(self)

    def patches_for(self, points: int) -> tuple[int, int]:
        """(L, K): number and size of patches for `points` kept points, each at most `points`."""
        num_patches, patch_size = self.num_patches, self.patch_size
        for rule in self.large_clouds:
            if points > rule.above_points:
                num_patches, patch_size = rule.num_patches, rule.patch_size
        return min(num_patches, points), min(patch_size, points)


LARGE_CLOUDS = (PatchRule(above_points=16_384, num_patches=2_048, patch_size=256),)
LARGE = ModelConfig(large_clouds=LARGE_CLOUDS)
GIANT = ModelConfig(
    vit=ViTConfig("eva_giant", width=1408, depth=40, heads=16, mlp_ratio=4.3636364),
    large_clouds=LARGE_CLOUDS,
)
WEIGHTS = Path(__file__).parents[1] / "weights"
PRESETS = ("tiny", "large", "giant")


def preset(name: str) -> ModelConfig:
    """The model config of a preset, or of a JSON file when `name` is a path that ends in `.json`.

    Raises:
        ConfigError: neither a preset nor a valid JSON config.
    """
    if name == "large":
        return LARGE
    if name == "giant":
        return GIANT
    if name == "tiny":
        return ModelConfig.from_json(WEIGHTS / "tiny.json")
    if name.endswith(".json"):
        return ModelConfig.from_json(name)
    raise ConfigError(f"unknown model {name!r}: use {', '.join(PRESETS)} or a path to a .json file")


def _check_model(config: ModelConfig, where: str) -> None:
    vit, decoder = config.vit, config.decoder
    positive = {
        "patch_dim": config.patch_dim,
        "num_patches": config.num_patches,
        "patch_size": config.patch_size,
        "vit.width": vit.width,
        "vit.depth": vit.depth,
        "vit.heads": vit.heads,
        "decoder.dim": decoder.dim,
        "decoder.depth": decoder.depth,
        "decoder.heads": decoder.heads,
        "decoder.attention_downsample": decoder.attention_downsample,
        "max_points": config.max_points,
    }
    for name, value in positive.items():
        if value < 1:
            raise ConfigError(f"{where}: {name} is {value}; it must be at least 1")
    if vit.width % vit.heads:
        raise ConfigError(f"{where}: vit.width {vit.width} is not a multiple of {vit.heads} heads")
    inner = decoder.dim // decoder.attention_downsample
    if decoder.dim % (2 * decoder.heads) or inner % decoder.heads:
        raise ConfigError(f"{where}: decoder.dim {decoder.dim} is not a multiple of its heads")
