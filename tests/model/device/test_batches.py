"""Memory that runs out: smaller batches, then a clear refusal, and everything goes on."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from published import PUBLISHED

from pointsam_model import (
    Cloud,
    OutOfMemory,
    Predictor,
    PredictorConfig,
    Prompt,
    ProposalConfig,
    ProposalGenerator,
    load_model,
)
from pointsam_model.device.batches import in_batches
from pointsam_model.nn import PointSAM

ON_CPU = "[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 GB"


class Full:
    """Stands for a device whose memory holds so many objects at a time."""

    def __init__(self, room: int, error: Callable[[], BaseException]) -> None:
        self.room, self.error = room, error
        self.batches: list[int] = []

    def hold(self, count: int) -> None:
        self.batches.append(count)
        if count > self.room:
            raise self.error()


ERRORS = pytest.mark.parametrize(
    "error",
    [
        lambda: torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        lambda: RuntimeError(ON_CPU),
        lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
        MemoryError,
    ],
    ids=["CUDA", "CPU", "cuBLAS", "Python"],
)


@ERRORS
def test_batches_are_halved_until_they_fit_and_nothing_is_done_twice(
    error: Callable[[], BaseException],
) -> None:
    memory, done = Full(5, error), []

    def work(rows: slice) -> None:
        memory.hold(rows.stop - rows.start)
        done.extend(range(rows.start, rows.stop))

    in_batches(23, 16, work)
    assert done == list(range(23))
    assert memory.batches == [16, 8, 4, 4, 4, 4, 4, 3]


def test_a_single_object_too_large_is_refused_with_what_to_lower() -> None:
    memory = Full(0, lambda: RuntimeError(ON_CPU))
    with pytest.raises(OutOfMemory, match=r"max_points.*num_patches.*bfloat16"):
        in_batches(3, 4, lambda rows: memory.hold(rows.stop - rows.start))
    assert memory.batches == [3, 2, 1]


def test_other_errors_stay_what_they_are() -> None:
    def wrong(rows: slice) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        in_batches(3, 4, wrong)


def test_what_a_failed_batch_held_is_free_before_the_next() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def work(rows: slice) -> None:
        assert all(each() is None for each in held)
        large = torch.zeros(rows.stop - rows.start)
        held.append(weakref.ref(large))
        if len(large) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    gc.disable()
    try:
        in_batches(8, 8, work)
    finally:
        gc.enable()
    assert len(held) == 6


@pytest.fixture(scope="module")
def model() -> PointSAM:
    return load_model("tiny", device="cpu")


@pytest.fixture(scope="module")
def cloud() -> Cloud:
    rng = np.random.default_rng(0)
    balls = rng.normal(size=(3000, 3))
    balls *= 0.1 / np.linalg.norm(balls, axis=1, keepdims=True)
    balls += rng.uniform(0, 1, (6, 3))[rng.integers(6, size=3000)]
    return Cloud(balls.astype(np.float32))


@pytest.fixture
def room(model: PointSAM, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Full]:
    """Lets the model decode no more than so many objects at a time."""
    decode = model.decode

    def make(objects: int) -> Full:
        memory = Full(objects, lambda: torch.cuda.OutOfMemoryError("CUDA out of memory."))

        def decode_if_it_fits(encoding: Any, clicks: Any, *others: Any, **named: Any) -> Any:
            memory.hold(clicks.shape[1])
            return decode(encoding, clicks, *others, **named)

        monkeypatch.setattr(model, "decode", decode_if_it_fits)
        return memory

    return make


@pytest.mark.parametrize(
    "config",
    [PredictorConfig(), PUBLISHED, replace(PUBLISHED, first_click_votes=4)],
    ids=["as users run it", "the network alone", "with votes"],
)
def test_many_prompts_are_answered_in_batches_that_fit(
    model: PointSAM, cloud: Cloud, room: Callable[[int], Full], config: PredictorConfig
) -> None:
    predictor = Predictor(model, config)
    embedding = predictor.embed(cloud)
    prompts = [Prompt(cloud.xyz[[row]]) for row in range(0, 3000, 250)]
    expected = predictor.segment(embedding, prompts)
    memory = room(5)
    answers = predictor.segment(embedding, prompts)
    assert max(memory.batches) > 5
    for answer, right in zip(answers, expected, strict=True):
        np.testing.assert_allclose(answer.logits, right.logits, atol=2e-3)
    room(0)
    with pytest.raises(OutOfMemory):
        predictor.segment(embedding, prompts)


@pytest.mark.parametrize(
    ("config", "fits"),
    [(PredictorConfig(), 10), (PUBLISHED, 30)],
    ids=["as users run it", "the network alone"],
)
def test_proposals_are_made_in_batches_that_fit(
    model: PointSAM,
    cloud: Cloud,
    room: Callable[[int], Full],
    config: PredictorConfig,
    fits: int,
) -> None:
    generator = ProposalGenerator(model, ProposalConfig(points=256), config)
    expected = generator.generate(cloud)
    assert expected
    memory = room(fits)
    found = generator.generate(cloud)
    assert max(memory.batches) > fits
    assert len(found) == len(expected)
    room(0)
    with pytest.raises(OutOfMemory):
        generator.generate(cloud)


def test_a_cloud_too_large_to_embed_is_refused_and_the_next_is_not(
    model: PointSAM, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(model)

    def full(*_: Any) -> Any:
        raise RuntimeError(ON_CPU)

    with monkeypatch.context() as patched:
        patched.setattr(model, "encode", full)
        with pytest.raises(OutOfMemory):
            predictor.embed(cloud)
    assert predictor.embed(cloud).size == 3000
