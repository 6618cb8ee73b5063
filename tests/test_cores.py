"""Work on single cores, and two pieces of it beside each other."""

from collections.abc import Iterator
from threading import Barrier, current_thread

import pytest
import torch

from pointsam_model.cores import beside, on_one_core

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 2], ids=["one core", "two cores"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_work_on_one_core_sees_one_and_leaves_others_theirs(threads: int) -> None:
    assert on_one_core(torch.get_num_threads) == 1
    assert torch.get_num_threads() == threads


def test_two_pieces_of_work_are_answered_in_their_order(threads: int) -> None:
    assert beside(CPU, lambda: 1, lambda: "two") == (1, "two")


def test_two_pieces_of_work_run_at_once_where_there_are_two_cores() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    meeting = Barrier(2, timeout=20)
    beside(CPU, meeting.wait, meeting.wait)  # one alone would wait in vain
    torch.set_num_threads(before)


def test_work_beside_other_work_is_in_inference_mode_where_that_is(threads: int) -> None:
    with torch.inference_mode():
        modes = beside(CPU, torch.is_inference_mode_enabled, torch.is_inference_mode_enabled)
    assert modes == (True, True)


def test_a_gpu_is_asked_from_the_same_thread() -> None:
    names = beside(
        torch.device("cuda"), lambda: current_thread().name, lambda: current_thread().name
    )
    assert names[0] == names[1] == current_thread().name


def test_an_error_of_either_piece_is_raised(threads: int) -> None:
    def fails() -> None:
        raise ValueError("broken")

    for pieces in ((fails, int), (int, fails)):
        with pytest.raises(ValueError, match="broken"):
            beside(CPU, *pieces)
