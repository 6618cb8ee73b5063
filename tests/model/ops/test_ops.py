"""Operations on points: every backend against the few-line oracles, on clouds that break things.

What runs on a GPU is tested on CPU tensors too, its kernels through the shim.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from backends import (
    EVERY_BACKEND,
    EVERY_DEVICE_BACKEND,
    EXAMPLES,
    Backend,
    clouds,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pointsam_model import ops
from pointsam_model.ops import naive, torch_ops
from pointsam_model.ops.cpu import CpuOps
from pointsam_model.ops.interpolation import _transposed, _transposed_on_cpu
from pointsam_model.ops.torch_ops import TorchOps


def rounding(points: Tensor) -> float:
    """What float32 arithmetic on differences of these points may lose, as a distance."""
    extent = float((points.double() - points[0].double()).abs().max())
    return 1e-6 * max(extent, 1e-6)


@EVERY_BACKEND
@EXAMPLES
@given(st.data())
def test_every_choice_is_of_a_farthest_point(backend: Backend, data: st.DataObject) -> None:
    module, device = backend
    points = data.draw(clouds())
    count = data.draw(st.integers(1, len(points)))
    start = data.draw(st.integers(0, len(points) - 1))
    rows = module.farthest_points(points.to(device), count, start).cpu()
    assert rows.dtype == torch.int64
    assert rows[0] == start
    assert len(set(rows.tolist())) == count
    assert naive.greedy_slack(points, rows) <= rounding(points)


def test_the_check_of_a_farthest_sequence_sees_a_wrong_one() -> None:
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [3, 0, 0]])
    assert naive.greedy_slack(points, torch.tensor([0, 2, 1])) == 0
    assert naive.greedy_slack(points, torch.tensor([0, 1, 2])) == 2
    assert naive.greedy_slack(points, naive.farthest_points(points, 3)) == 0


@EVERY_BACKEND
def test_without_ties_the_farthest_points_are_the_oracles(backend: Backend) -> None:
    module, device = backend
    points = torch.randn(500, 3, generator=torch.Generator().manual_seed(3))
    expected = naive.farthest_points(points, 60, start=7)
    assert torch.equal(module.farthest_points(points.to(device), 60, 7).cpu(), expected)


@EVERY_BACKEND
@EXAMPLES
@given(st.data())
def test_downsampling_keeps_each_row_once_and_covers_the_cloud(
    backend: Backend, data: st.DataObject
) -> None:
    module, device = backend
    points = data.draw(clouds(least=2))
    count = data.draw(st.integers(1, len(points) - 1))
    rows = module.downsample(points.to(device), count).cpu()
    assert torch.equal(rows, rows.unique())
    assert len(rows) == count
    # Farthest points cover within twice the radius that any so many points can.
    covered = naive.squared_distances(points, points[rows]).amin(1).max().sqrt()
    apart = naive.squared_distances(points[rows], points[rows]).fill_diagonal_(torch.inf)
    if count > 1:
        assert covered <= apart.min().sqrt() + rounding(points)


@EVERY_BACKEND
def test_downsampling_a_large_cloud_is_a_farthest_sample_and_deterministic(
    backend: Backend,
) -> None:
    module, device = backend
    points = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0)).to(device)
    rows = module.downsample(points, 500)
    assert torch.equal(rows, module.downsample(points, 500))
    kept = points[rows].cpu()
    apart = naive.squared_distances(kept, kept).fill_diagonal_(torch.inf).min().sqrt()
    covered = naive.squared_distances(points.cpu(), kept).amin(1).max().sqrt()
    assert covered <= apart + 1e-6


@EVERY_BACKEND
@EXAMPLES
@given(st.data())
def test_neighbours_are_the_nearest_in_order(backend: Backend, data: st.DataObject) -> None:
    module, device = backend
    points = data.draw(clouds())
    centers = points[data.draw(st.lists(st.integers(0, len(points) - 1), min_size=1, max_size=9))]
    k = data.draw(st.integers(1, len(points)))
    rows = module.nearest_neighbours(points.to(device), centers.to(device), k).cpu()
    assert rows.shape == (len(centers), k)
    assert all(len(set(row)) == k for row in rows.tolist())
    found = (points.double()[rows] - centers.double()[:, None]).norm(dim=-1)
    expected = naive.nearest_distances(points, centers, k)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=rounding(points))


@EVERY_BACKEND
@EXAMPLES
@given(st.data())
def test_the_nearest_point_is_nearest(backend: Backend, data: st.DataObject) -> None:
    module, device = backend
    points = data.draw(clouds())
    off = torch.randn(11, 3, generator=torch.Generator().manual_seed(len(points)))
    queries = points[torch.arange(11) % len(points)] + off
    rows = module.nearest_point(queries.to(device), points.to(device)).cpu()
    found = (points.double()[rows] - queries.double()).norm(dim=1)
    expected = naive.nearest_distances(points, queries, 1)[:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=rounding(points))


@EVERY_BACKEND
def test_thousands_of_queries_among_coincident_points_find_the_nearest(backend: Backend) -> None:
    module, device = backend
    random_numbers = torch.Generator().manual_seed(2)
    few = torch.randn(40, 3, generator=random_numbers)
    points = few[torch.randint(40, (500,), generator=random_numbers)]
    queries = torch.randn(9000, 3, generator=random_numbers)
    rows = module.nearest_point(queries.to(device), points.to(device)).cpu()
    found = (points.double()[rows] - queries.double()).norm(dim=1)
    torch.testing.assert_close(found, naive.nearest_distances(points, queries, 1)[:, 0])


@EVERY_BACKEND
def test_no_queries_have_no_nearest_points(backend: Backend) -> None:
    module, device = backend
    rows = module.nearest_point(torch.empty(0, 3, device=device), torch.ones(2, 3, device=device))
    assert rows.shape == (0,)
    assert rows.dtype == torch.int64


@EVERY_BACKEND
@EXAMPLES
@given(st.data())
def test_interpolation_weighs_the_three_nearest_centres(
    backend: Backend, data: st.DataObject
) -> None:
    module, device = backend
    points = data.draw(clouds())
    centers = points[: data.draw(st.integers(1, len(points)))]
    index, weight = module.interpolation_table(points.to(device), centers.to(device))
    assert index.shape == weight.shape == (len(points), min(3, len(centers)))
    assert weight.dtype == torch.float32
    index, weight = index.cpu(), weight.cpu()
    distance = (centers.double()[index] - points.double()[:, None]).norm(dim=-1)
    expected = naive.nearest_distances(centers, points, min(3, len(centers)))
    torch.testing.assert_close(distance, expected, rtol=1e-6, atol=rounding(points))
    torch.testing.assert_close(
        weight.double(), naive.interpolation_weights(distance), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(weight.sum(1), torch.ones(len(points)))


@EVERY_BACKEND
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_interpolated_features_are_the_weighted_sums(backend: Backend, dtype: torch.dtype) -> None:
    module, device = backend
    index, weight = _table(points=50, centers=20, device=device)
    features = torch.randn(20, 8, device=device, dtype=dtype)
    expected = naive.interpolate(features.float(), index, weight)
    tolerance = 1e-6 if dtype == torch.float32 else 3e-2
    found = module.interpolate(features, index, weight)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=tolerance, atol=tolerance)


@EVERY_BACKEND
@pytest.mark.parametrize(
    ("lead", "tables"),
    [((), None), ((2,), None), ((2,), 1), ((2,), 2), ((2, 3), None), ((2, 3), 1), ((2, 3), 2)],
)
def test_one_table_serves_all_features_of_its_cloud(
    backend: Backend, lead: tuple[int, ...], tables: int | None
) -> None:
    module, device = backend
    each = [_table(points=30, centers=12, device=device, seed=b) for b in range(tables or 1)]
    index, weight = (torch.stack(parts) for parts in zip(*each, strict=True))
    if tables is None:
        index, weight = index[0], weight[0]
    features = torch.randn(*lead, 12, 5, device=device, requires_grad=True)
    found = module.interpolate(features, index, weight)
    assert found.shape == (*lead, 30, 5)
    expected = torch.empty_like(found)
    for where in np.ndindex(*lead):
        table = each[where[0] if lead and tables == 2 else 0]
        expected[where] = naive.interpolate(features[where], *table)
    torch.testing.assert_close(found, expected)
    towards = torch.randn_like(found)
    (gradient,) = torch.autograd.grad(found, features, towards)
    (right,) = torch.autograd.grad(expected, features, towards)
    torch.testing.assert_close(gradient, right)


@EVERY_BACKEND
def test_the_gradient_of_interpolation_is_that_of_finite_differences(backend: Backend) -> None:
    module, device = backend
    index, weight = _table(points=9, centers=5, device=device)
    features = torch.randn(2, 5, 3, device=device, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda table: module.interpolate(table, index, weight.double()), (features,)
    )


def test_a_table_transposed_by_counting_is_the_one_sorted() -> None:
    table = *_table(points=200, centers=37, device="cpu"), 50
    for ours, expected in zip(_transposed_on_cpu(*table), _transposed(*table), strict=True):
        assert torch.equal(ours.to(expected.dtype), expected)


@EVERY_BACKEND
def test_clouds_of_a_batch_do_not_meet(backend: Backend) -> None:
    module, device = backend
    points = torch.randn(3, 40, 3, generator=torch.Generator().manual_seed(1)).to(device)
    chosen = module.farthest_points(points, 10, 2)
    centers = points.gather(1, chosen[..., None].expand(-1, -1, 3))
    near = module.nearest_neighbours(points, centers, 4)
    index, weight = module.interpolation_table(points, centers)
    for b in range(3):
        assert torch.equal(chosen[b], module.farthest_points(points[b], 10, 2))
        assert torch.equal(near[b], module.nearest_neighbours(points[b], centers[b], 4))
        alone = module.interpolation_table(points[b], centers[b])
        assert torch.equal(index[b], alone[0])
        assert torch.equal(weight[b], alone[1])


@EVERY_BACKEND
def test_float64_far_from_the_origin_keeps_its_millimetres(backend: Backend) -> None:
    module, device = backend
    small = torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    small *= 0.01
    far = (small + torch.tensor([5e5, 5e6, 100], dtype=torch.float64)).to(device)
    rows = module.farthest_points(far, 20, 0)
    assert naive.greedy_slack(small, rows.cpu()) < 1e-7
    near = module.nearest_neighbours(far, far[:5], 8).cpu()
    assert torch.equal(
        near, module.nearest_neighbours(small.to(device), small[:5].to(device), 8).cpu()
    )


@EVERY_BACKEND
@EXAMPLES
@given(points=clouds(), size=st.sampled_from([0.01, 0.3, 1.0, 7.0]))
def test_each_voxel_keeps_the_point_nearest_its_mean(
    backend: Backend, points: Tensor, size: float
) -> None:
    module, device = backend
    rows = module.voxel_rows(points.to(device), size).cpu().tolist()
    assert rows == naive.voxel_rows(points, size)


@EVERY_BACKEND
def test_voxels_on_a_grid_larger_than_64_bits_are_told_apart(backend: Backend) -> None:
    module, device = backend
    corners = torch.tensor([[-1e9, -1e9, -1e9], [1e9, 1e9, 1e9], [1e9, -1e9, 0], [1e9, -1e9, 0]])
    rows = module.voxel_rows(corners.to(device), 1e-3)
    assert rows.cpu().tolist() == [0, 1, 2]


@EVERY_BACKEND
def test_a_voxel_too_small_for_the_grid_is_refused(backend: Backend) -> None:
    module, device = backend
    with pytest.raises(ValueError, match="too small"):
        module.voxel_rows(torch.full((3, 3), 1e9, device=device), 1e-12)


@st.composite
def masks_and_links(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """(c,m) bool and (m,k): neighbours on a cloud, or any links; masks all empty and full too."""
    points = draw(clouds())
    m = len(points)
    random_numbers = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    k = draw(st.integers(0, min(m, 6)))
    links = torch.randint(m, (m, k), generator=random_numbers)
    if k > 0 and draw(st.booleans()):
        links = CpuOps().nearest_neighbours(points, points, k)
    share = draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    count = draw(st.integers(0, 4))
    return torch.rand(count, m, generator=random_numbers) < share, links


@EVERY_BACKEND
@EXAMPLES
@given(masks_and_links(), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_cleaned_masks_have_neither_specks_nor_holes(
    backend: Backend, drawn: tuple[Tensor, Tensor], share: float
) -> None:
    module, device = backend
    masks, links = drawn
    before = masks.clone()
    cleaned = module.cleaned_masks(masks.to(device), links.to(device), share)
    assert (cleaned.dtype, cleaned.shape) == (torch.bool, masks.shape)
    assert cleaned.tolist() == naive.cleaned_masks(masks, links, share)
    assert torch.equal(masks, before)


@EVERY_DEVICE_BACKEND
@EXAMPLES
@given(masks_and_links())
def test_pieces_are_what_links_connect_on_one_side_of_a_mask(
    backend: Backend, drawn: tuple[Tensor, Tensor]
) -> None:
    module, device = backend
    masks, links = drawn
    pieces, bordering = module.connected_pieces(masks.to(device), links.to(device))
    assert (pieces.dtype, bordering.dtype) == (torch.int64, torch.bool)
    assert pieces.shape == bordering.shape == masks.shape
    assert (pieces.tolist(), bordering.tolist()) == naive.connected_pieces(masks, links)


@EVERY_DEVICE_BACKEND
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_chain_of_many_links_is_one_piece(backend: Backend, shuffled: bool) -> None:
    module, device = backend
    order = torch.arange(2000)
    if shuffled:
        order = torch.randperm(2000, generator=torch.Generator().manual_seed(0))
    links = torch.empty(2000, 1, dtype=torch.int64)
    links[order[:-1], 0] = order[1:]  # each to the next, and none back
    links[order[-1], 0] = order[-1]
    masks = torch.ones(2, 2000, dtype=torch.bool)
    masks[1, order[700]] = False
    pieces, bordering = (
        each.cpu() for each in module.connected_pieces(masks.to(device), links.to(device))
    )
    assert (pieces[0] == 0).all()
    assert not bordering[0].any()
    for part in (order[:700], order[700:701], order[701:]):
        assert (pieces[1, part] == part.min()).all()
    assert set(bordering[1].nonzero()[:, 0].tolist()) == set(order[699:702].tolist())


def test_torch_searches_in_chunks_give_what_one_chunk_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points = torch.randn(300, 3)
    whole = (
        TorchOps().nearest_neighbours(points, points, 5),
        TorchOps().nearest_point(points + 0.1, points),
    )
    table = TorchOps().interpolation_table(points, points[:40])
    monkeypatch.setattr(torch_ops, "CHUNK", 700)
    assert torch.equal(TorchOps().nearest_neighbours(points, points, 5), whole[0])
    assert torch.equal(TorchOps().nearest_point(points + 0.1, points), whole[1])
    assert torch.equal(TorchOps().interpolation_table(points, points[:40])[0], table[0])


@EXAMPLES
@given(clouds())
def test_normalised_points_fill_the_unit_sphere(points: Tensor) -> None:
    coords, center, scale = ops.normalise(points)
    assert (coords.dtype, center.dtype, scale.dtype) == (
        torch.float32,
        torch.float64,
        torch.float64,
    )
    assert torch.isfinite(coords).all()
    back = coords.double() * scale + center
    torch.testing.assert_close(back, points.double(), rtol=1e-9, atol=1e-6 * float(scale))
    if len(points.unique(dim=0)) > 1:
        expected, _, _ = naive.normalise(points)
        torch.testing.assert_close(coords.double(), expected, rtol=1e-6, atol=1e-6)
        assert coords.norm(dim=1).max() == pytest.approx(1, abs=1e-6)


def test_each_cloud_of_a_batch_is_normalised_by_its_own_scale() -> None:
    points = torch.randn(2, 50, 3) * torch.tensor([1.0, 20.0])[:, None, None]
    coords, center, scale = ops.normalise(points)
    assert (center.shape, scale.shape) == ((2, 3), (2,))
    for b in range(2):
        torch.testing.assert_close(coords[b], ops.normalise(points[b])[0])


def test_ops_of_a_tensor_in_training_need_no_gradient_of_points() -> None:
    points = torch.randn(30, 3, requires_grad=True)
    assert ops.farthest_points(points, 4).shape == (4,)
    assert ops.nearest_neighbours(points, points[:2], 3).shape == (2, 3)
    index, weight = ops.interpolation_table(points, points[:4])
    assert not weight.requires_grad
    with torch.inference_mode():
        assert ops.interpolate(torch.randn(4, 2), index, weight).shape == (30, 2)


def test_downsampling_to_more_than_there_is_keeps_every_row() -> None:
    assert torch.equal(ops.downsample(torch.randn(5, 3), 9), torch.arange(5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: ops.farthest_points(p, 6), "count must be from 1 to 5"),
        (lambda p: ops.farthest_points(p, 0), "count must be from 1 to 5"),
        (lambda p: ops.farthest_points(p, 2, start=5), "row from 0 to 4"),
        (lambda p: ops.farthest_points(p[:, :2], 2), r"\(n,3\)"),
        (lambda p: ops.farthest_points(p.long(), 2), "float type"),
        (lambda p: ops.downsample(p, 0), "at least 1"),
        (lambda p: ops.downsample(p[None], 2), r"take \(n,3\)"),
        (lambda p: ops.nearest_neighbours(p, p, 6), "k must be from 1 to 5"),
        (lambda p: ops.nearest_neighbours(p[None], p, 2), "not of the same"),
        (lambda p: ops.nearest_point(p, p[:0]), "0 points"),
        (lambda p: ops.interpolation_table(p, p[:0]), "0 centres"),
        (lambda p: ops.interpolate(p, p[:, :2].long(), p), "do not fit"),
        (lambda p: ops.interpolate(p, p.long()[None], p[None]), "the table is of 1 clouds"),
        (lambda p: ops.voxel_rows(p, 0.0), "above 0"),
        (lambda p: ops.voxel_rows(p, float("nan")), "above 0"),
        (lambda p: ops.cleaned_masks(p, p.long(), 0.1), r"they take \(c,m\) bool"),
        (lambda p: ops.cleaned_masks(p.T > 0, p, 0.1), r"take \(5,k\) int64"),
        (lambda p: ops.cleaned_masks(p > 0, p.long(), 0.1), r"take \(3,k\) int64"),
        (lambda p: ops.farthest_points(p.to("meta"), 2), "no operations for the device 'meta'"),
    ],
)
def test_a_call_that_cannot_be_answered_says_what_would_be_right(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(torch.randn(5, 3))


def _table(points: int, centers: int, device: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    random_numbers = torch.Generator().manual_seed(seed)
    cloud = torch.randn(points, 3, generator=random_numbers)
    index, weight = CpuOps().interpolation_table(cloud, cloud[:centers])
    return index.to(device), weight.to(device)
