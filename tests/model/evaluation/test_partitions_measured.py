"""The partitions that the network is measured beside: along concave edges, and ours alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pointsam_model import Cloud, Prompt
from pointsam_model.evaluation import (
    LabelledCloud,
    Method,
    evaluate_cloud,
    evaluate_proposals,
    iou,
    sources,
)
from pointsam_model.evaluation.baselines.concave_parts import ConcaveParts
from pointsam_model.evaluation.baselines.geometry_alone import GeometryAlone

TABLE, SIDE, TOP = 0, 1, 2
CLICKED = {TABLE: (0.0, 0.0, 1.0), SIDE: (0.2, 0.0, 0.95), TOP: (0.25, 0.0, 0.9)}


def box_on_a_table() -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A table 1 m below a camera at the origin and a box of 10 cm on it, whose left side and top
    the camera sees: points (n,3) [m], and which surface each is of."""

    def grid(*ranges: tuple[float, float]) -> list[NDArray[np.float64]]:
        axes = np.meshgrid(*(np.arange(low, high, 0.005) for low, high in ranges))
        return [axis.ravel() for axis in axes]

    x, y = grid((-0.3, 0.5), (-0.3, 0.3))
    shadow = (x > 0.2) & (x < 0.335) & (np.abs(y) < 0.056)
    table = np.stack([x, y, np.ones_like(x)], axis=1)[~shadow]
    y, z = grid((-0.05, 0.05), (0.9025, 1.0))
    side = np.stack([np.full_like(y, 0.2), y, z], axis=1)
    x, y = grid((0.2, 0.3), (-0.05, 0.05))
    top = np.stack([x, y, np.full_like(x, 0.9)], axis=1)
    surfaces = (table, side, top)
    rng = np.random.default_rng(0)
    xyz = np.concatenate(surfaces) + rng.normal(0, 2e-4, (sum(map(len, surfaces)), 3))
    return xyz.astype(np.float32), np.repeat((TABLE, SIDE, TOP), [len(each) for each in surfaces])


def labelled() -> LabelledCloud:
    xyz, surface = box_on_a_table()
    return LabelledCloud(xyz, None, 1, len(xyz), "box", instance=(surface > TABLE).astype(np.int32))


def clicked(method: Any, cloud: Cloud, *points: tuple[float, float, float]) -> NDArray[np.bool_]:
    """The mask of clicks on an object."""
    (answer,) = method.segment(method.embed(cloud), [Prompt(np.array(points))])
    return np.asarray(answer.masks[0])


@pytest.mark.parametrize("method", [ConcaveParts(), GeometryAlone()])
def test_a_box_is_one_part_and_ends_where_it_meets_the_table(method: Any) -> None:
    xyz, surface = box_on_a_table()
    cloud = Cloud(xyz, viewpoint=(0, 0, 0))
    every = np.ones(len(xyz), dtype=bool)
    for part in (SIDE, TOP):
        assert iou(clicked(method, cloud, CLICKED[part]), surface > TABLE, every) > 0.92
    assert iou(clicked(method, cloud, CLICKED[TABLE]), surface == TABLE, every) > 0.98


def test_seen_from_below_the_box_is_a_hole_and_its_edges_change_places() -> None:
    """The rule is about concave edges: what is convex from one side is concave from the other."""
    xyz, surface = box_on_a_table()
    below = Cloud(xyz, viewpoint=(0, 0, 2))
    every = np.ones(len(xyz), dtype=bool)
    top = clicked(ConcaveParts(), below, CLICKED[TOP])
    assert iou(top, surface == TOP, every) > 0.85, "its rim is concave from there"


def test_without_a_sensor_every_bend_ends_a_part() -> None:
    xyz, surface = box_on_a_table()
    below = xyz + np.float32((0, 0, 0.5))  # no place sees it through the table
    cloud = Cloud(np.concatenate([xyz, below]))
    assert cloud.sensor is None
    top = clicked(ConcaveParts(), cloud, CLICKED[TOP])
    of_top = np.concatenate([surface == TOP, np.zeros(len(xyz), dtype=bool)])
    assert iou(top, of_top, np.ones(len(of_top), dtype=bool)) > 0.85


