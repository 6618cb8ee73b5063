"""Checkpoints: what loads, what is refused, and with which words."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from places import FIXTURES
from safetensors.torch import load_file, save_file

from pointsam_model import CheckpointError, ConfigError, check_model, load_model
from pointsam_model.config.model import ModelConfig, preset
from pointsam_model.nn import PointSAM
from pointsam_model.quality.quality import QUALITY
from pointsam_model.weights import load_network
from pointsam_model.weights.loading import UNUSED
from pointsam_model.weights.saving import save_checkpoint

CONFIG = str(FIXTURES / "tiny" / "config.json")
WEIGHTS = FIXTURES / "tiny" / "weights.safetensors"


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return load_file(WEIGHTS)


def refusal(path: Path, model: str = CONFIG) -> str:
    with pytest.raises(CheckpointError) as refused:
        load_model(model, path, device="cpu")
    return str(refused.value)


def refused_unread(path: Path) -> str:
    """The same refusal by the check that does not read the weights."""
    with pytest.raises(CheckpointError) as refused:
        check_model(CONFIG, path, device="cpu")
    assert str(refused.value) == refusal(path)
    return str(refused.value)


@pytest.mark.parametrize("name", ["large", "giant"])
def test_every_tensor_of_a_released_file_is_used_or_known_to_be_unused(name: str) -> None:
    released = json.loads((FIXTURES / "checkpoint_keys" / f"{name}.json").read_text())
    with torch.device("meta"):
        wanted = PointSAM(preset(name)).state_dict()
    shapes = {key: list(tensor.shape) for key, tensor in wanted.items()}
    assert shapes == {key: shape for key, shape in released.items() if key in shapes}
    assert all(key.startswith(UNUSED) for key in set(released) - set(shapes))


def test_a_missing_tensor_is_named(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    del weights["mask_decoder.iou_token.weight"]
    save_file(weights, tmp_path / "w.safetensors")
    assert "no tensor mask_decoder.iou_token.weight" in refusal(tmp_path / "w.safetensors")


def test_a_misshapen_tensor_is_named_with_both_shapes(
    tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    weights["pc_encoder.out_proj.bias"] = torch.zeros(33)
    save_file(weights, tmp_path / "w.safetensors")
    message = refusal(tmp_path / "w.safetensors")
    assert "pc_encoder.out_proj.bias has shape [33], the model needs [32]" in message


def test_a_checkpoint_of_a_deeper_model_is_refused(
    tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    weights["pc_encoder.transformer.blocks.3.norm1.weight"] = torch.zeros(64)
    save_file(weights, tmp_path / "w.safetensors")
    message = refusal(tmp_path / "w.safetensors")
    assert "pc_encoder.transformer.blocks.3.norm1.weight" in message
    assert "another model" in message


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    save_file({"encoder.weight": torch.zeros(3)}, tmp_path / "w.safetensors")
    assert "0 of the" in refusal(tmp_path / "w.safetensors")


def test_values_that_are_no_numbers_are_refused(
    tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    weights["pc_encoder.out_proj.bias"][3] = torch.nan
    save_file(weights, tmp_path / "w.safetensors")
    assert "pc_encoder.out_proj.bias holds NaN" in refusal(tmp_path / "w.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 100, 1_000_000])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    (tmp_path / "w.safetensors").write_bytes(WEIGHTS.read_bytes()[:kept])
    assert "safetensors" in refused_unread(tmp_path / "w.safetensors")


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_pickle_is_refused_without_being_opened(tmp_path: Path, writer: str) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "opened",)  # type: ignore[return-value]

    path = tmp_path / "model.safetensors"
    if writer == "torch":
        torch.save({"trap": Trap()}, path)
    else:
        path.write_bytes(pickle.dumps(Trap()))
    assert "pickle" in refused_unread(path)
    assert not (tmp_path / "opened").exists()


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused_unread(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no estimator", "cannot read the estimator"),
        (QUALITY.read_bytes()[:-200], "cannot read the estimator"),
        (WEIGHTS.read_bytes(), "is not an estimator of 3 outputs"),
    ],
    ids=["junk", "truncated", "other tensors"],
)
def test_a_bad_quality_beside_a_checkpoint_is_found_when_that_is_loaded(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    checkpoint, beside = tmp_path / "w.safetensors", tmp_path / "w.quality.safetensors"
    checkpoint.write_bytes(WEIGHTS.read_bytes())
    beside.write_bytes(content)
    said = refused_unread(checkpoint)
    assert str(beside) in said and reason in said
    assert "beside w.safetensors" in said and "fit a new one" in said and "remove it" in said
    assert load_network(CONFIG, checkpoint, device="cpu").checkpoint == checkpoint, "to fit one"
    beside.write_bytes(QUALITY.read_bytes())
    load_model(CONFIG, checkpoint, device="cpu")


def test_a_good_checkpoint_and_the_shipped_one_pass_the_check() -> None:
    check_model(CONFIG, WEIGHTS, device="cpu")
    check_model("tiny")


def test_heads_that_shapes_do_not_show_are_checked_by_the_config_inside(tmp_path: Path) -> None:
    config = ModelConfig.from_json(CONFIG)
    save_checkpoint(PointSAM(config), tmp_path / "w.safetensors")
    other = json.loads(Path(CONFIG).read_text())
    other["vit"]["heads"] = 8
    (tmp_path / "other.json").write_text(json.dumps(other))
    load_model(CONFIG, tmp_path / "w.safetensors", device="cpu")
    assert "heads=4" in refusal(tmp_path / "w.safetensors", str(tmp_path / "other.json"))


def test_large_without_a_file_says_which_one_is_needed() -> None:
    with pytest.raises(CheckpointError, match=r"released model\.safetensors"):
        load_model("large", device="cpu")
    with pytest.raises(CheckpointError, match=r"released model\.safetensors"):
        check_model("large", device="cpu")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "huge"}, "tiny, large, giant"),
        ({"device": "tpu"}, "auto, cpu, cuda"),
        ({"device": "cuda:99"}, "CUDA devices"),
        ({"dtype": "int8"}, "float32, bfloat16, float16"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_is_right(
    arguments: dict[str, str], message: str
) -> None:
    for refusing in (load_model, check_model):
        with pytest.raises(ConfigError, match=message):
            refusing(**{"model": "tiny", **arguments})  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_load_in_half_precision_but_positions_stay_float32(dtype: str) -> None:
    model = load_model(CONFIG, WEIGHTS, device="cpu", dtype=dtype)
    assert model.pc_encoder.out_proj.weight.dtype == getattr(torch, dtype)
    matrix = model.point_encoder.pe_layer.positional_encoding_gaussian_matrix
    assert matrix.dtype == torch.float32


def test_a_checkpoint_survives_writing_and_reading(tmp_path: Path) -> None:
    model = load_model(CONFIG, WEIGHTS, device="cpu")
    save_checkpoint(model, tmp_path / "w.safetensors", about={"seed": "1"})
    again = load_model(CONFIG, tmp_path / "w.safetensors", device="cpu")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


LOAD_LARGE = """
import re, sys
from pathlib import Path
from pointsam_model import load_model
def peak():  # of this program: ru_maxrss would start at its parent's
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
before = peak()
model = load_model("large", sys.argv[1], device="cpu", dtype=sys.argv[2])
print(sum(p.numel() for p in model.parameters()), peak() - before)
"""


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as released: every tensor of it, the unused ones too, with random values."""
    released = json.loads((FIXTURES / "checkpoint_keys" / "large.json").read_text())
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.rand(shape, generator=generator) * 0.02 for name, shape in released.items()
    }
    path = tmp_path_factory.mktemp("large") / "model.safetensors"
    save_file(tensors, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "most_mib"), [("float32", 2600), ("bfloat16", 2000)])
