"""A model's device: what it holds, and how that is given back."""

from __future__ import annotations

import pytest
import torch

from pointsam_model import device_memory, free_device_memory, wait_for_device


def test_a_cpu_has_no_memory_of_its_own_and_nothing_to_wait_for() -> None:
    cpu = torch.device("cpu")
    assert device_memory(cpu) is None
    wait_for_device(cpu)
    free_device_memory()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_a_gpus_memory_is_counted_and_given_back() -> None:
    gpu = torch.device("cuda")
    before = device_memory(gpu)
    held = torch.zeros(64, 2**20, device=gpu)
    wait_for_device(gpu)
    during = device_memory(gpu)
    assert before is not None and during is not None
    assert during.allocated - before.allocated == held.numel() * 4
    assert during.reserved >= during.allocated
    del held
    free_device_memory()
    after = device_memory(gpu)
    assert after is not None and after.allocated == before.allocated
    assert after.reserved < during.reserved
