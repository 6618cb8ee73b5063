"""Work on single cores."""

from collections.abc import Iterator

import pytest
import torch

from pointsam_model.device.cores import on_one_core


@pytest.fixture(params=[1, 2], ids=["one core", "two cores"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_work_on_one_core_sees_one_and_leaves_others_theirs(threads: int) -> None:
    assert on_one_core(torch.get_num_threads) == 1
    assert torch.get_num_threads() == threads
