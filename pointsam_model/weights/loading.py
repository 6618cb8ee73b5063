"""Reads a checkpoint into a network: safetensors only, every tensor accounted for."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pointsam_model.config.model import PRESETS, WEIGHTS, ModelConfig, preset
from pointsam_model.config.settings import Device
from pointsam_model.errors import CheckpointError, ConfigError
from pointsam_model.nn import PointSAM
from pointsam_model.nn.graphs import CudaBackend, Graphs
from pointsam_model.quality import quality_of

# In the released files, left over from the image model that the transformer was initialised from;
# not used by the network.
UNUSED = tuple(
    f"pc_encoder.transformer.{name}"
    for name in ("cls_token", "pos_embed", "patch_embed.", "head.", "norm.")
)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
FLOATS = {"F32", "BF16", "F16", "F64"}
KEPT_FLOAT32 = "positional_encoding_gaussian_matrix"  # masks need exact positions


def load_model(
    model: str = "tiny",
    checkpoint: str | Path | None = None,
    *,
    device: Device = "auto",
    dtype: str = "float32",
    cuda_graphs: bool = True,
) -> PointSAM:
    """Builds a network with its weights, ready for inference.

    Args:
        model: `tiny`, `large`, `giant`, or the path of a JSON config.
        checkpoint: a safetensors file; None: the shipped one, which only `tiny` has.
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`.
        dtype: `float32`, `bfloat16` or `float16`, in which weights are stored and multiplied.
        cuda_graphs: on a GPU, launch a click, or an embedding, as one CUDA graph. The weights must
            then not be changed.

    Raises:
        ConfigError: unknown model, device or dtype.
        CheckpointError: no such file, not a safetensors file, truncated, or not this model's
            weights; or the quality model next to it is unusable (`quality_of`).
    """
    network = load_network(model, checkpoint, device=device, dtype=dtype, cuda_graphs=cuda_graphs)
    quality_of(network.checkpoint)  # so that an invalid file fails here, not at a click
    return network


def load_network(
    model: str = "tiny",
    checkpoint: str | Path | None = None,
    *,
    device: Device = "auto",
    dtype: str = "float32",
    cuda_graphs: bool = True,
) -> PointSAM:
    """Like `load_model`, but without checking the quality model, for fitting a new one."""
    config = preset(model)
    kept_in, where, path = _dtype(dtype), find_device(device), _path(model, checkpoint)
    with torch.device("meta"):
        network = PointSAM(config)
    read_weights(network, path, where, kept_in)
    network.checkpoint = path
    if cuda_graphs and where.type == "cuda":
        network.graphs = Graphs(CudaBackend(network.device))
    return network.eval().requires_grad_(False)


def check_model(
    model: str = "tiny",
    checkpoint: str | Path | None = None,
    *,
    device: Device = "auto",
    dtype: str = "float32",
) -> None:
    """Quickly checks the arguments of `load_model`, up to the header of the checkpoint.

    Arguments and errors are those of `load_model`. The weights themselves are not read; the small
    file of the quality model next to them is.
    """
    preset(model)
    _dtype(dtype)
    find_device(device)
    path = _path(model, checkpoint)
    _check_is_safetensors(path)
    try:
        with safe_open(path, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    quality_of(path)


def _dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise ConfigError(f"dtype is {name!r}; it takes {', '.join(DTYPES)}")
    return DTYPES[name]


def _path(model: str, checkpoint: str | Path | None) -> Path:
    """The file of the weights, by default the shipped one."""
    if checkpoint is not None:
        return Path(checkpoint)
    if model != "tiny":
        hint = "the released model.safetensors" if model in PRESETS else "its safetensors file"
        raise CheckpointError(f"{model} ships without weights: give checkpoint, {hint}")
    return WEIGHTS / "tiny.safetensors"


def find_device(name: Device) -> torch.device:
    """The torch device for a setting; `auto` is the first GPU if there is one, else the CPU.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device is {name!r}; it takes auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device is {name!r}; it takes auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device is {name!r}; torch sees {torch.cuda.device_count()} CUDA devices here"
        )
    return device


def read_weights(network: nn.Module, path: Path, device: torch.device, dtype: torch.dtype) -> None:
    """Fills a network built on the meta device from a file.

    Tensors are copied out of the memory mapping one by one, because replacing the file would crash
    a running node. Peak memory is the network and one tensor.

    Raises:
        CheckpointError: names the first tensor that is missing, misshapen or unknown.
    """
    wanted = network.state_dict()
    _check_is_safetensors(path)
    try:
        with safe_open(path, framework="pt") as file:
            _check_config(network, file.metadata() or {}, path)
            _check_names(set(wanted), set(file.keys()), path)
            weights = {}
            for name, place in wanted.items():
                part = file.get_slice(name)
                shape, kind = list(part.get_shape()), part.get_dtype()
                if shape != list(place.shape):
                    raise CheckpointError(
                        f"{path}: tensor {name} has shape {shape}, the model needs "
                        f"{list(place.shape)}"
                    )
                if kind not in FLOATS:
                    raise CheckpointError(f"{path}: tensor {name} is {kind}, not floating point")
                weights[name] = _finite(file.get_tensor(name), name, path).to(
                    device, dtype_of(name, dtype), copy=True
                )
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    network.load_state_dict(weights, assign=True)


def dtype_of(name: str, dtype: torch.dtype) -> torch.dtype:
    """The type in which a tensor of a network in `dtype` is stored, in memory and in files."""
    return torch.float32 if name.endswith(KEPT_FLOAT32) else dtype


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is truncated or not a safetensors file: {error}")


def _check_is_safetensors(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    if start[8:9] == b"{":  # after the 8 bytes of the header's length
        return
    if start[:2] == b"PK" or start[:1] == b"\x80":
        raise CheckpointError(
            f"{path} is a pickle (a torch .pt/.pth file), which can run code when loaded; "
            "only safetensors files are read"
        )
    raise CheckpointError(f"{path} is not a safetensors file: its header does not start with {{")


def _check_config(network: nn.Module, metadata: dict[str, str], path: Path) -> None:
    """Compares the config in a checkpoint, if any: shapes alone do not show the number of heads."""
    config = getattr(network, "config", None)
    if config is None or "config" not in metadata:
        return
    try:
        stored = ModelConfig.from_dict(json.loads(metadata["config"]), f"{path}: its config")
    except (json.JSONDecodeError, ConfigError) as error:
        raise CheckpointError(f"{path}: its config cannot be read: {error}") from error
    for name in ("vit", "decoder", "patch_hidden", "patch_dim", "in_features", "num_multimask"):
        if getattr(stored, name) != getattr(config, name):
            raise CheckpointError(
                f"{path} was trained with {name} = {getattr(stored, name)}, "
                f"the model has {getattr(config, name)}"
            )


def _check_names(wanted: set[str], found: set[str], path: Path) -> None:
    missing = sorted(wanted - found)
    if missing:
        have = len(wanted) - len(missing)
        raise CheckpointError(
            f"{path} has no tensor {missing[0]} ({have} of the {len(wanted)} tensors needed are "
            "there): it is not a checkpoint of this model"
        )
    unknown = sorted(name for name in found - wanted if not name.startswith(UNUSED))
    if unknown:
        raise CheckpointError(
            f"{path} has the tensor {unknown[0]}, which this model does not have "
            f"({len(unknown)} such): it is a checkpoint of another model"
        )


def _finite(tensor: Tensor, name: str, path: Path) -> Tensor:
    if not torch.isfinite(tensor).all():
        raise CheckpointError(f"{path}: tensor {name} holds NaN or infinite values")
    return tensor
