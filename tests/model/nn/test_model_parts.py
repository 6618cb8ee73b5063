"""Parts that a model may be given later: they begin with nothing, learn, and are kept."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from training_runs import run_from_shipped, small_pool

from pointsam_model import CheckpointError, load_model
from pointsam_model.config.model import WEIGHTS, ModelConfig, preset
from pointsam_model.nn import PointSAM, make_patches
from pointsam_model.nn.cloud_encoder import surface
from pointsam_model.nn.nearest_clicks import NearestClicks
from pointsam_model.training import TrainingConfig, train
from pointsam_model.training.growing import PARTS, grown
from pointsam_model.weights.saving import save_checkpoint

SHIPPED = WEIGHTS / "tiny.safetensors"


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture
def config(pool: Path, tmp_path: Path) -> TrainingConfig:
    return run_from_shipped(pool, tmp_path / "run")


@pytest.fixture(params=PARTS)
def part(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def with_part(part: str) -> PointSAM:
    """The shipped network with a part that has not learned yet."""
    return grown(dataclasses.replace(preset("tiny"), **{part: True}), SHIPPED, 0)


def learned_part(part: str) -> PointSAM:
    """One whose part gives something."""
    network = with_part(part)
    for name, value in network.named_parameters():
        if name.startswith(PARTS[part]):
            torch.nn.init.normal_(value, std=0.1)
    return network.requires_grad_(False)


def new_values(network: PointSAM, part: str) -> dict[str, torch.Tensor]:
    return {
        name: value.detach().clone()
        for name, value in network.named_parameters()
        if name.startswith(PARTS[part])
    }


CLOUDS = torch.nn.functional.normalize(
    torch.randn(2, 300, 3, generator=torch.Generator().manual_seed(0)), dim=-1
)
COLOURS = CLOUDS.flip(-1)
CLICKS = CLOUDS[:, :6].view(2, 3, 2, 3)
LABELS = torch.tensor([1, 0]).expand(2, 3, 2)
ASKED: dict[str, dict[str, Any]] = {
    "clicks": {},
    "ambiguous": {"multimask": True},
    "mask prompt": {"mask_logits": CLOUDS.sum(-1)[:, None].expand(2, 3, 300)},
    "padded": {"visible": torch.tensor([True, False]).expand(2, 3, 2)},
    "at centres": {"at_centers": True},
}


def answers(network: PointSAM, **asked: Any) -> tuple[torch.Tensor, torch.Tensor]:
    encoding = network.encode(make_patches(CLOUDS, 32, 8), COLOURS)
    return network.decode(encoding, CLICKS, LABELS, **asked)


@pytest.mark.parametrize("learning", [False, True], ids=["in use", "learning"])
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_a_part_that_has_not_learned_changes_no_answer(
    part: str, asked: dict[str, Any], learning: bool
) -> None:
    with torch.set_grad_enabled(learning):
        before, after = (
            answers(network, **asked)
            for network in (grown(preset("tiny"), SHIPPED, 0), with_part(part))
        )
    for mine, other in zip(after, before, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


def test_a_step_changes_the_values_of_a_part(part: str, config: TrainingConfig) -> None:
    changes = dataclasses.replace(config, model=model_file(part, config))
    before, after = new_values(with_part(part), part), new_values(train(changes), part)
    assert before and before.keys() == after.keys()
    changed = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert changed == set(before)


def model_file(part: str, config: TrainingConfig) -> str:
    """A model's JSON config with a part switched on."""
    path = Path(config.output).with_name(f"{part}.json")
    path.write_text(json.dumps(preset("tiny").to_dict() | {part: True}))
    return str(path)


def test_a_part_changes_answers_once_it_has_learned(part: str) -> None:
    plain = answers(grown(preset("tiny"), SHIPPED, 0).requires_grad_(False))[0]
    assert (answers(learned_part(part))[0] - plain).abs().max() > 1e-2


@pytest.mark.parametrize("asked", ["clicks", "ambiguous", "mask prompt", "padded"])
def test_a_part_gives_the_same_learning_and_in_use(part: str, asked: str) -> None:
    network = learned_part(part)
    with torch.no_grad():
        used = answers(network, **ASKED[asked])
    for mine, other in zip(answers(network, **ASKED[asked]), used, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-3, rtol=1e-3)