def test_a_gap_ends_a_part_where_nothing_is_concave() -> None:
    xyz, surface = box_on_a_table()
    x, y = xyz[:, 0], xyz[:, 1]
    near = (surface == TABLE) & (np.abs(y) < 0.15)
    # Of so few points the nearest ones are across the gap.
    patch = (x > 0.04) & (x < 0.053) & (np.abs(y) < 0.008)
    cloud = Cloud(xyz[near & ((x < 0) | patch)], viewpoint=(0, 0, 0))
    assert 4 <= np.count_nonzero(cloud.xyz[:, 0] > 0) <= 12
    mask = clicked(ConcaveParts(), cloud, (0.045, 0.0, 1.0))
    assert np.array_equal(mask, cloud.xyz[:, 0] > 0)


@pytest.mark.parametrize("method", [ConcaveParts(), GeometryAlone()])
def test_parts_are_proposals_each_once(method: Any) -> None:
    cloud = labelled()
    result = evaluate_proposals(method, cloud)
    assert result.best_iou[1] > 0.95
    found = [each.indices.tobytes() for each in method.generate(cloud.as_seen())]
    assert len(found) == len(set(found)) == result.proposals
    assert result.seconds > 0


def test_points_that_the_sensor_did_not_see_are_in_no_part() -> None:
    xyz, _ = box_on_a_table()
    xyz[::7] = np.nan
    xyz[3::7] = np.finfo(np.float32).max
    cloud = Cloud(xyz, viewpoint=(0, 0, 0))
    for method in (ConcaveParts(), GeometryAlone()):
        mask = clicked(method, cloud, CLICKED[TABLE])
        assert mask.sum() > 0.8 * cloud.valid.sum() and not mask[~cloud.valid].any()
        for segment in method.generate(cloud):
            assert cloud.valid[segment.indices].all()


def test_far_from_the_origin_parts_are_the_same() -> None:
    xyz, surface = box_on_a_table()
    offset = np.array([5.5e5, 4.2e6, 300.0])
    cloud = Cloud(xyz.astype(np.float64) + offset, viewpoint=offset)
    every = np.ones(len(xyz), dtype=bool)
    for method in (ConcaveParts(), GeometryAlone()):
        click = tuple(np.array(CLICKED[TOP]) + offset)
        assert iou(clicked(method, cloud, click), surface > TABLE, every) > 0.92


def test_clicks_off_the_object_take_parts_away_from_geometry_alone() -> None:
    xyz, surface = box_on_a_table()
    cloud = Cloud(xyz, viewpoint=(0, 0, 0))
    method = GeometryAlone(border=1.1)  # a click takes everything that is connected
    parted = method.embed(cloud)
    clicks = np.array([CLICKED[TOP], CLICKED[TABLE]])
    all_of_it, without_table = method.segment(
        parted, [Prompt(clicks[:1]), Prompt(clicks, np.array([1, 0]))]
    )
    every = np.ones(len(xyz), dtype=bool)
    assert all_of_it.masks.all()
    assert iou(without_table.masks[0], surface > TABLE, every) > 0.9


def test_geometry_alone_obeys_clicks_on_generated_clutter() -> None:
    cloud = sources.generated("bin", 1, 3).read("bin 3")
    method = GeometryAlone()
    parted = method.embed(cloud.as_seen())
    for result in evaluate_cloud(method, cloud, clicks=4):
        rows, labels = (np.array(column) for column in zip(*result.clicks, strict=True))
        (answer,) = method.segment(parted, [Prompt(cloud.xyz[rows], labels)])
        kept = np.array(parted.kept.kept_at(cloud.xyz[rows]))
        apart = ~np.isin(kept, kept[labels == 0]) | (labels == 0)
        assert np.array_equal(answer.masks[0][rows[apart]], labels[apart] == 1)


def test_partitions_find_most_of_a_generated_tabletop() -> None:
    cloud = sources.generated("tabletop", 1, 3).read("tabletop 3")
    for pipeline in (ConcaveParts(), GeometryAlone()):
        method = Method("parts", pipeline, pipeline, clicks=1, color=False)
        method.measure(cloud)
        summary = method.summary()
        assert summary.objects >= 5 and summary.iou_at[1] > 0.4
        assert summary.recall is not None and summary.recall.ar50 > 0.5
        assert not summary.score, "its scores are no predicted IoUs"
