"""The benchmark of the kernels measures every work and sees wrong results; a GPU is only faster."""

from __future__ import annotations

import pytest
import torch
from kernel_shim import KernelsOnCpu

from benchmarks.gpu import Sizes, _clock_ms, main, measure

SMALL = Sizes((12, 20), ((400, 60), (200, 40)), (300, 20, 16), 3, repeats=2, plain_repeats=1)


class Wrong(KernelsOnCpu):
    """Kernels of which one gives a wrong row."""

    def farthest_points(self, points: torch.Tensor, count: int, start: int) -> torch.Tensor:
        rows = KernelsOnCpu().farthest_points(points, count, start)
        rows[-1] = rows[0]
        return rows


def test_every_work_is_checked_and_timed() -> None:
    timings = measure(KernelsOnCpu(), torch.device("cpu"), SMALL, _clock_ms)
    assert len(timings) == 7
    assert all(timing.right and timing.kernels_ms > 0 for timing in timings)
    assert all(timing.floor_ms > 0 for timing in timings)


def test_a_wrong_row_shows() -> None:
    timings = measure(Wrong(), torch.device("cpu"), SMALL, _clock_ms)
    assert [timing.right for timing in timings] == [True, False, False, True, True, True, True]


@pytest.mark.skipif(torch.cuda.is_available(), reason="would measure on the GPU that is here")
def test_without_a_gpu_the_command_says_so() -> None:
    with pytest.raises(SystemExit, match="no NVIDIA GPU"):
        main()
