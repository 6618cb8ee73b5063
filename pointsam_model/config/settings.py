"""The home of every number: typed configs with units and ranges, and the presets.

ROS parameters, `config/segment.yaml` and the command line are generated from these classes, so a
default is written once. `validate` is the one check of a value, wherever it came from.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_type_hints

from pointsam_model.errors import ConfigError

Device = str  # "auto", "cpu", "cuda", "cuda:1"


def setting(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    lengths: tuple[int, ...] = (),
) -> Any:
    """A config field with what a user must know of it.

    Args:
        default: its value where nobody says otherwise; its type is the setting's type.
        description: one sentence with the unit.
        low, high: least and greatest legal number, both included.
        choices: the legal texts, for a text setting.
        lengths: the legal lengths, for a list setting.
    """
    metadata = {
        "description": description,
        "low": low,
        "high": high,
        "choices": choices,
        "lengths": lengths,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ViTConfig:
    """The transformer of the cloud encoder (point_sam: EVA02 or EVA giant blocks)."""

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
    """A cloud of more than `above_points` points is cut into this many patches of this size."""

    above_points: int
    num_patches: int
    patch_size: int


@dataclass(frozen=True)
class ModelConfig:
    """Everything that shapes a Point-SAM network; its JSON form is what checkpoints carry."""

    in_features: int = 3
    patch_hidden: tuple[int, int] = (128, 512)
    patch_dim: int = 512
    num_patches: int = 512
    patch_size: int = 64
    vit: ViTConfig = ViTConfig()
    decoder: DecoderConfig = DecoderConfig()
    num_multimask: int = 3
    mask_patch_size: int = 0  # most points of a patch that a mask prompt looks at; 0: all of them
    color_gain: float = 1.0  # colours times this enter the network: below 1 they count less
    # Parts that a checkpoint may be given later (`training.growing`); no released model has any.
    click_features: bool = False  # a click's token also carries the cloud's feature at the click
    relative_positions: bool = False  # patches also know where they lie from the nearest clicks
    negative_masks: bool = False  # a second token a mask, whose logits are subtracted (Easy3D)
    surface_features: bool = False  # a patch's token also carries its surface's normal and flatness
    prompt_iterations: int = 7
    large_clouds: tuple[PatchRule, ...] = ()  # for more points than `num_patches` serves well
    max_points: int = 10_000  # kept points on a CPU
    max_points_gpu: int = 32_768

    @classmethod
    def from_json(cls, path: str | Path) -> ModelConfig:
        """Reads a JSON config.

        Raises:
            ConfigError: no such file, no JSON, an unknown key or a value of the wrong type.
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
        config = cast("ModelConfig", _build(cls, values, where))
        _check_model(config, where)
        return config

    def to_dict(self) -> dict[str, Any]:
        """The plain values that `from_dict` reads."""
        return dataclasses.asdict(self)

    def patches_for(self, points: int) -> tuple[int, int]:
        """(L, K) for a cloud of `points` kept points: never more than there are points."""
        num_patches, patch_size = self.num_patches, self.patch_size
        for rule in self.large_clouds:
            if points > rule.above_points:
                num_patches, patch_size = rule.num_patches, rule.patch_size
        return min(num_patches, points), min(patch_size, points)


@dataclass(frozen=True)
class ReductionConfig:
    """Which of the sensor's points the network sees."""

    max_points: int = setting(
        0,
        "most points the network sees, chosen by farthest point sampling; 0: the preset's",
        low=0,
        high=1_000_000,
    )
    voxel_size_m: float = setting(
        0.0, "voxel size [m]; one point is kept per voxel; 0: off", low=0.0, high=100.0
    )
    min_range_m: float = setting(
        0.0,
        "points nearer to the sensor are left out [m]; measured from the sensor's given"
        " position (in the node: clouds.sensor_frame), else from the origin of the cloud's frame",
        low=0.0,
        high=1e6,
    )
    max_range_m: float = setting(
        0.0,
        "points farther from the sensor are left out [m], measured from the same position; 0: off",
        low=0.0,
        high=1e6,
    )
    crop_min_m: tuple[float, ...] = setting(
        (), "least x, y, z of points to keep [m, cloud's frame]; empty: off", lengths=(0, 3)
    )
    crop_max_m: tuple[float, ...] = setting(
        (), "greatest x, y, z of points to keep [m, cloud's frame]; empty: off", lengths=(0, 3)
    )


