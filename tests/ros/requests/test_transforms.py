"""`transforms`: clicks of another coordinate frame are brought into the cloud's, or refused."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from forked_nodes import ForkedNode
from frame_tree import Tree
from geometry_msgs.msg import Point, Pose, TransformStamped, Vector3
from node_process import RANDOM_MODEL, TINY, Client
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from pointsam_interfaces.msg import ObjectBox
from pointsam_interfaces.srv import SegmentPrompts
from pointsam_model import Box, Predictor, load_model
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.clouds.cloud_store import CloudStore, StoredCloud
from pointsam_ros.codes import Code
from pointsam_ros.config import LimitSettings, NodeConfig
from pointsam_ros.health.tally import Tally
from pointsam_ros.outputs.answers import Answer
from pointsam_ros.outputs.mask_msgs import quaternion
from pointsam_ros.refusal import Refusal
from pointsam_ros.requests import clicks as requests
from pointsam_ros.requests.transforms import (
    Gap,
    Lookup,
    MissingTransform,
    NoTransformError,
    Transform,
    WithoutTf2,
    in_frame,
    lookup_for,
)
from pointsam_ros.work.segmenter import Segmenter
from pointsam_ros.work.tracks import Tracks

SECOND = 10**9
TURN = Rotation.from_euler("xyz", [0.3, -0.5, 1.0])
SHIFT = np.array([1.0, -2.0, 0.5])
POSE = Transform(TURN.as_matrix(), SHIFT)
POINTS = np.random.default_rng(3).normal(size=(5, 3))


@pytest.fixture
def tree() -> Tree:
    """camera -> base -> map, where the base drives and the camera is mounted; and another tree."""
    made = Tree()
    for second in (10, 20, 30):
        drive = Rotation.from_euler("z", 0.1 * second).as_matrix()
        made.put("map", "base", Transform(drive, np.array([second, 0.0, 0.0])), second * SECOND)
    made.put("base", "camera", POSE)
    made.put("dock", "charger", POSE)
    return made


def test_a_quaternion_of_any_length_is_its_rotation() -> None:
    transform = Transform.from_quaternion(3 * TURN.as_quat(), SHIFT)
    np.testing.assert_allclose(transform(POINTS), TURN.apply(POINTS) + SHIFT, atol=1e-12)


@pytest.mark.parametrize("source", ["", "camera", "/camera"])
def test_clicks_in_the_clouds_own_frame_stay_as_they_are(source: str) -> None:
    assert in_frame(POINTS, source, "camera", 0, WithoutTf2()) is POINTS


def test_clicks_go_where_the_frames_were_at_the_clouds_time(tree: Tree) -> None:
    moved = in_frame(POINTS, "map", "/camera", 12 * SECOND, tree)
    in_base = Rotation.from_euler("z", 1.2).inv().apply(POINTS - [12.0, 0.0, 0.0])
    np.testing.assert_allclose(moved, TURN.inv().apply(in_base - SHIFT), atol=1e-9)


def test_clicks_for_a_cloud_without_a_frame_are_refused(tree: Tree) -> None:
    with pytest.raises(Refusal, match="empty frame_id") as caught:
        in_frame(POINTS, "base", "", 0, tree)
    assert caught.value.code == Code.NO_TRANSFORM
    assert not tree.asked


def test_without_tf2_the_refusal_says_how_to_get_it_and_nobody_waits() -> None:
    with pytest.raises(Refusal, match=r"tf2_ros is not installed.*in 'camera'") as caught:
        in_frame(POINTS, "base", "camera", 0, WithoutTf2())
    assert caught.value.code == Code.NO_TRANSFORM
    assert not isinstance(caught.value, MissingTransform)


@pytest.mark.parametrize(
    ("source", "second", "reason"),
    [
        ("gripper", 20, r"'gripper'.*20\.0.*nobody publishes.*broadcaster.*\"gripper\" does not"),
        ("dock", 20, "'dock'.*no chain of transforms joins them.*missing"),
        ("map", 31, r"'map'.*31\.0.*not at the time of the cloud.*raise transforms.timeout_s.*fut"),
        ("map", 9, r"'map'.*9\.0.*not at the time of the cloud.*ask sooner.*into the past"),
    ],
)
def test_each_reason_has_its_own_words_and_remedy(
    tree: Tree, source: str, second: int, reason: str
) -> None:
    with pytest.raises(MissingTransform, match=reason) as caught:
        in_frame(POINTS, source, "camera", second * SECOND, tree)
    assert caught.value.code == Code.NO_TRANSFORM
    assert "give the clicks in 'camera'" in caught.value.message


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
    store.add(cloud_of_second(20), retain=3)
    tally, silent = Tally(), lambda _: None
    tracks = Tracks(predictor, store, NodeConfig, lookup, tally, silent)
    return Segmenter(
        predictor, store, NodeConfig, lambda: 20 * SECOND, lookup, tally, silent, silent, tracks
    )


def cloud_of_second(second: int) -> StoredCloud:
    source = Header(frame_id="camera")
    source.stamp.sec = second
    return StoredCloud.from_msg(cloud_msgs.write(source, XYZ), second * SECOND, LimitSettings())


def request_of(click: np.ndarray, header: Header) -> SegmentPrompts.Request:
    point = Point(**dict(zip("xyz", map(float, click), strict=True)))
    return SegmentPrompts.Request(header=header, points=[point])


def answered(predictor: Predictor, lookup: Lookup, click: np.ndarray, header: Header) -> Answer:
    """A click on the cloud of second 20."""
    segmenter = segmenter_of_one_cloud(predictor, lookup)
    return segmenter.answer(segmenter.prepare(request_of(click, header)))


def test_a_click_in_another_frame_segments_what_it_points_at(
    predictor: Predictor, tree: Tree
) -> None:
    click = XYZ[100].astype(np.float64)
    there = TURN.apply(click) + SHIFT  # the same place, told in `base`
    moved = answered(predictor, tree, there, Header(frame_id="base"))
    direct = answered(predictor, tree, click, Header())
    np.testing.assert_array_equal(moved.found[0].instance.indices, direct.found[0].instance.indices)
    assert tree.asked == [("camera", "base", 20 * SECOND)]


def test_a_box_in_another_frame_holds_what_it_holds_in_the_clouds(
    predictor: Predictor, tree: Tree
) -> None:
    here = Box(XYZ[100], (0.5, 0.4, 0.6), Rotation.from_euler("z", 0.4).as_matrix())
    there = POSE.of_box(here)  # the same place, told in `base`
    np.testing.assert_array_equal(there.contains(POSE(XYZ.astype(float))), here.contains(XYZ))
    segmenter = segmenter_of_one_cloud(predictor, tree)
    answers = []
    for box, frame in ((there, "base"), (here, "")):
        pose = Pose(
            position=Point(**dict(zip("xyz", box.center.tolist(), strict=True))),
            orientation=quaternion(box.orientation),
        )
        size = Vector3(**dict(zip("xyz", box.size.tolist(), strict=True)))
        request = SegmentPrompts.Request(
            header=Header(frame_id=frame), boxes=[ObjectBox(pose=pose, size=size)]
        )
        answers.append(segmenter.answer(segmenter.prepare(request)))
    moved, direct = (each.found[0].instance.indices for each in answers)
    np.testing.assert_array_equal(moved, direct)


def test_a_point_published_in_rvizs_fixed_frame_is_transformed_at_the_clouds_time(
    predictor: Predictor, tree: Tree
) -> None:
    segmenter = segmenter_of_one_cloud(predictor, tree)
    click = XYZ[100].astype(np.float64)
    request = request_of(TURN.apply(click) + SHIFT, Header(frame_id="base"))
    moved = segmenter.click(requests.parse(request, LimitSettings()), segmenter.newest())
    direct = answered(predictor, tree, click, Header())
    np.testing.assert_array_equal(moved.found[0].instance.indices, direct.found[0].instance.indices)
    assert [stamp for _, _, stamp in tree.asked] == [20 * SECOND]


def test_a_session_goes_on_in_another_frame_when_its_transform_is_long_forgotten(
    predictor: Predictor, tree: Tree
) -> None:
    segmenter = segmenter_of_one_cloud(predictor, tree)
    clicks = [tree("map", "camera", 20 * SECOND)(XYZ[[row]])[0] for row in (100, 900, 1700)]
    requested, clicked = [], []
    tree.asked.clear()
    for click in clicks:
        request = request_of(click, Header(frame_id="map"))
        parsed = requests.parse(request, LimitSettings())
        clicked.append(segmenter.click(parsed, segmenter.newest()))
        request.session = "cup"
        requested.append(segmenter.answer(segmenter.prepare(request)))
        tree.forget()
        assert len(tree.asked) == 2, "once for each of the two"
    for by_click, by_request in zip(clicked, requested, strict=True):
        (one,), (other,) = by_click.found, by_request.found
        np.testing.assert_array_equal(one.instance.indices, other.instance.indices)
    with pytest.raises(MissingTransform):
        segmenter.answer(segmenter.prepare(request_of(clicks[0], Header(frame_id="map"))))


def test_a_request_that_waits_for_its_transform_stays_on_its_cloud(predictor: Predictor) -> None:
    late = Tree()
    segmenter = segmenter_of_one_cloud(predictor, late)
    click = XYZ[100].astype(np.float64)
    question = segmenter.prepare(request_of(TURN.apply(click) + SHIFT, Header(frame_id="base")))
    with pytest.raises(MissingTransform):
        segmenter.answer(question)
    segmenter._store.add(cloud_of_second(21), retain=3)
    late.put("base", "camera", POSE)
    assert segmenter.answer(question).cloud.stamp_ns == 20 * SECOND


# The adapter to tf2_ros.


@pytest.fixture
def hear(tf2: ModuleType) -> tuple[Lookup, Callable[[TransformStamped], None]]:
    """The node's lookup, and what its subscription to /tf calls."""
    called: dict[str, Callable[[TransformStamped], None]] = {}

    def create_subscription(kind: type, topic: str, callback: Any, *_: Any, **__: Any) -> None:
        called[topic] = callback

    lookup = lookup_for(SimpleNamespace(create_subscription=create_subscription))  # type: ignore[arg-type]
    return lookup, called["/tf"]


