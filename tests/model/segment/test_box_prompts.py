"""Boxes as prompts: what is one, and which points it holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pointsam_model import Box, PromptError, oriented_box

QUARTER = np.sqrt(0.5)  # of a turn about an axis, as quaternion


def test_two_corners_are_a_box_along_the_axes_in_whatever_order() -> None:
    box = Box.of(((0.1, 0.5, 1.0), (0.3, 0.2, 2.0)))
    np.testing.assert_allclose(box.center, [0.2, 0.35, 1.5])
    np.testing.assert_allclose(box.size, [0.2, 0.3, 1.0])
    np.testing.assert_array_equal(box.orientation, np.eye(3))
    flat = Box.of([0.1, 0.5, 1.0, 0.3, 0.2, 2.0])
    np.testing.assert_array_equal(flat.center, box.center)
    assert Box.of(box) is box


def test_a_box_holds_what_lies_between_its_faces_and_on_them() -> None:
    box = Box((1, 2, 3), (0.2, 0.4, 0.6))
    inside = np.array([[1, 2, 3], [1.1, 2.2, 3.3], [0.9, 1.8, 2.7]])
    outside = np.array([[1.11, 2, 3], [1, 2.21, 3], [1, 2, 2.69], [np.nan, 2, 3], [np.inf, 2, 3]])
    assert box.contains(inside).all()
    assert not box.contains(outside).any()
    np.testing.assert_allclose(box.distance(outside[:2]), [0.01, 0.01], atol=1e-12)
    assert box.distance(inside)[0] == 0


def test_a_rotation_and_its_quaternion_turn_a_box_alike() -> None:
    along = Box((0, 0, 0), (2, 0.2, 0.2), (0, 0, QUARTER, QUARTER))  # the long side along y
    assert along.contains(np.array([[0, 0.9, 0]])).all()
    assert not along.contains(np.array([[0.9, 0, 0]])).any()
    turn = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    turned = Box((0, 0, 0), (2, 1, 1), turn)
    np.testing.assert_allclose(turned.orientation, along.orientation, atol=1e-12)
    np.testing.assert_allclose(
        Box((0, 0, 0), (2, 1, 1), (0, 0, 3e200, 3e200)).orientation, along.orientation, atol=1e-12
    )


def test_the_box_of_an_instance_is_a_prompt_that_holds_its_points() -> None:
    points = np.random.default_rng(0).normal(size=(200, 3)) * [0.3, 0.1, 0.05] + [1, 2, 3]
    box = Box.of(oriented_box(points))
    assert np.count_nonzero(box.contains(points)) >= 198  # but for rounding of the outermost


def test_boxes_far_from_the_origin_keep_their_faces() -> None:
    away = np.array([448_000, 5_400_000, 110.0])
    box = Box(away, (0.1, 0.1, 0.1))
    held = box.contains(away + np.array([[0.049, 0, 0], [0.051, 0, 0]]))
    assert held.tolist() == [True, False]


@pytest.mark.parametrize(
    ("center", "size", "orientation", "message"),
    [
        ((0, 0), (1, 1, 1), None, r"center of a box is \[0\.0, 0\.0\].*three finite"),
        ((0, 0, np.nan), (1, 1, 1), None, "center of a box is .*nan.*three finite"),
        ("here", (1, 1, 1), None, "center of a box must be three numbers"),
        ((0, 0, 0), (1, 0, 1), None, r"size of a box is \[1\.0, 0\.0, 1\.0\]; each .* above 0 m"),
        ((0, 0, 0), (1, -1, 1), None, "above 0 m"),
        ((0, 0, 0), (1, np.inf, 1), None, "size .* finite"),
        ((0, 0, 0), (1, 1, 1), (0, 0, 0, 0), r"length 0; give \(0, 0, 0, 1\)"),
        ((0, 0, 0), (1, 1, 1), (0, 0, 1), r"shape \(3,\)"),
        ((0, 0, 0), (1, 1, 1), np.full((3, 3), np.nan), "finite rotation"),
        ((0, 0, 0), (1, 1, 1), np.eye(3) * 2, "must be a rotation"),
        ((0, 0, 0), (1, 1, 1), np.diag([1, 1, -1]), "right-handed"),
    ],
)
def test_what_is_no_box_is_refused_with_what_is_right(
    center: Any, size: Any, orientation: Any, message: str
) -> None:
    with pytest.raises(PromptError, match=message):
        Box(center, size, orientation)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (((0, 0, 0),), r"shape \(1, 3\); a box is a Box"),
        ("a box", "the box is invalid"),
        (((0, 0, 0), (1, np.nan, 1)), "finite"),
        (((0, 0, 0), (1, 0, 1)), "above 0 m"),
    ],
)
def test_corners_of_no_box_are_refused(box: Any, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Box.of(box)