def test_the_full_size_large_file_loads_with_bounded_memory(
    large_file: Path, dtype: str, most_mib: int, record_property: pytest.RecordProperty
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD_LARGE, str(large_file), dtype],
        capture_output=True,
        text=True,
        check=True,
    )
    parameters, peak = done.stdout.split()
    record_property("peak_mib", peak)
    print(f"large, {dtype}: peak memory of loading {float(peak):.0f} MiB")
    assert int(parameters) > 300_000_000
    weights_mib = int(parameters) * (4 if dtype == "float32" else 2) / 2**20
    assert weights_mib < float(peak) < most_mib  # the mapped file counts where it is read


@pytest.mark.parametrize("start", [b"\x80", b"PK"])
def test_a_checkpoint_whose_header_length_looks_like_a_pickle_loads(
    weights: dict[str, torch.Tensor], tmp_path: Path, start: bytes
) -> None:
    path = tmp_path / "w.safetensors"
    save_file(weights, path, {"about": ""})
    length = int.from_bytes(path.read_bytes()[:8], "little")
    turn = 256 ** len(start)
    save_file(weights, path, {"about": "x" * ((int.from_bytes(start, "little") - length) % turn)})
    assert path.read_bytes()[: len(start)] == start
    load_model(CONFIG, path, device="cpu")
