"""Several steps of the decoder on clouds that are embedded once, and then one of the encoder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from training_runs import run_from_nothing

from pointsam_model import ConfigError
from pointsam_model.nn import PointSAM
from pointsam_model.training import TrainingConfig, train
from pointsam_model.training.batches import Batch, draw_batch
from pointsam_model.training.config import Stage
from pointsam_model.training.pool import Pool
from pointsam_model.training.state import TrainingState
from pointsam_model.training.step import learn

TWICE = Stage(4, 256, 32, 8, 2, 3, 2, 1e-3, decoder_steps=2)
ONCE = dataclasses.replace(TWICE, decoder_steps=1)


@pytest.fixture
def config(pool: Path, tmp_path: Path) -> TrainingConfig:
    return run_from_nothing(pool, tmp_path / "run", TWICE, warmup_steps=1)


def test_each_step_of_the_decoder_has_objects_of_its_own(
    batch: Batch, config: TrainingConfig
) -> None:
    assert batch.truth.shape == (2, 6, 256) and batch.truth.any(-1).all()
    first, second = batch.objects(0, 3), batch.objects(3, 3)
    assert np.array_equal(np.concatenate([first.truth, second.truth], 1), batch.truth)
    assert first.coords is batch.coords and first.counted is batch.counted


def test_the_encoder_gets_the_mean_of_the_gradients_after_the_last_step(
    network: PointSAM, batch: Batch, config: TrainingConfig
) -> None:
    encoder, decoder = network.pc_encoder, network.mask_decoder
    between: list[bool] = []

    def watch() -> None:
        between.append(any(value.grad is not None for value in encoder.parameters()))
        assert any(value.grad is not None for value in decoder.parameters())

    learn(network, batch, TWICE, config, np.random.default_rng(1), between=watch)
    assert between == [False]
    together = [value.grad.clone() for value in encoder.parameters() if value.grad is not None]
    network.zero_grad()
    rng = np.random.default_rng(1)
    for first in (0, 3):
        learn(network, batch.objects(first, 3), ONCE, config, rng)
    apart = [value.grad / 2 for value in encoder.parameters() if value.grad is not None]
    assert together
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


def test_the_decoder_moves_between_and_the_encoder_at_the_end(
    network: PointSAM, batch: Batch, config: TrainingConfig, tmp_path: Path
) -> None:
    state = TrainingState.resume(network, config, tmp_path / "state.safetensors")
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    averages = {name: value.clone() for name, value in state.average.items()}

    def moved() -> set[str]:
        now = network.named_parameters()
        return {name.split(".")[0] for name, value in now if not torch.equal(value, before[name])}

    seen: list[set[str]] = []

    def descend() -> None:
        state.descend(1e-3)
        seen.append(moved())
        assert state.step == 0 and all(torch.equal(state.average[n], averages[n]) for n in averages)

    learn(network, batch, TWICE, config, np.random.default_rng(1), between=descend)
    assert "mask_decoder" in seen[0] and "pc_encoder" not in seen[0]
    state.update(1e-3)
    assert "pc_encoder" in moved() and state.step == 1


def test_a_stopped_run_of_several_decoder_steps_goes_on_as_if_it_had_not(
    config: TrainingConfig,
) -> None:
    class Stopped(Exception):
        pass

    def stop(step: int, _: object) -> None:
        if step == 1:
            raise Stopped

    whole = train(config)
    again = dataclasses.replace(config, output=config.output + "_again")
    with pytest.raises(Stopped):
        train(dataclasses.replace(again, save_every_s=-1.0), report=stop)
    for name, value in train(again).state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


def test_one_step_of_the_decoder_draws_what_was_always_drawn(config: TrainingConfig) -> None:
    pool = Pool(config.pool)
    drawn = [
        draw_batch(pool, dataclasses.replace(stage, clouds=1), config, np.random.default_rng(3))
        for stage in (ONCE, TWICE)
    ]
    assert np.array_equal(drawn[0].truth, drawn[1].truth[:, :3])


@pytest.mark.parametrize("wrong", [{"accumulate": 2}, {}])
def test_several_decoder_steps_take_one_batch_that_the_encoder_learns_from(
    config: TrainingConfig, wrong: dict[str, int]
) -> None:
    stage = dataclasses.replace(TWICE, **wrong)  # type: ignore[arg-type]
    kept = 0 if wrong else 4
    with pytest.raises(ConfigError, match="stage 0: decoder_steps above 1"):
        dataclasses.replace(config, stages=(stage,), start="tiny", kept_clouds=kept).check()
