"""Candidates for clicks, what is known of them, and the mask that is chosen."""

import numpy as np
import pytest
from boxed_table import SENSOR, box_on_a_table, partition_of
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsam_model.errors import CheckpointError
from pointsam_model.nn.estimator import Estimator
from pointsam_model.quality import (
    Asked,
    NetworkAnswer,
    Pool,
    pool_of,
    quality_of,
    shipped_quality,
)
from pointsam_model.quality.candidates import UNKNOWN, Origin
from pointsam_model.quality.features import (
    FEATURES,
    NETWORKS_OWN,
    Surroundings,
    features_of,
)
from pointsam_model.quality.quality import OUTPUTS, QUALITY, QUALITY_ANY, WEIGHTS, best_different
from pointsam_model.quality.regions import Regions

POINTS, BOX = box_on_a_table(0.02)
PARTS = partition_of(POINTS, POINTS, SENSOR)
M = len(PARTS)
AROUND = Surroundings.of(PARTS, np.ones(M, np.float32))
ON, OFF = int(np.flatnonzero(BOX)[60]), 5


def network(mask=BOX, seed=0):
    """An answer of three masks: the one given, its opposite's half, and noise."""
    rng = np.random.default_rng(seed)
    logits = np.stack([np.where(mask, 4.0, -4.0), rng.normal(size=M), rng.normal(size=M) - 2])
    return NetworkAnswer(
        logits.astype(np.float32),
        np.array([0.8, 0.4, 0.2], np.float32),
        np.array([1.0, 0.3, 0.3], np.float32),
    )


def masks_of_patches(count, seed=0):
    """Masks that share their borders, as candidates do."""
    rng = np.random.default_rng(seed)
    return rng.random((count, 20))[:, rng.integers(0, 20, M)] < 0.4


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_the_pool_of_a_first_click_holds_parts_network_masks_and_walks():
    pool = pool_of(PARTS, Asked([ON], [1]), network())
    assert {Origin.PART, Origin.NETWORK, Origin.WALK} <= set(pool.origin)
    assert max(iou(mask, BOX) for mask in pool.masks) > 0.95
    assert all(mask[ON] for mask in pool.masks)


@given(
    st.lists(st.tuples(st.integers(0, M - 1), st.integers(0, 1)), min_size=1, max_size=6),
    st.booleans(),
    st.integers(0, 100),
)
@settings(max_examples=40, deadline=None)
def test_candidates_obey_as_many_clicks_as_any_does_and_are_never_empty(clicks, refined, seed):
    rows, labels = map(list, zip(*dict(clicks).items(), strict=True))
    so_far = np.random.default_rng(seed).random(M) < 0.3 if refined else None
    if so_far is None and 1 not in labels:
        labels[0] = 1
    pool = pool_of(PARTS, Asked(rows, labels, so_far), network(seed=seed))
    assert len(pool) >= 1
    assert all(mask.any() and mask.shape == (M,) and mask.dtype == bool for mask in pool.masks)
    assert len(set(pool.disobedience().tolist())) == 1
    features = features_of(pool, PARTS, AROUND)
    assert features.shape == (len(pool), FEATURES)
    assert np.isfinite(features).all()
    judged = shipped_quality().judge(pool, PARTS, AROUND)
    for values in (judged.iou, judged.object):
        assert ((values >= 0) & (values <= 1)).all()
    assert np.isfinite(judged.choice).all()


def test_a_click_off_the_object_takes_its_part_away_and_not_the_object():
    so_far = BOX | (np.linalg.norm(POINTS - POINTS[OFF], axis=1) < 0.3)
    pool = pool_of(PARTS, Asked([ON, OFF], [1, 0], so_far), network(so_far))
    assert max(iou(mask, BOX) for mask in pool.masks) > 0.95


def test_a_click_off_the_object_can_take_away_that_point_alone():
    middle = PARTS.points[BOX].mean(0)
    inside = int(np.flatnonzero(BOX)[np.square(PARTS.points[BOX] - middle).sum(1).argmin()])
    pool = pool_of(PARTS, Asked([ON, inside], [1, 0], so_far=BOX), network())
    taken = [set(np.flatnonzero(BOX & ~mask).tolist()) for mask in pool.masks]
    assert {inside} in taken
    assert any(1 < len(each) < 0.25 * BOX.sum() for each in taken), "and a little about it"


def test_a_mask_with_only_a_click_off_it_is_among_the_candidates_as_it_was():
    pool = pool_of(PARTS, Asked([OFF], [0], BOX), network(~BOX))
    assert any(np.array_equal(mask, BOX) for mask in pool.masks)
    best = int(shipped_quality().judge(pool, PARTS, AROUND).choice.argmax())
    assert iou(pool.masks[best], BOX) > 0.9


