"""The surface of a cloud: its normals, edges, parts and walkers, each against a plain oracle."""

import itertools

import numpy as np
import pytest
import torch
from boxed_table import SENSOR, box_on_a_table, graph_of_arrays, partition_of
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsam_model import ops
from pointsam_model.errors import CheckpointError
from pointsam_model.geometry import MergeTree
from pointsam_model.geometry.merge_tree import SMALLEST, SURE
from pointsam_model.geometry.partition import CUTS, shipped_cuts
from pointsam_model.geometry.surface_graph import (
    FEATURES,
    FINE,
    NEIGHBOURS,
    RING,
    facing,
    moments_around,
    neighbourhoods,
)
from pointsam_model.geometry.walker import CLICK_STRENGTH, CLICKED, Prior, Walker
from pointsam_model.nn import estimator
from pointsam_model.nn.estimator import Estimator
from pointsam_model.ops import naive


def test_normals_face_the_sensor():
    points = torch.tensor([[0.0, 0, 1], [0, 0, 2]])
    normals = torch.tensor([[0.0, 0, 1], [0, 0, -1]])
    assert facing(normals, points, torch.zeros(3)).tolist() == [[0, 0, -1], [0, 0, -1]]


def test_edges_join_each_point_with_its_neighbours_once_and_know_their_length():
    points, _ = box_on_a_table(0.03)
    graph = graph_of_arrays(points, points, SENSOR)
    start, end = graph.start.numpy(), graph.end.numpy()
    assert (start < end).all()
    pairs = set(zip(start.tolist(), end.tolist(), strict=True))
    assert len(pairs) == len(start)
    for row, near in enumerate(graph.neighbours.numpy().tolist()):
        assert all((min(row, each), max(row, each)) in pairs for each in near)
    length = np.linalg.norm(points[start] - points[end], axis=1)
    assert graph.length.numpy() == pytest.approx(length, rel=1e-4)
    assert graph.features.shape == (len(start), FEATURES)
    assert torch.isfinite(graph.features).all()


def test_normals_are_of_what_lies_around_a_point_at_three_widths():
    points = torch.from_numpy(box_on_a_table(0.08)[0])
    source = torch.from_numpy(box_on_a_table(0.03)[0])
    nearest = ops.nearest_point(source, points)
    around = neighbourhoods(points)
    fine, ring, wide = (
        each.round(decimals=5) for each in moments_around(points, source, nearest, around)
    )

    def of(cloud, sets):
        middle = points.mean(0)
        each = [naive.moments(cloud - middle, torch.tensor([rows])) for rows in sets]
        return torch.cat(each)

    cells = [(nearest == row).nonzero()[:, 0].tolist() for row in range(len(points))]
    some = []
    for rows in around.tolist():
        taken = []
        for row in rows:
            if len(taken) < FINE:
                taken += cells[row]
        some.append(taken)
    torch.testing.assert_close(fine, of(source, some), rtol=0, atol=1e-5)
    for found, k in ((ring, RING + 1), (wide, NEIGHBOURS + 1)):
        sets = [[b for a in rows[:k] for b in around[a, :k].tolist()] for rows in around.tolist()]
        torch.testing.assert_close(found, of(points, sets), rtol=0, atol=1e-5)


