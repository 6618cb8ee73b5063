"""Normals and parts of surfaces: every backend against the oracles, as in test_ops.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from backends import EVERY_BACKEND, EXAMPLES, Backend, clouds, kernels_on_gpu
from hypothesis import given
from hypothesis import strategies as st
from kernel_shim import KernelsOnCpu
from torch import Tensor

from pointsam_model import ops
from pointsam_model.ops import naive
from pointsam_model.ops.torch_ops import TorchOps

Edges = tuple[Tensor, Tensor, Tensor, int]


@st.composite
def places(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Points (v,3) of every kind and rows (m,k) of them, some of them more than once."""
    points = draw(clouds())
    random_numbers = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(0, 40)), draw(st.integers(1, 25))
    return points, torch.randint(len(points), shape, generator=random_numbers)


@EVERY_BACKEND
@EXAMPLES
@given(places())
def test_normals_and_variances_are_those_of_a_general_eigensolver(
    backend: Backend, drawn: tuple[Tensor, Tensor]
) -> None:
    module, device = backend
    points, neighbours = drawn
    points = points.double() - points.double().mean(0)
    moments = naive.moments(points, neighbours)
    normals, variances = module.principal_axes(moments.to(device))
    assert normals.dtype == variances.dtype == torch.float32
    assert normals.shape == variances.shape == (len(neighbours), 3)
    normals, variances = normals.cpu().double(), variances.cpu().double()
    axes, expected = naive.principal_axes(points, neighbours)
    # Sums are rounded where coordinates are from the middle of all, and results once more.
    size = expected[:, 2:]
    rounding = 1e-14 * (moments[:, 4:7].sum(1) / moments[:, 0])[:, None]
    assert ((variances - expected.clamp_min(0)).abs() <= 3e-7 * size + rounding + 1e-30).all()
    assert (variances >= 0).all()
    assert (variances.diff(dim=1) >= 0).all()
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(len(normals), dtype=torch.float64))
    apart = expected[:, 1] - expected[:, 0] > (1e-3 * size + 1e6 * rounding)[:, 0]
    along = (normals * axes[:, :, 0]).sum(1).abs()[apart]
    torch.testing.assert_close(along, torch.ones_like(along), rtol=0, atol=1e-6)


@EVERY_BACKEND
@pytest.mark.parametrize("count", [0, 1, 4])
def test_points_that_coincide_and_no_points_have_a_normal_along_z_and_do_not_vary(
    backend: Backend, count: int
) -> None:
    module, device = backend
    moments = naive.moments(torch.full((4, 3), 0.5), torch.arange(count)[None])
    normals, variances = module.principal_axes(moments.to(device))
    assert normals.tolist() == [[0, 0, 1]]
    assert variances.tolist() == [[0, 0, 0]]


@EVERY_BACKEND
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_plane_has_the_same_normal_at_every_size(backend: Backend, size: float) -> None:
    module, device = backend
    grid = torch.cartesian_prod(*[torch.arange(5.0)] * 2)
    points = torch.stack([grid[:, 0], grid[:, 1], 0.5 * grid[:, 0]], 1) * size
    moments = naive.moments(points, torch.arange(25)[None])
    normals, variances = module.principal_axes(moments.to(device))
    expected = torch.tensor([-0.5, 0, 1]) / 1.25**0.5
    assert float((normals[0].cpu() @ expected).abs()) == pytest.approx(1, abs=1e-6)
    assert float(variances[0, 0]) <= 1e-7 * float(variances[0, 2])


@EVERY_BACKEND
@EXAMPLES
@given(places(), st.booleans())
def test_sums_of_rows_are_what_adding_them_gives(
    backend: Backend, drawn: tuple[Tensor, Tensor], masked: bool
) -> None:
    module, device = backend
    values, rows = drawn[0].double(), drawn[1]
    used = (rows % 3 > 0) if masked else None
    sums = module.summed_rows(
        values.to(device), rows.to(device), None if used is None else used.to(device)
    )
    assert (sums.dtype, sums.shape) == (torch.float64, (len(rows), 3))
    expected = torch.tensor(naive.summed_rows(values, rows, used), dtype=torch.float64).view(-1, 3)
    largest = values.abs().max().item()
    torch.testing.assert_close(sums.cpu(), expected, rtol=0, atol=1e-14 * 25 * largest)


@EVERY_BACKEND
def test_sums_of_no_rows_are_zero(backend: Backend) -> None:
    module, device = backend
    values = torch.ones(4, 2, dtype=torch.float64, device=device)
    none = torch.empty(3, 0, dtype=torch.int64, device=device)
    assert module.summed_rows(values, none, None).tolist() == [[0, 0]] * 3