def test_what_is_claimed_brings_the_parts_that_lie_mostly_in_it():
    rough = BOX & (POINTS[:, 0] > -0.08)
    rough |= np.linalg.norm(POINTS - [0.15, 0, 0], axis=1) < 0.04
    pool = pool_of(PARTS, Asked([ON], [1], claimed=rough), network())
    assert Origin.CLAIMED in pool.origin
    assert (
        max(iou(m, BOX) for m, each in zip(pool.masks, pool.origin, strict=True) if each == 8) > 0.9
    )


def test_logits_of_a_candidate_have_the_sign_of_its_mask():
    pool = pool_of(PARTS, Asked([ON], [1]), network())
    for row, mask in enumerate(pool.masks):
        assert np.array_equal(pool.logits_of(row) > 0, mask)


def test_only_the_networks_masks_have_its_score():
    pool = pool_of(PARTS, Asked([ON], [1]), network())
    for origin, score in zip(pool.origin, pool.score, strict=True):
        assert (score == UNKNOWN) == (origin == Origin.PART)


def naive_features(pool, row):
    """Sizes and borders of one candidate, point by point and edge by edge."""
    mask = pool.masks[row]
    crossing = [c for a, b, c in EDGES if mask[a] != mask[b]]
    within = [c for a, b, c in EDGES if mask[a] and mask[b]]
    firm = sum(1 - c for c in crossing)
    return [
        np.log(mask.sum() + 1),
        np.log(mask.mean() + 1e-4),
        sum(crossing) / (len(crossing) + 1),
        firm / (len(crossing) + len(within) + 1),
        firm / np.sqrt(len(within) + 1),
        sum(within) / (len(within) + 1),
        sum(c > 0.5 for c in within) / np.sqrt(len(within) + 1),
        sum(c > 0.5 for c in within) / (len(within) + 1),
    ]


EDGES = list(zip(PARTS.start.tolist(), PARTS.end.tolist(), PARTS.cut.tolist(), strict=True))


def test_sizes_and_borders_are_those_of_a_plain_count():
    pool = pool_of(PARTS, Asked([ON, OFF], [1, 0], BOX), network())
    features = features_of(pool, PARTS, AROUND)
    for row in range(0, len(pool), 5):
        assert features[row, :8] == pytest.approx(naive_features(pool, row), rel=1e-3, abs=1e-3)


def test_several_masks_that_are_shown_differ_and_the_best_comes_first():
    masks = np.zeros((4, 100), bool)
    masks[0, :50] = masks[1, :48] = True
    masks[2, :20] = masks[3, 40:90] = True
    chosen = best_different(
        masks, np.array([0.7, 0.9, 0.3, 0.5], np.float32), np.ones(100, np.float32), 3
    )
    assert chosen == [1, 3, 2]


def test_a_pool_that_is_narrowed_keeps_what_belongs_together():
    pool = Pool(Asked([ON], [1]), network())
    pool.add(BOX, Origin.PART, height=0.3, above=0.6)
    pool.add(~BOX, Origin.NETWORK, network=1)
    pool.only(np.array([False, True]))
    assert len(pool) == 1
    assert pool.origin == [Origin.NETWORK]
    assert pool.score == pytest.approx([0.4])


def test_what_a_network_says_of_itself_is_in_its_own_numbers_alone():
    def answer(sure, scores):
        told = network()
        return NetworkAnswer(told.logits * np.float32(sure), scores, told.stability * scores)

    one = answer(1.0, np.array([0.8, 0.4, 0.2], np.float32))
    other = answer(0.5, np.array([0.3, 0.9, 0.6], np.float32))
    pools = []
    for told in (one, other):
        pool = Pool(Asked([ON], [1]), told)
        for number, logits in enumerate(told.logits):
            pool.add(logits > 0, Origin.NETWORK, network=number, logits=logits)
        pool.add(BOX, Origin.PART, height=0.2, above=0.5)
        pool.add(BOX & (POINTS[:, 0] > 0), Origin.PART, height=0.1, above=0.2)
        pools.append(features_of(pool, PARTS, AROUND))
    changed = np.flatnonzero((pools[0] != pools[1]).any(0))
    assert set(changed) <= set(NETWORKS_OWN)
    assert len(changed) >= len(NETWORKS_OWN) - 1


def test_colours_tell_borders_where_nothing_else_does():
    colors = np.where(BOX[:, None], [0.9, 0.1, 0.1], [0.2, 0.2, 0.2]).astype(np.float32)
    coloured = Surroundings.of(PARTS, np.ones(M, np.float32), colors)
    pool = Pool(Asked([ON], [1]), network())
    half = BOX & (POINTS[:, 0] > 0)
    for mask in (BOX, half):
        pool.add(mask, Origin.PART)
    whole, part = features_of(pool, PARTS, coloured)
    assert whole[8] > 2 * part[8]  # the change of colour along the border
    assert whole[9] == pytest.approx(0, abs=1e-6)  # and within
    assert (features_of(pool, PARTS, AROUND)[:, 8:11] == 0).all()


