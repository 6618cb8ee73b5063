"""The benchmark of the GPU measures every work and sees wrong results; a GPU is only faster."""

from __future__ import annotations

import places
import pytest
import torch
from kernel_shim import KernelsOnCpu

from benchmarks.speed.gpu import Sizes, _clock_ms, main, measure, network, network_table
from benchmarks.speed.gpu_network import Case, Effort
from benchmarks.speed.network import Size

TINY = places.TINY / "config.json"
SMALL = Sizes((12, 20), ((400, 60), (200, 40)), (300, 20, 16), 3, repeats=2, plain_repeats=1)


class Wrong(KernelsOnCpu):
    """Kernels of which one gives a wrong row."""

    def farthest_points(self, points: torch.Tensor, count: int, start: int) -> torch.Tensor:
        rows = KernelsOnCpu().farthest_points(points, count, start)
        rows[-1] = rows[0]
        return rows


def test_every_work_is_checked_and_timed() -> None:
    timings = measure(KernelsOnCpu(), torch.device("cpu"), SMALL, _clock_ms)
    assert len(timings) == 10
    assert all(timing.right and timing.kernels_ms > 0 for timing in timings)
    assert all(timing.floor_ms > 0 for timing in timings)


def test_a_wrong_row_shows() -> None:
    timings = measure(Wrong(), torch.device("cpu"), SMALL, _clock_ms)
    assert [timing.right for timing in timings] == [True, False, False, *[True] * 7]


@pytest.mark.skipif(torch.cuda.is_available(), reason="would measure on the GPU that is here")
def test_without_a_gpu_the_command_says_so() -> None:
    with pytest.raises(SystemExit, match="no NVIDIA GPU"):
        main()


def test_every_work_of_the_network_is_checked_and_timed_beside_the_published_way() -> None:
    cases = Case(str(TINY), Size(600, 40, 24), (1.0, 2.0, 3.0)), Case("tiny", Size(900, 60, 24))
    effort = Effort(repeats=2, published_repeats=1, product=64, prompts=20)
    said: list[str] = []
    timings = network(torch.device("cpu"), cases, effort, (30, 40), _clock_ms, said.append)
    assert len(timings) == 3 * len(cases) + 2
    assert all(timing.right for timing in timings), timings
    assert all(timing.graphs_ms > 0 for timing in timings)
    for timing in timings[:3]:
        assert timing.arithmetic_ms and timing.memory_ms and timing.compared_ms
    assert [timing.goal_ms for timing in timings[:3]] == [1.0, 2.0, 3.0]
    assert any("proposals" in each for each in said)
    assert network_table(timings).row_count == len(timings)