@st.composite
def edges(draw: st.DrawFn) -> Edges:
    """Edges of points, some twice or from a point to itself; cuts at, beside and off 0.3; NaN."""
    count = draw(st.integers(1, 60))
    random_numbers = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    e = draw(st.integers(0, 90))
    start, end = torch.randint(count, (2, e), generator=random_numbers)
    some = torch.tensor([0.0, 0.1, np.nextafter(np.float32(0.3), 0), 0.3, 0.7, 1.0, torch.nan])
    return start, end, some[torch.randint(len(some), (e,), generator=random_numbers)], count


@EVERY_BACKEND
@EXAMPLES
@given(edges(), st.lists(st.sampled_from([0.0, 0.05, 0.3, 0.9, 2.0]), max_size=3))
def test_parts_are_what_edges_below_each_strictness_connect(
    backend: Backend, drawn: Edges, strictness: list[float]
) -> None:
    module, device = backend
    start, end, cut, count = drawn
    on_device = start.to(device), end.to(device), cut.to(device)
    parts = module.connected_parts(*on_device, count, strictness)
    assert (parts.dtype, parts.shape) == (torch.int64, (len(strictness), count))
    assert parts.tolist() == naive.connected_parts(start, end, cut, count, strictness)


@EVERY_BACKEND
@EXAMPLES
@given(edges())
def test_parts_of_less_strictness_hold_those_of_more(backend: Backend, drawn: Edges) -> None:
    module, device = backend
    start, end, cut, count = drawn
    fine, coarse = module.connected_parts(
        start.to(device), end.to(device), cut.to(device), count, [0.2, 0.8]
    )
    assert torch.equal(coarse[fine], coarse)
    assert torch.equal(fine[fine], fine), "a part is named by its lowest row, which names itself"


@EVERY_BACKEND
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_chain_of_many_edges_is_one_part(backend: Backend, shuffled: bool) -> None:
    module, device = backend
    order = torch.arange(3000)
    if shuffled:
        order = torch.randperm(3000, generator=torch.Generator().manual_seed(0))
    cut = torch.zeros(2999)
    cut[1000] = 0.5
    ends = order[:-1].to(device), order[1:].to(device)
    strict, loose = module.connected_parts(*ends, cut.to(device), 3000, [0.1, 0.9]).cpu()
    assert (loose == 0).all()
    for part in (order[:1001], order[1001:]):
        assert (strict[part] == part.min()).all()


def everything(module: Any, device: str) -> list[Tensor]:
    """What each operation gives of a random cloud, on the CPU."""
    points = torch.randn(700, 3, generator=torch.Generator().manual_seed(4)).to(device)
    near = TorchOps().nearest_neighbours(points, points, 12)
    start, end = torch.arange(700, device=device).repeat_interleave(12), near.reshape(-1)
    cut = (points[start] - points[end]).norm(dim=1)
    parts = module.connected_parts(start, end, cut, 700, [0.05, 0.2, 0.4])
    moments = naive.moments(points.cpu(), near.cpu()).to(device)
    sums = module.summed_rows(moments, near, near % 3 > 0)
    return [each.cpu() for each in (*module.principal_axes(moments), sums, parts)]


@pytest.mark.parametrize("schedule", [1, 7])
def test_no_result_depends_on_the_order_in_which_threads_run(schedule: int) -> None:
    found = everything(KernelsOnCpu(schedule=schedule), "cpu")
    assert all(map(torch.equal, found, everything(KernelsOnCpu(), "cpu")))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_a_chip_gives_the_bits_of_normals_and_parts_that_the_shim_gives() -> None:
    found = everything(kernels_on_gpu(), "cuda")
    assert all(map(torch.equal, found, everything(KernelsOnCpu(), "cpu")))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, i: ops.principal_axes(p.double()), r"they take \(m,10\) float64"),
        (lambda p, i: ops.principal_axes(torch.zeros(2, 10)), r"they take \(m,10\) float64"),
        (lambda p, i: ops.summed_rows(p, i), r"they take \(m,c\) float64"),
        (lambda p, i: ops.summed_rows(p.double(), i.int()), r"they take \(q,k\) int64"),
        (lambda p, i: ops.summed_rows(p.double(), i, i[:1] > 0), r"it takes \(2, 3\) bool"),
        (lambda p, i: ops.connected_parts(i[0], i[1], p[0], 0, []), "at least 1 point"),
        (lambda p, i: ops.connected_parts(i, i[0], p[0], 5, []), r"it takes \(e,\) int64"),
        (lambda p, i: ops.connected_parts(i[0], i[0], p[0].double(), 5, []), "float32"),
        (lambda p, i: ops.connected_parts(i[0], i[0], p[0, :2], 5, []), "not of the same edges"),
    ],
)
def test_a_call_that_cannot_be_answered_says_what_would_be_right(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(torch.randn(5, 3), torch.zeros(2, 3, dtype=torch.int64))