def test_a_kept_first_view_of_a_cloud_changes_no_answer(part: str) -> None:
    network = learned_part(part)
    with torch.no_grad():
        encoding = network.encode(make_patches(CLOUDS[:1], 32, 8), COLOURS[:1])
        plain, viewed = (
            network.decode(kept, CLICKS[:1], LABELS[:1], multimask=True)[0]
            for kept in (encoding, network.keep_first_view(encoding))
        )
    torch.testing.assert_close(viewed, plain, atol=1e-4, rtol=1e-4)


def test_padding_is_nothing_to_a_part(part: str) -> None:
    network = learned_part(part)
    encoding = network.encode(make_patches(CLOUDS, 32, 8), COLOURS)
    alone = network.decode(encoding, CLICKS[:, :, :1], LABELS[:, :, :1])[0]
    padded = network.decode(
        encoding, CLICKS, LABELS, visible=torch.tensor([True, False]).expand(2, 3, 2)
    )[0]
    torch.testing.assert_close(padded, alone, atol=1e-3, rtol=1e-3)


def test_a_checkpoint_with_a_part_says_so_and_loads_for_its_model_alone(
    part: str, config: TrainingConfig, tmp_path: Path
) -> None:
    network, path = learned_part(part), tmp_path / "model.safetensors"
    save_checkpoint(network, path)
    with safe_open(path, framework="pt") as file:
        stored = ModelConfig.from_dict(json.loads(file.metadata()["config"]))
    assert stored == network.config and getattr(stored, part)
    again = load_model(model_file(part, config), path, device="cpu")
    torch.testing.assert_close(answers(again)[0], answers(network)[0])
    with pytest.raises(CheckpointError, match="which this model does not have"):
        load_model("tiny", path, device="cpu")
    with pytest.raises(CheckpointError, match="has no tensor"):
        load_model(model_file(part, config), SHIPPED, device="cpu")


def test_no_preset_has_a_part(part: str) -> None:
    assert not any(getattr(preset(name), part) for name in ("tiny", "large", "giant"))


def test_patches_are_told_of_the_nearest_click_of_each_kind() -> None:
    module = NearestClicks(8)
    seen: list[torch.Tensor] = []
    module.first.register_forward_hook(lambda _, values, __: seen.append(values[0]))
    centers = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    clicks = torch.tensor([[[[0.1, 0.0, 0.0], [0.8, 0.0, 0.0], [0.0, 0.5, 0.0]]]])
    module(centers, clicks, torch.tensor([[[1, 1, 0]]]), None)
    on, off = seen[0][0, 0].split(6, -1)
    torch.testing.assert_close(on[:, :4], torch.tensor([[-0.1, 0, 0, 0.1], [0.2, 0, 0, 0.2]]))
    torch.testing.assert_close(off[:, 1], torch.tensor([-0.5, -0.5]))
    module(centers, clicks, torch.tensor([[[1, 1, -1]]]), torch.tensor([[[True, False, True]]]))
    on, off = seen[1][0, 0].split(6, -1)
    torch.testing.assert_close(on[:, 3], torch.tensor([0.1, 0.9]))
    assert not off.any(), "there is no click off the object"


def test_a_flat_patch_has_no_spread_along_its_normal_however_it_is_turned() -> None:
    rng = np.random.default_rng(0)
    plane = np.concatenate([rng.uniform(-0.1, 0.1, (1, 1, 20, 2)), np.zeros((1, 1, 20, 1))], -1)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    normal = torch.from_numpy(turn[2]).float()
    values = surface(torch.from_numpy(plane @ turn).float())[0, 0]
    xx, yy, zz, xy, xz, yz, size = values
    covariance = torch.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz]).view(3, 3)
    assert covariance.trace() == pytest.approx(1) and normal @ covariance @ normal < 1e-5
    halved = surface(torch.from_numpy(plane @ turn / 2).float())[0, 0]
    torch.testing.assert_close(halved[:6], values[:6])
    assert size - halved[6] == pytest.approx(np.log(2), abs=1e-4)
