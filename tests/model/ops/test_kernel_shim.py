"""The shim shows what a chip would go wrong at: a test that runs kernels in it can fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kernel_shim import compiled, launch

REVERSED = """
extern "C" __global__ void reversed(int *values)
{
    __shared__ int held[64];
    held[threadIdx.x] = values[threadIdx.x];
    BARRIER
    values[threadIdx.x] = held[blockDim.x - 1 - threadIdx.x];
}
"""


def run(source: str, kernel: str, *arguments: object, threads: int = 64, **options: object) -> None:
    launch(compiled(source, kernel), kernel, (1, 1), threads, *arguments, **options)  # type: ignore[arg-type]


def test_threads_meet_at_a_barrier() -> None:
    values = torch.arange(64, dtype=torch.int32)
    run(REVERSED.replace("BARRIER", "__syncthreads();"), "reversed", values)
    assert torch.equal(values, torch.arange(64, dtype=torch.int32).flip(0))


def test_a_missing_barrier_shows_as_poison() -> None:
    values = torch.arange(64, dtype=torch.int32)
    run(REVERSED.replace("BARRIER", ""), "reversed", values)
    assert (values == -1).any()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("if (threadIdx.x < 40) __syncthreads();", "deadlock"),
        ("if (threadIdx.x < 40) __ballot_sync(0xffffffffu, 1);", "deadlock"),
        ("__ballot_sync(0xffu, 1);", "not in its mask"),
        ("__shfl_sync(1u << threadIdx.x % 32, 1, 0);", "not in the mask|other masks"),
        ("while (*(volatile int *)values == 5) __nanosleep(1);", "deadlock"),
    ],
)
def test_what_would_hang_a_chip_or_be_undefined_is_an_error(body: str, message: str) -> None:
    source = f'extern "C" __global__ void wrong(int *values) {{ {body} }}'
    with pytest.raises(RuntimeError, match=message):
        run(source, "wrong", torch.full((1,), 5, dtype=torch.int32))


def test_lanes_that_diverged_meet_again_in_warp_operations() -> None:
    source = """
    extern "C" __global__ void sums(int *values)
    {
        int mine = values[threadIdx.x];
        if (threadIdx.x % 2) mine *= 2;
        for (int step = 16; step > 0; step /= 2) mine += __shfl_xor_sync(0xffffffffu, mine, step);
        values[threadIdx.x] = mine;
    }"""
    values = torch.arange(64, dtype=torch.int32)
    doubled = torch.where(values % 2 == 1, 2 * values, values)
    run(source, "sums", values)
    assert values.tolist() == [int(doubled[:32].sum())] * 32 + [int(doubled[32:].sum())] * 32


@pytest.mark.parametrize("schedule", [0, 1, 3])
def test_blocks_together_wait_for_each_other_and_keep_their_own_shared_memory(
    schedule: int,
) -> None:
    source = """
    extern "C" __global__ void together(int *arrived, int *values)
    {
        __shared__ int mine;
        if (threadIdx.x == 0) {
            mine = blockIdx.x;
            atomicAdd(arrived, 1);
            while (*(volatile int *)arrived < (int)gridDim.x) __nanosleep(20);
        }
        __syncthreads();
        values[blockIdx.x * blockDim.x + threadIdx.x] = mine;
    }"""
    arrived, values = torch.zeros(1, dtype=torch.int32), torch.zeros(4 * 32, dtype=torch.int32)
    options = {"together": True, "schedule": schedule}
    launch(compiled(source, "together"), "together", (4, 1), 32, arrived, values, **options)
    assert torch.equal(values, torch.arange(4, dtype=torch.int32).repeat_interleave(32))
    with pytest.raises(RuntimeError, match="deadlock"):
        launch(compiled(source, "together"), "together", (4, 1), 32, arrived.zero_(), values)


def test_arguments_of_every_kind_arrive() -> None:
    source = """
    extern "C" __global__ void taken(int a, long long b, float c, double d, double *values)
    {
        values[0] = a; values[1] = b; values[2] = c; values[3] = d;
    }"""
    values = torch.zeros(4, dtype=torch.float64)
    numbers = np.int32(-3), np.int64(1 << 40), np.float32(0.5), np.float64(1e300)
    run(source, "taken", *numbers, values, threads=1)
    assert values.tolist() == [-3, 1 << 40, 0.5, 1e300]