def test_where_tf2_is_installed_it_is_asked(tf2: Any, hear: Any) -> None:
    lookup, told = hear
    told(tf2.message("camera", "base", POSE, 7 * SECOND))
    moved = in_frame(POINTS, "base", "camera", 7 * SECOND, lookup)
    np.testing.assert_allclose(moved, TURN.apply(POINTS) + SHIFT, atol=1e-12)


def test_each_of_tf2s_errors_is_told_apart(tf2: Any, hear: Any) -> None:
    lookup, told = hear
    told(tf2.message("camera", "base", POSE, 7 * SECOND))
    told(tf2.message("dock", "charger", POSE, 7 * SECOND))
    for source, second, gap in (
        ("gripper", 7, Gap.UNKNOWN_FRAME),
        ("charger", 7, Gap.DISCONNECTED),
        ("charger", 30, Gap.DISCONNECTED),  # tf2 says that it is not known at that time
        ("base", 8, Gap.OTHER_TIME),
        ("/base", 7, Gap.OTHER),
    ):
        with pytest.raises(NoTransformError) as caught:
            lookup("camera", source, second * SECOND)
        assert caught.value.gap == gap and str(caught.value)


def test_before_1970_there_is_no_transform(tf2: Any, hear: Any) -> None:
    lookup, told = hear
    told(tf2.message("camera", "base", POSE, 7 * SECOND))
    with pytest.raises(NoTransformError, match="1970") as caught:
        lookup("camera", "base", -SECOND)
    assert caught.value.gap == Gap.OTHER_TIME