@dataclass(frozen=True)
class PredictorConfig:
    """How a cloud is embedded and prompts are answered."""

    num_patches: int = setting(0, "patches a cloud is cut into; 0: the preset's", low=0, high=16384)
    patch_size: int = setting(0, "points in a patch; 0: the preset's", low=0, high=2048)
    first_click_mask: bool = setting(
        True,
        "several clicks at once without a mask: decode the first alone and use its mask as a"
        " prompt",
    )
    first_click_votes: int = setting(
        0,
        "patches around a single click that are clicked too, and whose masks vote: better masks"
        " for one click, a worse start for further clicks; 12 is a good number; 0: off, as"
        " published",
        low=0,
        high=256,
    )
    geometry: bool = setting(
        True,
        "true: parts of the cloud's surface are candidates as well as the network's masks, and"
        " a learned quality score chooses; false: the network alone, as published",
    )
    looks: str = setting(
        "auto",
        "auto: a click in a large cloud, or on something tiny, is answered from a crop of its"
        " surroundings, embedded separately; whole: always from the whole cloud, as published",
        choices=("auto", "whole"),
    )
    snap_radius_m: float = setting(
        0.05, "greatest distance of a click from the nearest point [m]", low=0.0, high=1e6
    )
    snap_range_fraction: float = setting(
        0.02,
        "or, if greater, this fraction of the click's distance to the sensor; if the sensor's"
        " position is unknown, three times the local point spacing, at most this fraction of the"
        " cloud's extent",
        low=0.0,
        high=1.0,
    )


@dataclass(frozen=True)
class ProposalConfig:
    """How everything in a cloud is segmented, and which masks are proposed as objects."""

    points: int = setting(
        1024,
        "without predictor.geometry: clicks per cloud; clouds with few kept points or patches"
        " get fewer. With it, each part of the surface is clicked",
        low=1,
        high=16_384,
    )
    min_score: float = setting(
        0.3,
        "masks less likely than this to be an object are dropped; without predictor.geometry,"
        " rough masks of lower predicted IoU: the others are decoded once more, and the score"
        " reported then may be lower",
        low=0.0,
        high=1.0,
    )
    min_stability: float = setting(
        0.3,
        "without predictor.geometry: rough masks that change more between logits -1 and +1 (IoU)"
        " are dropped",
        low=0.0,
        high=1.0,
    )
    nms_iou: float = setting(
        0.5,
        "of masks that overlap more than this (IoU), only the best is kept; the paper uses 0.3",
        low=0.0,
        high=1.0,
    )
    max_instances: int = setting(250, "most instances per cloud", low=1, high=10_000)
    min_points: int = setting(
        30, "instances with fewer points of the source cloud are dropped", low=1, high=1_000_000
    )
    max_share: float = setting(
        0.5,
        "masks of more than this share of the embedded points are not objects",
        low=0.0,
        high=1.0,
    )
    max_flat_share: float = setting(
        0.1,
        "without predictor.geometry: flat masks of more than this share of the points are"
        " dropped as supporting surfaces; 1: keep them",
        low=0.0,
        high=1.0,
    )
    piece_share: float = setting(
        0.1,
        "without predictor.geometry: unconnected pieces and holes below this share of a mask's"
        " largest piece are removed; 0: keep them",
        low=0.0,
        high=1.0,
    )
    batch_mib: int = setting(
        256,
        "without predictor.geometry: memory for a decoder batch on a CPU [MiB]; more allows"
        " more objects at once, up to 128; on a GPU it is a share of the free memory",
        low=1,
        high=1_000_000,
    )


@dataclass(frozen=True)
class TrackingConfig:
    """When an instance of one cloud is that of an earlier one."""

    enabled: bool = setting(False, "instances keep their ids from cloud to cloud")
    keep_s: float = setting(
        2.0,
        "how long an object that is not found keeps its id after it was last seen [s]",
        low=0.0,
        high=86_400.0,
    )
    min_overlap: float = setting(
        0.2,
        "least IoU in space at which an instance is matched to an earlier one",
        low=0.01,
        high=1.0,
    )
    min_shape: float = setting(
        0.5,
        "least IoU with the centres aligned at which an instance that jumped is matched",
        low=0.01,
        high=1.0,
    )
    max_speed: float = setting(
        1.0,
        "greatest speed of objects in the tracking frame [m/s]; 0: no jumps",
        low=0.0,
        high=100.0,
    )
    voxel_share: float = setting(
        0.06, "size of the compared voxels, as a share of the object's diagonal", low=0.01, high=0.5
    )
    voxel_m: float = setting(
        0.005,
        "least size of the compared voxels, above the sensor's noise [m]",
        low=0.0001,
        high=10.0,
    )
    follow_min_score: float = setting(
        0.3, "least predicted IoU at which a followed object counts as found", low=0.0, high=1.0
    )


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
        ConfigError: neither a preset nor a JSON config.
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


