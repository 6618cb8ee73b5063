"""How candidates of a pool stand to each other: alike, inside, around."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsam_model.quality.nesting import FEATURES, HELD, SAME, STEP, Sums, nesting

ALL, PARTS, OTHERS, LOWEST, HIGHEST = range(5)
INNER, OUTER = slice(5, 9), slice(9, 13)  # how much, how unlike, how much less probable, any


def sums_of(masks, weight, probability=None, colors=None):
    """The direct way."""
    masks = np.asarray(masks, np.float64)
    shared = (masks * weight) @ masks.T
    own = masks @ weight
    probability = np.zeros(len(weight)) if probability is None else probability
    colors = np.zeros((len(weight), 3)) if colors is None else colors
    return Sums(
        own,
        shared,
        shared / np.maximum(own[:, None] + own - shared, 1),
        masks @ (weight * probability),
        masks @ (weight[:, None] * colors),
    )


def told(masks, **more):
    masks = np.asarray(masks)
    c, m = masks.shape
    part = more.pop("part", np.ones(c, np.bool_))
    height = np.arange(c) / 10
    columns = nesting(sums_of(masks, np.ones(m), **more), part, height, height + 0.1)
    return np.stack(columns, 1)


def chain(*sizes, of=100):
    return np.array([np.arange(of) < size for size in sizes])


def test_slivers_of_one_candidate_count_as_one_where_candidates_agree():
    once = told(chain(40, 100))
    often = told(chain(40, 97, 98, 99, 100))
    assert once[0, ALL] == pytest.approx(0.7)
    assert often[0, ALL] == pytest.approx(once[0, ALL], abs=0.01)
    assert often[-1, ALL] == pytest.approx(once[-1, ALL], abs=0.01)


def test_a_candidate_that_stays_over_a_wide_span_of_borders_shows_it():
    span = np.diff(told(chain(40, 97, 98, 99, 100))[:, LOWEST : HIGHEST + 1])[:, 0]
    assert span[0] == pytest.approx(0.1)
    assert span[1:] == pytest.approx(0.4)


def test_what_is_no_part_and_like_none_has_no_span():
    masks = np.array([np.arange(100) < 40, np.arange(100) >= 70])
    numbers = told(masks, part=np.array([True, False]))
    assert numbers[1, LOWEST] == numbers[1, HIGHEST] == 0


def test_the_next_larger_one_adds_what_looks_alike_or_not():
    colors = np.where(np.arange(100)[:, None] < 60, 0.2, 0.9) * np.ones(3)
    probability = np.where(np.arange(100) < 60, 0.9, 0.1)
    small, middle, large = told(chain(30, 60, 100), colors=colors, probability=probability)
    assert small[INNER] == pytest.approx([0, 0, 0, 0])
    assert small[OUTER] == pytest.approx([np.log(2), 0, 0, 1])
    assert middle[INNER] == pytest.approx([np.log(2), 0, 0, 1])
    assert middle[OUTER] == pytest.approx([np.log(10 / 6), 0.7, 0.8, 1])
    assert large[INNER] == pytest.approx([np.log(10 / 6), 0.7, 0.8, 1])
    assert large[OUTER] == pytest.approx([0, 0, 0, 0])


def test_a_step_is_over_slivers():
    numbers = told(chain(50, 52, 54, 100))
    assert numbers[0, OUTER][0] == pytest.approx(np.log(2))
    assert numbers[3, INNER][0] == pytest.approx(np.log(100 / 54))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(3, 60), st.integers(0, 2**31 - 1))
def test_the_numbers_are_those_of_the_direct_way(c, m, seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((c, m)) < rng.random((c, 1))
    masks[:, 0] = True
    weight = rng.integers(1, 9, m).astype(np.float64)
    probability, colors, part = rng.random(m), rng.random((m, 3)), rng.random(c) < 0.5
    height = rng.random(c)
    numbers = np.stack(
        nesting(sums_of(masks, weight, probability, colors), part, height, height + 0.1), 1
    )
    assert numbers.shape == (c, FEATURES) and np.isfinite(numbers).all()

    def size(mask):
        return weight[mask].sum()

    def iou(a, b):
        return size(a & b) / max(size(a | b), 1)

    for one, mask in enumerate(masks):
        groups = [1 / sum(iou(each, like) >= SAME for like in masks) for each in masks]
        mean = sum(g * iou(mask, each) for g, each in zip(groups, masks, strict=True)) / sum(groups)
        assert numbers[one, ALL] == pytest.approx(mean)
        larger = [
            each
            for each in masks
            if size(each & mask) >= HELD * size(mask) and size(each) >= STEP * size(mask)
        ]
        assert numbers[one, OUTER][3] == bool(larger)
        if larger:
            least = min(size(each) for each in larger)
            assert numbers[one, OUTER][0] == pytest.approx(np.log(least / size(mask)))