def test_the_newest_transform_tells_its_own_time(tf2: Any, hear: Any) -> None:
    lookup, told = hear
    for second in (7, 9):
        told(tf2.message("camera", "base", POSE, second * SECOND))
    assert lookup("camera", "base", 8 * SECOND).stamp_ns == 8 * SECOND
    assert lookup("camera", "base", 0).stamp_ns == 9 * SECOND


def test_when_time_jumps_back_moving_frames_are_forgotten(tf2: Any, hear: Any) -> None:
    lookup, told = hear
    told(tf2.message("camera", "base", POSE, 70 * SECOND))
    lookup.forget()
    told(tf2.message("camera", "base", POSE, 7 * SECOND))
    lookup("camera", "base", 7 * SECOND)
    with pytest.raises(NoTransformError, match="future"):
        lookup("camera", "base", 70 * SECOND)


def test_where_tf2_is_not_installed_the_node_works_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    assert isinstance(lookup_for(SimpleNamespace()), WithoutTf2)  # type: ignore[arg-type]


# Waiting, in the node.


@pytest.fixture
def tf2_client(start: Callable[..., tuple[ForkedNode, Client]], tf2: Any) -> Client:
    """A client of a node that has the stand-in of tf2, and waits long for transforms."""
    _, client = start(transforms__timeout_s=10.0, limits__max_pending=3)
    client.wait_until_ready()
    return client


