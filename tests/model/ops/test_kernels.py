"""What the kernels promise beyond the contracts of the operations, held by test_ops.py.

Tie rules, the same bits whatever the order in which threads run, and sizes at which their inner
structure shows: one bucket, a few, many pools and rounds. Through the shim, and on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from backends import KINDS, ON_A_GPU, kernels_on_gpu, on_a_grid
from kernel_shim import KernelsOnCpu
from torch import Tensor

from pointsam_model.ops import naive, torch_ops
from pointsam_model.ops.torch_ops import TorchOps

KERNELS = [
    pytest.param((KernelsOnCpu(), "cpu"), id="on-cpu"),
    pytest.param((kernels_on_gpu(), "cuda"), id="on-gpu", marks=ON_A_GPU),
]
EVERY_PLACE = pytest.mark.parametrize("kernels", KERNELS)
EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
SIZES = (1, 2, 31, 32, 33, 255, 256, 257, 1000)
Kernels = tuple[Any, str]
Kind = Callable[[np.random.Generator, int], np.ndarray]


def cloud(kind: Kind, n: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(kind(np.random.default_rng(seed + n), n).astype(np.float32))


def nearest_rows(queries: Tensor, points: Tensor, k: int) -> Tensor:
    """(q,k) rows by distance as float32 arithmetic gives it, the lowest row first among ties."""
    squared = torch.cat(list(torch_ops._distances(queries, points)))
    return squared.sort(dim=1, stable=True).indices[:, :k]


@EVERY_PLACE
@EVERY_KIND
@pytest.mark.parametrize("n", SIZES)
def test_farthest_points_are_the_plain_sequence_to_the_last_tie(
    kernels: Kernels, kind: Kind, n: int
) -> None:
    module, device = kernels
    points = cloud(kind, n)
    for count in {1, n // 3 + 1, n if n < 500 else 200}:
        rows = module.farthest_points(points.to(device), count, n // 2).cpu()
        assert torch.equal(rows, TorchOps().farthest_points(points, count, n // 2))


@EVERY_PLACE
@pytest.mark.parametrize("n", [60, 300])
def test_equally_far_points_are_chosen_by_the_lowest_row_as_by_the_oracle(
    kernels: Kernels, n: int
) -> None:
    module, device = kernels
    points = cloud(on_a_grid, n)  # exact in float32, and full of ties
    rows = module.farthest_points(points.to(device), n, 3).cpu()
    assert torch.equal(rows, naive.farthest_points(points, n, 3))


@EVERY_PLACE
def test_a_pool_that_overflows_with_ties_gives_the_same_sequence(kernels: Kernels) -> None:
    module, device = kernels
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    points = corners[torch.randint(4, (3000,), generator=torch.Generator().manual_seed(0))]
    rows = module.farthest_points(points.to(device), 9, 0).cpu()
    assert torch.equal(rows, TorchOps().farthest_points(points, 9, 0))


@EVERY_PLACE
@EVERY_KIND
@pytest.mark.parametrize("n", SIZES)
def test_neighbours_come_by_distance_and_then_by_row(kernels: Kernels, kind: Kind, n: int) -> None:
    module, device = kernels
    points = cloud(kind, n)
    centers = points[:: max(n // 3, 1)] + 0.01
    for k in {1, n // 2 + 1, min(n, 512)}:
        rows = module.nearest_neighbours(points.to(device), centers.to(device), k).cpu()
        assert torch.equal(rows, nearest_rows(centers, points, k))


@EVERY_PLACE
@EVERY_KIND
@pytest.mark.parametrize("n", SIZES)
def test_the_few_nearest_come_by_distance_and_then_by_row(
    kernels: Kernels, kind: Kind, n: int
) -> None:
    module, device = kernels
    points, queries = cloud(kind, n), cloud(kind, 70, seed=1)
    row = module.nearest_point(queries.to(device), points.to(device)).cpu()
    assert torch.equal(row, nearest_rows(queries, points, 1)[:, 0])
    index, weight = module.interpolation_table(queries.to(device), points.to(device))
    assert torch.equal(index.cpu(), nearest_rows(queries, points, min(3, n)))
    assert torch.isfinite(weight).all()


@EVERY_PLACE
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_voxels_of_many_points_are_the_oracles(kernels: Kernels, dtype: torch.dtype) -> None:
    module, device = kernels
    points = (torch.rand(3000, 3, generator=torch.Generator().manual_seed(0)) - 0.5).to(dtype)
    for size in (0.05, 0.31, 2.0):
        assert module.voxel_rows(points.to(device), size).tolist() == naive.voxel_rows(points, size)


@EVERY_PLACE
def test_neighbours_of_a_far_centre_are_found(kernels: Kernels) -> None:
    module, device = kernels
    points = cloud(KINDS[0], 500)
    centers = torch.tensor([[100.0, -50, 3], [-1e4, 0, 0]])
    rows = module.nearest_neighbours(points.to(device), centers.to(device), 40).cpu()
    assert torch.equal(rows, nearest_rows(centers, points, 40))


@pytest.mark.parametrize("k", [1, 100, 384, 512])
@pytest.mark.parametrize("schedule", [0, 1, 7])
def test_a_pool_of_neighbours_that_fills_again_and_again_keeps_the_nearest(
    k: int, schedule: int
) -> None:
    points = cloud(KINDS[0], 2500)
    # From outside, what lies around a centre along the curve is not what is near.
    centers = torch.tensor([[6.0, -5, 4], [-40, 0, 0]])
    module = KernelsOnCpu(schedule=schedule)
    rows = module.nearest_neighbours(points, centers, k)
    assert torch.equal(rows, nearest_rows(centers, points, k))


@EVERY_PLACE
def test_more_neighbours_than_the_kernel_holds_are_found_all_the_same(kernels: Kernels) -> None:
    module, device = kernels
    points = cloud(KINDS[0], 600)
    rows = module.nearest_neighbours(points.to(device), points[:2].to(device), 600).cpu()
    assert torch.equal(rows.sort(dim=1).values, torch.arange(600).expand(2, 600))


def everything(module: Any, device: str) -> list[Tensor]:
    """What each operation gives of clouds of many sorts, on the CPU."""
    results: list[Tensor] = []
    for kind in KINDS:
        points = cloud(kind, 333).to(device)
        results += [
            module.farthest_points(points, 50, 0),
            module.farthest_points(points[:70], 50, 0),
            module.nearest_neighbours(points, points[:3], 65),
            module.nearest_point(points + 0.1, points[:90]),
            *module.interpolation_table(points, points[40:80]),
            module.voxel_rows(points, 0.3),
            *module.normalise(points),
            *module.mask_rows(points[:44].T > 0, (torch.arange(999) % 45 - 1).int().to(device)),
            *module.connected_pieces(points.T > 0, module.nearest_neighbours(points, points, 5)),
        ]
    return [each.cpu() for each in results]


@pytest.mark.parametrize(
    "options", [{"schedule": 1}, {"schedule": 7}, {"threads": 32, "blocks": 5}]
)
def test_no_result_depends_on_the_order_in_which_threads_run(options: dict[str, int]) -> None:
    expected = everything(KernelsOnCpu(), "cpu")
    # Blocks of 32 threads pool 128 points and take other clouds in one piece: the same sequence.
    found = everything(KernelsOnCpu(**options), "cpu")
    assert all(map(torch.equal, found, expected))


@EVERY_PLACE
def test_a_repeat_gives_the_same_bits(kernels: Kernels) -> None:
    module, device = kernels
    assert all(map(torch.equal, everything(module, device), everything(module, device)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_a_chip_gives_the_bits_that_the_shim_gives() -> None:
    assert all(
        map(torch.equal, everything(kernels_on_gpu(), "cuda"), everything(KernelsOnCpu(), "cpu"))
    )