def test_points_far_from_the_origin_keep_their_normals():
    # On a grid of binary fractions that float32 still holds out there.
    near = torch.from_numpy(box_on_a_table(0.03)[0]).mul(2**13).round() / 2**13
    far = near + torch.tensor([512.0, -256.0, 128.0])
    around = neighbourhoods(near)
    cells = torch.arange(len(near))
    for one, other in zip(
        moments_around(near, near, cells, around),
        moments_around(far, far, cells, around),
        strict=True,
    ):
        (normals, variances), (same, spread) = ops.principal_axes(one), ops.principal_axes(other)
        torch.testing.assert_close(spread, variances, rtol=1e-4, atol=1e-9)
        flat = variances[:, 1] > 10 * variances[:, 0]
        along = (normals * same).sum(1).abs()[flat]
        torch.testing.assert_close(along, torch.ones_like(along), rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_the_look_of_an_edge_depends_neither_on_size_nor_on_pose(scale):
    points, _ = box_on_a_table(0.04)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    move = np.array([3.0, -2.0, 1.0])
    moved = ((points @ turn.T + move) * scale).astype(np.float32)
    plain = graph_of_arrays(points, points, SENSOR)
    other = graph_of_arrays(moved, moved, (turn @ SENSOR + move) * scale)
    same = {*zip(plain.start.tolist(), plain.end.tolist(), strict=True)} & {
        *zip(other.start.tolist(), other.end.tolist(), strict=True)
    }
    assert len(same) > 0.99 * len(plain.start)

    def by_pair(graph):
        pairs = zip(graph.start.tolist(), graph.end.tolist(), strict=True)
        return dict(zip(pairs, graph.features.numpy(), strict=True))

    one, two = by_pair(plain), by_pair(other)
    off = np.array([np.abs(one[pair] - two[pair]).max() for pair in same])
    assert np.quantile(off, 0.98) < 0.05


def test_a_box_on_a_table_is_a_part_of_its_own():
    points, box = box_on_a_table()
    parts = partition_of(points, points, SENSOR)
    top = int(np.flatnonzero(box)[200])
    masks = parts.tree.masks(parts.tree.chain(top))
    ious = (masks & box).sum(1) / (masks | box).sum(1)
    assert ious.max() > 0.95


def test_without_a_sensor_two_boxes_apart_are_still_parts_of_their_own():
    points, box = box_on_a_table()
    alone = points[box]
    both = np.concatenate([alone, alone + np.array([1.0, 0, 0])]).astype(np.float32)
    parts = partition_of(both, both, None)
    masks = parts.tree.masks(parts.tree.chain(0))
    first = np.arange(len(both)) < len(alone)
    assert ((masks & first).sum(1) / (masks | first).sum(1)).max() > 0.99


@pytest.mark.parametrize("count", [3, 5, 13, 40])
def test_tiny_clouds_have_a_partition(count):
    points = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)
    parts = partition_of(points, points, None)
    assert len(parts) == count
    assert parts.tree.masks(parts.tree.chain(0))[:, 0].all()


def test_points_that_all_coincide_have_a_partition():
    points = np.ones((50, 3), np.float32)
    points[0] = 0
    points[1] = 2
    parts = partition_of(points, points, np.zeros(3))
    assert np.isfinite(parts.cut).all()


