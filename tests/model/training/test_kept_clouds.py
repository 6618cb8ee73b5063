"""The decoder learning alone, on clouds whose embeddings are kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from training_runs import STAGE, run_from_shipped

from pointsam_model import ConfigError
from pointsam_model.config.model import WEIGHTS, preset
from pointsam_model.training import TrainingConfig, train
from pointsam_model.training.growing import grown
from pointsam_model.training.kept import KeptClouds
from pointsam_model.training.pool import Pool
from pointsam_model.training.step import encode, learn

SHIPPED = WEIGHTS / "tiny.safetensors"


@pytest.fixture
def config(pool: Path, tmp_path: Path) -> TrainingConfig:
    return run_from_shipped(pool, tmp_path / "run", kept_clouds=4)


def test_kept_embeddings_are_those_of_the_encoder(config: TrainingConfig) -> None:
    network = grown(preset("tiny"), SHIPPED, 0)
    clouds = KeptClouds(Pool(config.pool), STAGE, config, network)
    batch, kept = clouds.draw(np.random.default_rng(0))
    with torch.no_grad():
        anew = encode(network, batch, STAGE, config)
    assert kept is not None and not kept.embedding.requires_grad
    torch.testing.assert_close(kept.embedding, anew.embedding, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(kept.position, anew.position)
    assert torch.equal(kept.patches.groups, anew.patches.groups)
    assert batch.truth.shape == (2, 3, 256) and batch.truth.any(-1).all()


def test_a_kept_cloud_is_embedded_once_and_its_objects_are_drawn_anew(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = grown(preset("tiny"), SHIPPED, 0)
    encoded: list[int] = []
    plain = network.encode
    monkeypatch.setattr(network, "encode", lambda *asked: encoded.append(1) or plain(*asked))
    clouds = KeptClouds(Pool(config.pool), STAGE, config, network)
    drawn = [clouds.draw(np.random.default_rng(seed)).batch for seed in range(20)]
    assert len(encoded) == config.kept_clouds
    shown = {cloud.tobytes() for batch in drawn for cloud in batch.coords}
    assert len(shown) == config.kept_clouds
    assert len({batch.truth.tobytes() for batch in drawn}) > config.kept_clouds


def test_the_decoder_learns_alone_on_kept_clouds(config: TrainingConfig) -> None:
    before, after = grown(preset("tiny"), SHIPPED, 0), train(config)
    still = dict(before.named_parameters())
    moved = {n for n, value in after.named_parameters() if not torch.equal(value, still[n])}
    assert moved and not any(name.startswith("pc_encoder.") for name in moved)


def test_kept_clouds_give_the_decoder_the_gradients_of_clouds_embedded_anew(
    config: TrainingConfig,
) -> None:
    gradients = []
    for again in (False, True):
        network = grown(preset("tiny"), SHIPPED, 0)
        batch, kept = KeptClouds(Pool(config.pool), STAGE, config, network).draw(
            np.random.default_rng(0)
        )
        learn(network, batch, STAGE, config, np.random.default_rng(1), None if again else kept)
        gradients.append(network.mask_decoder.mask_tokens.weight.grad)
    torch.testing.assert_close(*gradients, atol=1e-3, rtol=1e-2)


def test_a_stopped_run_on_kept_clouds_goes_on_as_if_it_had_not(config: TrainingConfig) -> None:
    whole = train(config)
    halves = dataclasses.replace(config, output=config.output + "_halves")

    class Stopped(Exception):
        pass

    def stop(step: int, _: object) -> None:
        if step == 1:
            raise Stopped

    with pytest.raises(Stopped):
        train(dataclasses.replace(halves, save_every_s=-1.0), report=stop)
    for name, value in train(halves).state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


def test_kept_clouds_without_a_checkpoint_are_refused(config: TrainingConfig) -> None:
    with pytest.raises(ConfigError, match=r"kept_clouds is 4; .*needs start"):
        dataclasses.replace(config, start="").check()
    with pytest.raises(ConfigError, match="kept_clouds is -1"):
        dataclasses.replace(config, kept_clouds=-1).check()
