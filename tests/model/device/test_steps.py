"""Steps of long work: short, sized to the memory, and done by the device before anyone is asked."""

from __future__ import annotations

import pytest
import torch

from pointsam_model import CancelledError
from pointsam_model.device import steps
from pointsam_model.device.steps import OBJECTS_AT_ONCE, Steps

GPU = torch.device("cuda:0")
MIB = 2**20


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens, in its order, on a GPU that this stands for, with 80 GiB free."""
    events: list[str] = []
    monkeypatch.setattr(steps, "wait_for_device", lambda device: events.append(f"wait {device}"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (80 * 1024 * MIB, 0))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
    return events


def batches(work: Steps, count: int, held: int) -> list[int]:
    sizes: list[int] = []
    work.in_batches(count, held, lambda rows: sizes.append(rows.stop - rows.start))
    return sizes


@pytest.mark.usefixtures("told")
def test_a_batch_on_a_gpu_takes_what_its_free_memory_holds_and_never_all() -> None:
    work = Steps(GPU, MIB, None)
    assert batches(work, 10, 10 * 1024 * MIB) == [2, 2, 2, 2, 2]
    assert batches(work, 1, 1024 * 1024 * MIB) == [1]
    assert batches(work, 1024, MIB) == [OBJECTS_AT_ONCE] * (1024 // OBJECTS_AT_ONCE)
    assert OBJECTS_AT_ONCE <= 256


def test_a_batch_on_a_cpu_takes_what_it_is_allowed() -> None:
    work = Steps(torch.device("cpu"), 8 * MIB, None)
    assert batches(work, 10, 2 * MIB) == [4, 4, 2]
    assert batches(work, 300, 1) == [128, 128, 44]


def test_the_device_has_done_each_step_before_anyone_is_asked(told: list[str]) -> None:
    def asked() -> bool:
        told.append("ask")
        return False

    work = Steps(GPU, MIB, asked)
    work.in_batches(256, MIB, lambda rows: told.append(f"to {rows.stop}"))
    work.go_on()
    waited = ["wait cuda:0", "ask"]
    assert told == [*waited, "to 128", *waited, "to 256", *waited]


def test_without_anyone_to_ask_nobody_waits_for_the_device(told: list[str]) -> None:
    work = Steps(GPU, MIB, None)
    work.in_batches(3, MIB, lambda rows: None)
    work.go_on()
    assert told == []


def test_work_ends_at_the_step_at_which_it_is_cancelled() -> None:
    done: list[int] = []
    work = Steps(torch.device("cpu"), MIB, lambda: len(done) == 2)
    with pytest.raises(CancelledError):
        work.in_batches(5, MIB, lambda rows: done.append(rows.start))
    assert done == [0, 1]