def random_graph(seed):
    """Points with edges in a ring and some across, and cut probabilities in three sizes."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(20, 80))
    pairs = {(row, row + 1) for row in range(count - 1) if rng.random() < 0.97}
    while len(pairs) < 3 * count:
        a, b = sorted(rng.integers(0, count, 2).tolist())
        if a != b and b - a < 8:
            pairs.add((a, b))
    start, end = np.array(sorted(pairs), np.int64).T
    cut = np.where(rng.random(len(start)) < 0.6, 0.0, rng.random(len(start))).astype(np.float32)
    return count, start, end, cut


def tree_of(count, start, end, cut):
    edges = (torch.from_numpy(each) for each in (start, end, cut))
    (sure,) = ops.connected_parts(*edges, count, [SURE])
    return MergeTree(sure.numpy(), start, end, cut)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_parts_are_nested_runs_that_end_in_all_that_is_connected(seed):
    count, start, end, cut = random_graph(seed)
    tree = tree_of(count, start, end, cut)
    for point in range(0, count, 7):
        chain = tree.chain(point)
        masks = tree.masks(chain)
        assert masks[:, point].all()
        assert all((a <= b).all() for a, b in itertools.pairwise(masks))
        assert all(tree.holds(part, point) for part in chain)
    leaves = int(tree.leaf.max()) + 1
    assert len(tree) <= 2 * leaves - 1
    roots = [part for part in range(len(tree)) if tree.parent[part] < 0]
    assert tree.masks(roots).sum(0).tolist() == [1] * count


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_merges_are_those_of_a_naive_search_for_the_least_border(seed):
    count, start, end, cut = random_graph(seed)
    tree = tree_of(count, start, end, cut)
    leaves = int(tree.leaf.max()) + 1
    parts = [frozenset({leaf}) for leaf in range(leaves)]
    merged = []
    while True:
        borders = []
        for a, b in itertools.combinations(sorted(parts, key=min), 2):
            across = [
                value
                for one, other, value in zip(tree.leaf[start], tree.leaf[end], cut, strict=True)
                if (one in a and other in b) or (one in b and other in a)
            ]
            if across:
                borders.append((float(np.mean(across)), a, b))
        if not borders:
            break
        border, a, b = min(borders, key=lambda each: each[0])
        if sum(abs(border - other[0]) < 1e-6 for other in borders) > 1:
            return  # a tie may be broken either way
        parts = [each for each in parts if each not in (a, b)] + [a | b]
        merged.append((a | b, border))
    made = [
        (frozenset(range(tree.first[part], tree.last[part])), tree.height[part])
        for part in range(leaves, len(tree))
    ]
    assert [part for part, _ in made] == [part for part, _ in merged]
    assert [each for _, each in made] == pytest.approx([each for _, each in merged], abs=1e-5)


def test_smallest_parts_are_joined_by_sure_edges_and_have_enough_points():
    points, _ = box_on_a_table(0.02)
    parts = partition_of(points, points, SENSOR)
    sure = parts.cut < SURE
    leaf = parts.tree.leaf
    assert (leaf[parts.start[sure]] == leaf[parts.end[sure]]).all()
    assert np.bincount(leaf).min() >= SMALLEST


def test_a_walker_solves_the_system_that_it_stands_for():
    points, _ = box_on_a_table(0.06)
    parts = partition_of(points, points, SENSOR)
    rng = np.random.default_rng(0)
    priors = [Prior(rng.random(len(parts)).astype(np.float32), 1.0)]
    found = parts.walker.spread(priors, [3], [1])[0]
    weight = parts.walker._weight.toarray().astype(np.float64)
    pull = np.full(len(parts), 1.0)
    target = priors[0].inside.astype(np.float64)
    at = [3, *parts.neighbours[3, :CLICKED]]
    pull[at] += CLICK_STRENGTH
    target[at] += CLICK_STRENGTH
    exact = np.linalg.solve(np.diag(weight.sum(1) + pull) - weight, target)
    assert found == pytest.approx(exact, abs=0.02)


def test_a_walker_mends_a_prior_that_is_wrong_here_and_there_and_obeys_the_clicks():
    points, box = box_on_a_table()
    parts = partition_of(points, points, SENSOR)
    wrong = np.random.default_rng(0).random(len(parts)) < 0.25
    prior = Prior(np.where(box ^ wrong, 0.9, 0.1).astype(np.float32), 0.3)
    on, off = int(np.flatnonzero(box & wrong)[0]), int(np.flatnonzero(~box & wrong)[0])
    inside = parts.walker.spread([prior], [on, off], [1, 0])[0] > 0.5
    assert inside[on]
    assert not inside[off]
    assert (inside & box).sum() / (inside | box).sum() > 0.95


def test_walkers_take_edges_to_the_nearest_neighbours_only_and_all_points_are_reached():
    points, _ = box_on_a_table(0.05)
    parts = partition_of(points, points, SENSOR)
    walker = Walker(parts.start, parts.end, parts.length, parts.cut, parts.neighbours)
    degree = np.asarray((walker._weight > 0).sum(1)).ravel()
    assert degree.min() >= 6
    assert (walker._weight != walker._weight.T).nnz == 0


def test_the_shipped_cuts_are_read_once_and_say_what_they_were_fitted_on():
    assert shipped_cuts() is shipped_cuts()
    assert "scenes" in shipped_cuts().about["fitted"]


def test_an_estimator_of_other_numbers_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="not an estimator of 1 outputs from 5 numbers"):
        Estimator.read(CUTS, 5, 1)
    with pytest.raises(CheckpointError, match="not an estimator of 3 outputs"):
        Estimator.read(CUTS, FEATURES, 3)
    spoilt = dict(shipped_cuts().tensors)
    spoilt["bias.1"] = spoilt["bias.1"] * np.nan
    Estimator(spoilt, {}).write(tmp_path / "spoilt.safetensors")
    with pytest.raises(CheckpointError, match="not finite"):
        Estimator.read(tmp_path / "spoilt.safetensors", FEATURES, 1)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot read the estimator"):
        Estimator.read(broken, FEATURES, 1)


def test_an_estimator_is_the_same_after_it_was_kept(tmp_path):
    kept = tmp_path / "kept.safetensors"
    shipped_cuts().write(kept)
    numbers = torch.randn(7, FEATURES)
    assert torch.equal(Estimator.read(kept, FEATURES, 1)(numbers), shipped_cuts()(numbers))


def test_an_estimator_takes_rows_in_turns_without_a_difference(monkeypatch):
    numbers = torch.randn(100, FEATURES)
    whole = shipped_cuts()(numbers)
    monkeypatch.setattr(estimator, "ROWS", 33)
    torch.testing.assert_close(shipped_cuts()(numbers), whole)
    assert shipped_cuts()(numbers[:0]).shape == (0, 1)