@pytest.mark.dds
def test_while_requests_wait_for_transforms_others_are_answered_and_a_flood_is_refused(
    tf2_client: Client, tf2: Any
) -> None:
    client = tf2_client
    cloud = client.cloud(XYZ)
    elsewhere = Header(frame_id="base", stamp=cloud.header.stamp)
    there = TURN.inv().apply(XYZ[100].astype(np.float64) - SHIFT)
    waiting = [client.begin([there], header=elsewhere, cloud=cloud) for _ in range(3)]
    client.settle(0.5)
    started = time.monotonic()
    assert client.ask([XYZ[100]], cloud=cloud).code == Code.OK
    client.check_refused(
        Code.NO_TRANSFORM, "nobody publishes", [there], header=elsewhere, cloud=cloud
    )
    assert time.monotonic() - started < 10.0
    assert not any(answer.done() for answer in waiting)
    broadcaster = client.node.create_publisher(TransformStamped, "/tf", 10)
    client.wait_for(broadcaster.get_subscription_count, "subscription to /tf")
    stamp_ns = cloud.header.stamp.sec * SECOND + cloud.header.stamp.nanosec
    broadcaster.publish(tf2.message("camera", "base", POSE, stamp_ns))
    for answer in waiting:
        client.wait_for(answer.done, "answer")
        assert answer.result().code == Code.OK, answer.result().message
    assert not client.set(transforms__timeout_s=0.3)
    client.check_refused(
        Code.NO_TRANSFORM, "not at the time of the cloud", [there],
        header=Header(frame_id="base"), cloud=client.cloud(XYZ),
    )  # fmt: skip


@pytest.mark.dds
def test_a_request_that_waits_for_its_transform_is_answered_when_the_node_ends(
    start: Callable[..., tuple[ForkedNode, Client]], tf2: Any
) -> None:
    node, client = start(transforms__timeout_s=10.0)
    client.wait_until_ready()
    waiting = client.begin([XYZ[0]], header=Header(frame_id="base"), cloud=client.cloud(XYZ))
    client.settle(1.0)
    assert not waiting.done()
    assert node.end() == 0
    client.wait_for(waiting.done, "answer")
    assert waiting.result().code == Code.NOT_READY
