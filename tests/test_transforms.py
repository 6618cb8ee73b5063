"""`transforms`: clicks of another coordinate frame are brought into the cloud's, or refused."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import Point, TransformStamped
from node_process import RANDOM_MODEL, TINY
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from pointsam_interfaces.srv import SegmentPrompts
from pointsam_model import Predictor, load_model
from pointsam_ros import cloud_msgs, requests
from pointsam_ros.cloud_store import CloudStore, StoredCloud
from pointsam_ros.config import LimitSettings, NodeConfig
from pointsam_ros.diagnostics import Tally
from pointsam_ros.refusal import Code, Refusal
from pointsam_ros.segmenter import Answer, Segmenter
from pointsam_ros.transforms import Lookup, Transform, in_frame, lookup_for, without_tf2

TURN = Rotation.from_euler("xyz", [0.3, -0.5, 1.0])
SHIFT = np.array([1.0, -2.0, 0.5])
POINTS = np.random.default_rng(3).normal(size=(5, 3))


class Tree:
    """A tree of one edge: `base` -> `camera`, known from second 10 on."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int, float]] = []

    def __call__(self, target: str, source: str, stamp_ns: int, timeout_s: float) -> Transform:
        self.asked.append((target, source, stamp_ns, timeout_s))
        if (target, source) != ("camera", "base") or stamp_ns < 10 * 10**9:
            raise Refusal(Code.NO_TRANSFORM, f"no way from {source} to {target} at {stamp_ns}")
        return Transform(TURN.as_matrix(), SHIFT)


def test_a_quaternion_of_any_length_is_its_rotation() -> None:
    transform = Transform.from_quaternion(3 * TURN.as_quat(), SHIFT)
    np.testing.assert_allclose(transform(POINTS), TURN.apply(POINTS) + SHIFT, atol=1e-12)


@pytest.mark.parametrize("source", ["", "camera", "/camera"])
def test_clicks_in_the_clouds_own_frame_stay_as_they_are(source: str) -> None:
    assert in_frame(POINTS, source, "camera", 0, 0.0, without_tf2) is POINTS


def test_clicks_for_a_cloud_without_a_frame_are_refused() -> None:
    with pytest.raises(Refusal, match="empty frame_id") as caught:
        in_frame(POINTS, "base", "", 0, 0.0, Tree())
    assert caught.value.code == Code.NO_TRANSFORM


def test_without_tf2_the_refusal_says_how_to_get_it() -> None:
    with pytest.raises(Refusal, match=r"tf2_ros is not installed.*in 'camera'") as caught:
        in_frame(POINTS, "base", "camera", 0, 0.0, without_tf2)
    assert caught.value.code == Code.NO_TRANSFORM


with np.load(TINY / "raw_input.npz", allow_pickle=False) as raw:
    XYZ = raw["raw_xyz"].astype(np.float32)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(
        load_model(RANDOM_MODEL["model.preset"], RANDOM_MODEL["model.checkpoint"], device="cpu")
    )


def segmenter_of_one_cloud(predictor: Predictor, lookup: Lookup) -> Segmenter:
    """It knows the cloud of second 20."""
    store = CloudStore("/points")
    source = Header(frame_id="camera")
    source.stamp.sec = 20
    store.add(StoredCloud.from_msg(cloud_msgs.write(source, XYZ), 20 * 10**9, 10_000), retain=3)
    return Segmenter(
        predictor, store, NodeConfig, lambda: 20 * 10**9, lookup, Tally(), lambda _: None
    )


def request_of(click: np.ndarray, header: Header) -> SegmentPrompts.Request:
    point = Point(**dict(zip("xyz", map(float, click), strict=True)))
    return SegmentPrompts.Request(header=header, points=[point])


def answered(predictor: Predictor, lookup: Lookup, click: np.ndarray, header: Header) -> Answer:
    """A click on the cloud of second 20."""
    segmenter = segmenter_of_one_cloud(predictor, lookup)
    return segmenter.answer(segmenter.prepare(request_of(click, header)))


def test_a_click_in_another_frame_segments_what_it_points_at(predictor: Predictor) -> None:
    tree = Tree()
    click = XYZ[100].astype(np.float64)
    there = TURN.inv().apply(click - SHIFT)  # the same place, told in `base`
    moved = answered(predictor, tree, there, Header(frame_id="base"))
    direct = answered(predictor, tree, click, Header())
    np.testing.assert_array_equal(moved.found[0].instance.indices, direct.found[0].instance.indices)
    assert tree.asked == [("camera", "base", 20 * 10**9, NodeConfig().transforms.timeout_s)]


def test_a_point_published_in_rvizs_fixed_frame_is_transformed_at_the_clouds_time(
    predictor: Predictor,
) -> None:
    tree = Tree()
    segmenter = segmenter_of_one_cloud(predictor, tree)
    click = XYZ[100].astype(np.float64)
    request = request_of(TURN.inv().apply(click - SHIFT), Header(frame_id="base"))
    moved = segmenter.click(requests.parse(request, LimitSettings()), segmenter.newest())
    direct = answered(predictor, tree, click, Header())
    np.testing.assert_array_equal(moved.found[0].instance.indices, direct.found[0].instance.indices)
    assert [stamp for _, _, stamp, _ in tree.asked] == [20 * 10**9]


def test_a_frame_that_the_tree_does_not_know_is_refused(predictor: Predictor) -> None:
    with pytest.raises(Refusal, match="no way from gripper") as caught:
        answered(predictor, Tree(), XYZ[100], Header(frame_id="gripper"))
    assert caught.value.code == Code.NO_TRANSFORM


@pytest.fixture
def tf2(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module with the part of tf2_ros's interface that the adapter uses."""

    class TransformException(Exception):
        pass

    class Buffer:
        def lookup_transform(self, target: str, source: str, at: Any, timeout: Any) -> Any:
            if source != "base":
                raise TransformException(f'"{source}" passed to lookupTransform does not exist')
            found = TransformStamped()
            turn = found.transform.rotation
            turn.x, turn.y, turn.z, turn.w = (float(value) for value in TURN.as_quat())
            shift = found.transform.translation
            shift.x, shift.y, shift.z = (float(value) for value in SHIFT)
            self.asked = (target, source, at.nanoseconds, timeout.nanoseconds)
            return found

    module = ModuleType("tf2_ros")
    module.Buffer = Buffer  # type: ignore[attr-defined]
    module.TransformListener = lambda buffer, node: SimpleNamespace()  # type: ignore[attr-defined]
    module.TransformException = TransformException  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tf2_ros", module)
    return module


def test_where_tf2_is_installed_it_is_asked(tf2: ModuleType) -> None:
    lookup = lookup_for(SimpleNamespace())  # type: ignore[arg-type]
    moved = in_frame(POINTS, "base", "camera", 7 * 10**9, 0.25, lookup)
    np.testing.assert_allclose(moved, TURN.apply(POINTS) + SHIFT, atol=1e-12)


def test_what_tf2_does_not_know_is_refused_with_its_words(tf2: ModuleType) -> None:
    lookup = lookup_for(SimpleNamespace())  # type: ignore[arg-type]
    with pytest.raises(Refusal, match=r'"gripper" passed.*give the clicks in .camera') as caught:
        in_frame(POINTS, "gripper", "camera", 0, 0.25, lookup)
    assert caught.value.code == Code.NO_TRANSFORM


def test_where_tf2_is_not_installed_the_node_works_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    assert lookup_for(SimpleNamespace()) is without_tf2  # type: ignore[arg-type]