def settings(config: Any) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """(name, value, metadata) of each setting; nested configs give dotted names."""
    for item in fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            for name, inner, metadata in settings(value):
                yield f"{item.name}.{name}", inner, metadata
        elif "description" in item.metadata:
            yield item.name, value, item.metadata


Config = TypeVar("Config")


def configured(config: Config, values: Mapping[str, Any]) -> Config:
    """A copy of `config` with the settings named in `values` (dotted names) changed and checked.

    Raises:
        ConfigError: unknown name, wrong type, out of range; says what would be right.
    """
    known = {name: (value, metadata) for name, value, metadata in settings(config)}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"unknown setting {name!r}; known: {', '.join(sorted(known))}")
        default, metadata = known[name]
        config = _replaced(config, name.split("."), validate(name, value, default, metadata))
    return config


def validate(name: str, value: Any, default: Any, metadata: Mapping[str, Any]) -> Any:
    """`value` in the type of `default`, or a ConfigError that names value and range."""
    if isinstance(default, tuple):
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise ConfigError(f"{name} is {value!r}; it takes a list of numbers")
        values = tuple(value)
        if len(values) not in metadata["lengths"]:
            allowed = " or ".join(str(length) for length in metadata["lengths"])
            raise ConfigError(f"{name} has {len(values)} values; it takes {allowed}")
        return tuple(validate(name, item, 0.0, {**metadata, "lengths": ()}) for item in values)
    if isinstance(default, bool) or isinstance(value, bool):
        if isinstance(default, bool) and isinstance(value, bool):
            return value
        raise ConfigError(f"{name} is {value!r}; it takes {_kind(default)}")
    if isinstance(default, str):
        if not isinstance(value, str):
            raise ConfigError(f"{name} is {value!r}; it takes {_kind(default)}")
        if metadata["choices"] and value not in metadata["choices"]:
            raise ConfigError(f"{name} is {value!r}; it takes {' or '.join(metadata['choices'])}")
        return value
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if not isinstance(value, (int, float)) or (isinstance(default, int) and not whole):
        raise ConfigError(f"{name} is {value!r}; it takes {_kind(default)}")
    low, high = metadata["low"], metadata["high"]
    number = type(default)(value)
    if math.isnan(number) or (low is not None and number < low) or _above(number, high):
        raise ConfigError(f"{name} is {value!r}; it takes {_kind(default)} from {low} to {high}")
    return number


def _above(number: float, high: float | None) -> bool:
    return high is not None and number > high


def _kind(default: Any) -> str:
    kinds = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a text in quotes",
    }
    return kinds[type(default)]


def _replaced(config: Any, path: list[str], value: Any) -> Any:
    if len(path) > 1:
        value = _replaced(getattr(config, path[0]), path[1:], value)
    return dataclasses.replace(config, **{path[0]: value})


def _build(cls: type, values: object, where: str) -> Any:
    """A config of class `cls` from nested plain values, every key and type checked."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} is {type(values).__name__}; it takes a table of settings")
    known = {item.name: item for item in fields(cls)}
    hints = get_type_hints(cls)
    built: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{where} has the unknown key {key!r}; known: {', '.join(known)}")
        built[key] = _value(hints[key], value, f"{where}: {key}")
    return cls(**built)


def _value(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(cast("type", hint), value, where)
    if hint == tuple[PatchRule, ...]:
        return tuple(_build(PatchRule, item, where) for item in value)
    if hint == tuple[int, int]:
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise ConfigError(f"{where} is {value!r}; it takes two whole numbers")
        first, second = (_value(int, item, where) for item in value)
        return first, second
    if hint is bool and isinstance(value, bool):
        return value
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint not in (int, float) and isinstance(value, str):
        return value
    raise ConfigError(f"{where} is {value!r}; it takes {'a number' if hint is float else hint}")


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
    if vit.family not in ("eva02", "eva_giant"):
        raise ConfigError(f"{where}: vit.family is {vit.family!r}; it takes eva02 or eva_giant")
    if vit.width % vit.heads:
        raise ConfigError(f"{where}: vit.width {vit.width} is not a multiple of {vit.heads} heads")
    inner = decoder.dim // decoder.attention_downsample
    if decoder.dim % (2 * decoder.heads) or inner % decoder.heads:
        raise ConfigError(f"{where}: decoder.dim {decoder.dim} is not a multiple of its heads")