def test_a_table_lies_in_its_plane_alone_and_a_piece_of_it_does_not():
    pool = Pool(Asked([OFF], [1]), network())
    table = ~BOX
    piece = table & (np.linalg.norm(POINTS - POINTS[OFF], axis=1) < 0.15)
    for mask in (table, piece):
        pool.add(mask, Origin.PART)
    whole, part = features_of(pool, PARTS, AROUND)
    assert whole[28] < 0.1 < 0.5 < part[28]
    assert whole[29] > 0.9  # the box is on one side of it


def test_a_click_in_the_middle_of_a_mask_is_deep_in_it():
    click = int(np.linalg.norm(POINTS - [-0.3, 0.3, 0], axis=1).argmin())
    pool = Pool(Asked([click], [1]), network())
    for shift in (0.0, 0.1):
        off = np.linalg.norm(POINTS - POINTS[click] - [shift, 0, 0], axis=1)
        pool.add(off < 0.12, Origin.PART)
    middle, rim = features_of(pool, PARTS, AROUND)[:, 36:38]
    assert middle[0] < 0.3 < rim[0]
    assert middle[1] > 2 * rim[1]


def test_a_checkpoint_has_the_quality_beside_it_or_one_for_any(tmp_path):
    other = tmp_path / "other.safetensors"
    assert quality_of(WEIGHTS / "tiny.safetensors") is shipped_quality()
    about_any = Estimator.read(QUALITY_ANY, FEATURES, OUTPUTS).tensors["weight.0"]
    for checkpoint in (None, other):
        assert quality_of(checkpoint).estimator.tensors["weight.0"].equal(about_any)
    assert (about_any[:, list(NETWORKS_OWN)] == 0).all()
    beside = tmp_path / "other.quality.safetensors"
    beside.write_bytes(QUALITY.read_bytes())
    own = shipped_quality().estimator.tensors["weight.0"]
    assert quality_of(other).estimator.tensors["weight.0"].equal(own)
    beside.write_bytes(b"no estimator")
    with pytest.raises(CheckpointError, match=r"other\.quality\.safetensors"):
        quality_of(other)


@pytest.mark.parametrize("count", [1, 20, 32, 33, 70])
def test_regions_are_held_by_the_same_masks_and_no_two_of_them_are_alike(count):
    masks = masks_of_patches(count)
    regions = Regions.of(masks)
    assert (regions.inside[:, regions.number] == masks).all()
    assert len(np.unique(regions.inside, axis=1).T) == regions.inside.shape[1]


def test_sums_over_regions_are_those_over_their_points():
    regions = Regions.of(masks_of_patches(5))
    values = np.random.default_rng(1).normal(size=(M, 3))
    for region, total in enumerate(regions.sums(values)):
        assert total == pytest.approx(values[regions.number == region].sum(0))


def test_what_is_summed_by_regions_is_what_points_and_edges_sum_to_one_by_one():
    colors = np.random.default_rng(2).random((M, 3)).astype(np.float32)
    weight = np.random.default_rng(3).integers(1, 9, M).astype(np.float32)
    around = Surroundings.of(PARTS, weight, colors)
    pool = pool_of(PARTS, Asked([ON, OFF], [1, 0], BOX), network())
    features = features_of(pool, PARTS, around)
    step = np.abs(colors[PARTS.start] - colors[PARTS.end]).mean(1)
    probability = 1 / (1 + np.exp(-pool.network.logits))
    points = POINTS - POINTS.mean(0)
    for mask, row in zip(pool.masks, features, strict=True):
        one, other = mask[PARTS.start], mask[PARTS.end]
        crossing, within = one ^ other, one & other
        assert row[1] == pytest.approx(np.log(weight[mask].sum() / weight.sum() + 1e-4), rel=1e-4)
        assert row[8] == pytest.approx(step[crossing].sum() / (crossing.sum() + 1), abs=1e-4)
        assert row[9] == pytest.approx(step[within].sum() / (within.sum() + 1), abs=1e-4)
        shared = weight[mask] @ probability[:, mask].T
        soft = shared / (weight[mask].sum() + probability @ weight - shared)
        assert row[16] == pytest.approx(soft.max(), abs=1e-4)
        away = np.linalg.norm(points - points[ON], axis=1)
        extent = np.sqrt(np.square(points[mask] - points[mask].mean(0)).sum(1).mean())
        assert row[37] == pytest.approx(away[~mask].min() / extent, rel=1e-3)
