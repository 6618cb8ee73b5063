"""The node over real middleware, as a process of its own: what a planner and an operator see."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from forked_nodes import ForkedNode
from lifecycle_msgs.msg import Transition
from node_process import FAR, RANDOM_MODEL, TINY, Client
from rclpy.qos import DurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from pointsam_interfaces.msg import InstanceArray
from pointsam_model import Cloud, Predictor, Prompt, load_model
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.codes import Code

pytestmark = pytest.mark.dds

BEST_EFFORT = QoSReliabilityPolicy.BEST_EFFORT

LATCHED = QoSProfile(
    depth=1,
    reliability=QoSReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
Start = Callable[..., tuple[ForkedNode, Client]]

with np.load(TINY / "raw_input.npz", allow_pickle=False) as raw:
    XYZ = raw["raw_xyz"].astype(np.float32)
    RGB = raw["raw_rgb"].astype(np.uint8)
CLICKS = XYZ[[100, 900, 1700]]

# A model that is busy for seconds with a large cloud: time to interrupt it.
SLOW = {
    "reduction__max_points": 20_000,
    "predictor__num_patches": 2048,
    "predictor__patch_size": 256,
    "embed__mode": "on_prompt",
}


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """The same network in this process."""
    return Predictor(
        load_model(RANDOM_MODEL["model.preset"], RANDOM_MODEL["model.checkpoint"], device="cpu")
    )


def large_cloud(client: Client) -> PointCloud2:
    """640 x 480 points."""
    rows, columns = np.mgrid[:480, :640]
    z = 1 + 0.1 * np.sin(rows / 40) * np.cos(columns / 30)
    xyz = np.stack([(columns - 320) / 500 * z, (rows - 240) / 500 * z, z], axis=-1)
    return client.cloud(xyz.reshape(-1, 3).astype(np.float32), height=480)


def check_is_what_the_model_says(response: Any, predictor: Predictor, prompts: list) -> None:
    """Every object of the response is the best mask of the same prompt in this process."""
    embedding = predictor.embed(Cloud(XYZ, RGB))
    predictions = predictor.segment(embedding, prompts)
    assert len(response.result.instances) == len(prompts)
    for instance in response.result.instances:
        wanted = predictions[instance.object_id - 1].best()
        np.testing.assert_array_equal(instance.indices, np.flatnonzero(wanted.masks[0]))
        assert instance.score == pytest.approx(np.clip(wanted.scores[0], 0, 1), abs=1e-5)


# What is answered.


def test_the_latest_cloud_is_segmented_without_a_stamp(
    client: Client, predictor: Predictor
) -> None:
    sent = client.send(client.cloud(XYZ, RGB))
    response = client.ask(CLICKS[:1])
    assert (response.success, response.code, response.message) == (True, Code.OK, "")
    assert response.result.header == sent.header
    assert response.result.cloud_size == len(XYZ)
    assert 0 < response.elapsed.sec + response.elapsed.nanosec * 1e-9 < 30
    check_is_what_the_model_says(response, predictor, [Prompt(CLICKS[:1])])


def test_a_retained_cloud_is_segmented_by_its_stamp(client: Client, predictor: Predictor) -> None:
    first = client.send(client.cloud(XYZ, RGB))
    client.send(client.cloud(XYZ + np.float32(0.5)))
    response = client.ask(CLICKS[:1], header=first.header)
    assert response.code == Code.OK, response.message
    assert response.result.header == first.header
    check_is_what_the_model_says(response, predictor, [Prompt(CLICKS[:1])])


def test_an_attached_cloud_is_segmented_where_none_was_published(
    client: Client, predictor: Predictor
) -> None:
    attached = client.cloud(XYZ, RGB, height=32)
    response = client.ask(CLICKS[1:2], cloud=attached)
    assert response.code == Code.OK, response.message
    assert response.result.header == attached.header
    check_is_what_the_model_says(response, predictor, [Prompt(CLICKS[1:2])])


def test_several_objects_are_segmented_at_once(client: Client, predictor: Predictor) -> None:
    points, labels = CLICKS[[0, 1, 1, 2]], [1, 1, 0, 1]
    response = client.ask(
        points, labels=labels, object_ids=[2, 1, 2, 3], cloud=client.cloud(XYZ, RGB)
    )
    assert response.code == Code.OK, response.message
    prompts = [
        Prompt(CLICKS[1:2]),
        Prompt(CLICKS[:2], np.array([1, 0])),
        Prompt(CLICKS[2:]),
    ]
    check_is_what_the_model_says(response, predictor, prompts)
    instances = response.result.instances
    assert [instance.id for instance in instances] == [1, 2, 3]
    scores = [instance.score for instance in instances]
    assert scores == sorted(scores, reverse=True)


def test_multimask_gives_every_mask_of_a_single_click(client: Client, predictor: Predictor) -> None:
    cloud = client.cloud(XYZ, RGB)
    response = client.ask(CLICKS[:1], cloud=cloud, multimask=True)
    assert response.code == Code.OK, response.message
    (prediction,) = predictor.segment(predictor.embed(Cloud(XYZ, RGB)), [Prompt(CLICKS[:1])])
    wanted = [np.flatnonzero(mask).tolist() for mask in prediction.masks if mask.any()]
    assert [instance.indices.tolist() for instance in response.result.instances] == wanted
    assert {instance.object_id for instance in response.result.instances} == {1}
    two = client.ask(CLICKS[:2], cloud=cloud, multimask=True)
    assert len(two.result.instances) <= 1, "several clicks on an object: one mask"


def test_the_points_of_each_instance_come_with_the_sources_fields(client: Client) -> None:
    ring = np.arange(len(XYZ), dtype=np.uint16)
    cloud = client.cloud(XYZ, RGB, height=32, ring=ring)
    response = client.ask(CLICKS[:2], object_ids=[1, 2], cloud=cloud, return_points=True)
    assert response.code == Code.OK, response.message
    assert len(response.object_points) == len(response.result.instances) > 0
    for points, instance in zip(response.object_points, response.result.instances, strict=True):
        assert [field.name for field in points.fields] == ["x", "y", "z", "rgb", "ring"]
        assert points.header == cloud.header
        np.testing.assert_array_equal(cloud_msgs.read(points).xyz, XYZ[instance.indices])


def test_a_session_adds_clicks_to_the_last_mask(client: Client, predictor: Predictor) -> None:
    sent = client.send(client.cloud(XYZ, RGB))
    first = client.ask(CLICKS[:1], header=Header(stamp=sent.header.stamp), session="cup")
    assert first.code == Code.OK, first.message
    client.send(client.cloud(XYZ + np.float32(0.5)))  # a newer cloud makes no difference
    second = client.ask(CLICKS[1:2], labels=[0], session="cup")
    assert second.code == Code.OK, second.message
    assert second.result.header == sent.header
    embedding = predictor.embed(Cloud(XYZ, RGB))
    (one,) = predictor.segment(embedding, [Prompt(CLICKS[:1])])
    refined = Prompt(CLICKS[:2], np.array([1, 0]), mask=one.best())
    (two,) = predictor.segment(embedding, [refined])
    np.testing.assert_array_equal(
        second.result.instances[0].indices, np.flatnonzero(two.best().masks[0])
    )


def test_a_session_on_an_attached_cloud_outlives_the_clouds_of_the_sensor(client: Client) -> None:
    assert not client.set(clouds__retain=1)
    attached = client.cloud(XYZ, RGB)
    assert client.ask(CLICKS[:1], cloud=attached, session="mine").code == Code.OK
    for shift in (0.1, 0.2):
        client.send(client.cloud(XYZ + np.float32(shift)))
    response = client.ask(CLICKS[:1], session="mine")
    assert response.code == Code.OK, response.message
    assert response.result.header == attached.header


def test_what_was_answered_is_published_for_those_who_listen(client: Client) -> None:
    arrays = client.listen(InstanceArray, "/pointsam/instances")
    clouds = client.listen(PointCloud2, "/pointsam/segmented_points")
    markers = client.listen(MarkerArray, "/pointsam/markers")
    images = client.listen(Image, "/pointsam/instance_image")
    remaining = client.listen(PointCloud2, "/pointsam/remaining_points")
    cloud = client.cloud(XYZ, RGB, height=32)

    def all_heard() -> bool:
        response = client.ask(CLICKS[:2], object_ids=[1, 2], cloud=cloud)
        assert response.code == Code.OK, response.message
        client.settle()
        return bool(arrays and clouds and markers and images and remaining)

    client.wait_for(all_heard, "publications")  # those who listen are known after a moment
    response = client.ask(CLICKS[:2], object_ids=[1, 2], cloud=cloud)
    assert arrays[-1] == response.result
    assert (clouds[-1].header, clouds[-1].height) == (cloud.header, 32)
    names = [field.name for field in clouds[-1].fields]
    assert names == ["x", "y", "z", "rgb", "instance_id", "score"]
    assert len(markers[-1].markers) == 1 + 2 * len(response.result.instances)
    assert (images[-1].header, images[-1].height) == (cloud.header, 32)
    ids = np.frombuffer(images[-1].data, np.uint16)
    assert set(ids[ids > 0]) == {instance.id for instance in response.result.instances}
    assert remaining[-1].width == np.count_nonzero(ids == 0)


def test_a_cloud_without_rows_has_no_instance_image_and_the_log_says_so(start: Start) -> None:
    process, client = start()
    client.wait_until_ready()
    images = client.listen(Image, "/pointsam/instance_image")
    arrays = client.listen(InstanceArray, "/pointsam/instances")

    def heard() -> bool:
        assert client.ask(CLICKS[:1], cloud=client.cloud(XYZ, RGB)).code == Code.OK
        client.settle()
        return bool(arrays)

    client.wait_for(heard, "instances")
    assert not images
    assert "nothing is published on ~/instance_image" in process.log


# What is refused, each with its code and what would be right.


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({}, "points is empty, and so is boxes"),
        ({"points": CLICKS[:2], "labels": [1]}, "labels has 1 values for 2 points"),
        ({"points": CLICKS[:2], "object_ids": [1, 2, 3]}, "object_ids has 3 values for 2"),
        ({"points": CLICKS[:1], "labels": [2]}, r"labels\[0\] is 2, of click 1; it must be 1"),
        (
            {"points": CLICKS[:2], "object_ids": [1, 0]},
            r"object_ids\[1\] is 0, of click 2; .*from 1",
        ),
        ({"points": [(np.nan, 0, 1)]}, r"click 1, points\[0\], is \(nan.*finite"),
        ({"points": CLICKS[:1], "labels": [0]}, "object 1 has no click on it"),
        ({"points": np.ones((257, 3))}, r"257 clicks; at most 256.*limits\.max_prompts"),
    ],
    ids=["no points", "labels", "ids", "label 2", "id 0", "NaN", "negative only", "too many"],
)
def test_a_request_that_contradicts_itself_is_a_bad_request(
    client: Client, request_: dict, reason: str
) -> None:
    client.check_refused(Code.BAD_REQUEST, reason, cloud=client.cloud(XYZ), **request_)


def test_without_any_cloud_a_request_is_told_the_topic(client: Client) -> None:
    client.check_refused(Code.NO_CLOUD, "no cloud has arrived yet on /pointsam/points", CLICKS[:1])


def test_a_stamp_that_is_not_retained_is_refused(client: Client) -> None:
    old = client.cloud(XYZ)
    later = Header(stamp=client.send(client.cloud(XYZ)).header.stamp)
    later.stamp.sec += 100
    client.check_refused(Code.NO_CLOUD, "older than all retained", CLICKS[:1], header=old.header)
    client.check_refused(Code.NO_CLOUD, "not arrived yet", CLICKS[:1], header=later)


def test_a_newest_cloud_that_is_too_old_is_refused_but_not_by_its_stamp(client: Client) -> None:
    sent = client.send(client.cloud(XYZ))
    assert not client.set(clouds__stale_s=0.05)
    time.sleep(0.1)
    reason = r"too old: .* s, more than clouds\.stale_s = 0\.05"
    client.check_refused(Code.NO_CLOUD, reason, CLICKS[:1])
    assert client.ask(CLICKS[:1], header=sent.header).code == Code.OK


def test_a_prompt_in_another_frame_is_refused_without_tf2(client: Client) -> None:
    try:
        import tf2_ros  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("tf2_ros is installed here")
    client.check_refused(
        Code.NO_TRANSFORM,
        "'base_link'.*'camera'.*tf2_ros is not installed.*give the clicks in 'camera'",
        CLICKS[:1],
        header=Header(frame_id="base_link"),
        cloud=client.cloud(XYZ),
    )


def test_a_prompt_that_names_the_clouds_own_frame_is_answered(client: Client) -> None:
    header = Header(frame_id="camera")
    assert client.ask(CLICKS[:1], header=header, cloud=client.cloud(XYZ)).code == Code.OK


def test_a_click_far_from_every_point_is_refused(client: Client) -> None:
    client.check_refused(
        Code.TOO_FAR, r"click 2 at .* m from the nearest point.*predictor\.snap_radius_m",
        [CLICKS[0], FAR], cloud=client.cloud(XYZ),
    )  # fmt: skip


def test_a_malformed_attached_cloud_is_refused(client: Client) -> None:
    broken = client.cloud(XYZ)
    broken.data = broken.data[:-1]
    client.check_refused(Code.BAD_CLOUD, "fewer than its 1 rows", CLICKS[:1], cloud=broken)
    unseen = client.cloud(np.full((9, 3), np.nan, np.float32))
    client.check_refused(Code.BAD_CLOUD, "none of the cloud's 9 points", CLICKS[:1], cloud=unseen)
    few = client.cloud(np.ones((9, 3), np.float32))
    client.check_refused(Code.BAD_CLOUD, "fewer than 3 distinct", [(1, 1, 1)], cloud=few)


def test_a_cloud_of_too_many_points_is_refused(client: Client) -> None:
    assert not client.set(limits__max_points=2000)
    client.check_refused(Code.BAD_CLOUD, "2048 points.*at most 2000", CLICKS[:1],
                         cloud=client.cloud(XYZ))  # fmt: skip


def test_a_session_keeps_its_cloud_while_newer_ones_come_and_go(client: Client) -> None:
    assert not client.set(clouds__retain=1)
    first = client.send(client.cloud(XYZ))
    assert client.ask(CLICKS[:1], session="s").code == Code.OK
    client.send(client.cloud(XYZ + np.float32(0.5)))
    client.check_refused(Code.NO_CLOUD, "retained", CLICKS[:1], header=first.header)
    again = client.ask(CLICKS[:1], session="s")
    assert again.code == Code.OK, again.message
    assert again.result.header == first.header


def test_a_session_stays_on_its_cloud(client: Client) -> None:
    first = client.send(client.cloud(XYZ))
    second = client.send(client.cloud(XYZ))
    assert client.ask(CLICKS[:1], session="s", header=first.header).code == Code.OK
    client.check_refused(Code.SESSION_LOST, "is on the cloud of stamp", CLICKS[:1], session="s",
                         header=second.header)  # fmt: skip
    client.check_refused(Code.SESSION_LOST, "with a cloud attached", CLICKS[:1], session="s",
                         cloud=second)  # fmt: skip
    again = client.ask(CLICKS[:1], session="s", header=first.header)
    assert again.code == Code.OK, "the session is still there"


def test_the_least_recently_used_session_goes(client: Client) -> None:
    assert not client.set(sessions__max=2)
    first = client.send(client.cloud(XYZ))
    for name in ("a", "b", "a", "c"):
        assert client.ask(CLICKS[:1], session=name, header=first.header).code == Code.OK
    second = client.send(client.cloud(XYZ))
    for name, kept in (("a", True), ("c", True), ("b", False)):
        response = client.ask(CLICKS[:1], session=name, header=second.header)
        assert response.code == (Code.SESSION_LOST if kept else Code.OK), name


# What comes over the topic.


def test_a_malformed_cloud_is_counted_and_the_next_good_one_is_segmented(client: Client) -> None:
    broken = client.cloud(XYZ)
    broken.point_step = 8

    def told(status: Any, values: dict[str, str]) -> bool:
        client.publish(broken)
        return (
            status.level == DiagnosticStatus.WARN and "point_step" in values["last refused cloud"]
        )

    before = client.diagnostics(told)
    assert int(before["clouds refused"]) > 0
    good = client.send(client.cloud(XYZ))
    response = client.ask(CLICKS[:1])
    assert response.code == Code.OK and response.result.header == good.header
    after = client.diagnostics(lambda status, _: status.level == DiagnosticStatus.OK)
    assert int(after["requests OK"]) > 0


def test_a_cloud_without_a_usable_point_is_told_and_forgotten(client: Client) -> None:
    good = client.send(client.cloud(XYZ))
    nothing = client.cloud(np.zeros((9, 3), np.float32))

    def told(status: Any, values: dict[str, str]) -> bool:
        client.publish(nothing)
        return "none of the cloud's 9 points" in values["last refused cloud"]

    client.diagnostics(told)
    # The last copy of it may still be the newest cloud.
    response = client.wait_for(lambda: _ok(client.ask(CLICKS[:1])), "answer on the good cloud")
    assert response.result.header == good.header


def _ok(response: Any) -> Any:
    return response if response.code == Code.OK else None


def test_clouds_are_embedded_before_anybody_asks(client: Client) -> None:
    embedded = int(client.diagnostics(lambda *_: True)["clouds embedded"])
    client.publish(client.cloud(XYZ))
    client.diagnostics(lambda _, values: int(values["clouds embedded"]) > embedded)


def test_on_prompt_no_cloud_is_embedded_before_somebody_asks(client: Client) -> None:
    assert not client.set(embed__mode="on_prompt")
    before = client.diagnostics(lambda *_: True)

    def received(_: Any, values: dict[str, str]) -> bool:
        client.publish(client.cloud(XYZ))
        return int(values["clouds received"]) > int(before["clouds received"]) + 2

    after = client.diagnostics(received)
    assert after["clouds embedded"] == before["clouds embedded"]
    assert client.ask(CLICKS[:1]).code == Code.OK


# The life of the node.


def test_a_deactivated_node_answers_that_it_is_not_ready(client: Client) -> None:
    assert client.transition(Transition.TRANSITION_DEACTIVATE)
    client.check_refused(Code.NOT_READY, "the node is inactive; activate it", CLICKS[:1])
    assert client.transition(Transition.TRANSITION_CLEANUP)
    assert client.transition(Transition.TRANSITION_CONFIGURE)
    assert client.transition(Transition.TRANSITION_ACTIVATE)
    client.wait_until_ready()
    assert client.ask(CLICKS[:1], cloud=client.cloud(XYZ)).code == Code.OK


def test_without_autostart_a_manager_configures_and_activates(start: Start) -> None:
    node, client = start(autostart=False)
    client.diagnostics(lambda status, _: status.message == "the node is unconfigured")
    assert "ros2 lifecycle set /pointsam configure" in node.log
    assert client.transition(Transition.TRANSITION_CONFIGURE)
    client.check_refused(Code.NOT_READY, "inactive")
    assert client.transition(Transition.TRANSITION_ACTIVATE)
    client.wait_until_ready()
    assert node.end(signal.SIGTERM) == 0


def test_while_the_model_is_loading_a_request_is_told_so(client: Client) -> None:
    def asked_while_loading() -> bool:
        assert client.transition(Transition.TRANSITION_DEACTIVATE)
        assert client.transition(Transition.TRANSITION_ACTIVATE)
        response = client.ask(CLICKS[:1])
        assert response.code in (Code.NOT_READY, Code.NO_CLOUD), response.message
        return response.code == Code.NOT_READY and "still being loaded" in response.message

    client.wait_for(asked_while_loading, "request that came before the model")
    client.wait_until_ready()


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"clouds__retain": 0}, "clouds.retain is 0; it takes a whole number from 1 to 1000"),
        ({"model__preset": "huge"}, "unknown model 'huge'"),
        ({"model__checkpoint": "/nowhere.safetensors"}, "/nowhere.safetensors"),
    ],
    ids=["out of range", "no such model", "no such file"],
)
def test_a_wrong_start_ends_with_an_error_that_names_it(
    start: Start, parameters: dict, reason: str
) -> None:
    node, _ = start(**parameters)
    assert node.wait() == 1
    assert reason in node.log


def test_a_misspelt_parameter_is_warned_of(start: Start) -> None:
    node, client = start(clouds__retian=5)
    client.wait_until_ready()
    assert "there is no parameter 'clouds.retian'" in node.log


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_work_answers_who_waits_and_ends_cleanly(
    start: Start, end: int
) -> None:
    node, client = start(**SLOW)
    client.wait_until_ready()
    cloud = large_cloud(client)
    answers = [client.begin([(0, 0, 1)], cloud=cloud) for _ in range(2)]
    client.settle(0.7)
    assert not any(answer.done() for answer in answers), "the node should be in the middle of it"
    began = time.monotonic()
    node.send(end)
    for answer in answers:
        client.wait_for(answer.done, "answer")
        assert answer.result().code == Code.NOT_READY
        assert "shutting down" in answer.result().message
    assert node.wait() == 0
    assert time.monotonic() - began < 4.0
    assert "Traceback" not in node.log


def test_a_signal_while_nothing_happens_ends_cleanly(start: Start) -> None:
    node, client = start()
    client.wait_until_ready()
    began = time.monotonic()
    assert node.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < 4.0


def test_more_requests_than_may_wait_are_refused_and_the_others_answered(start: Start) -> None:
    _, client = start(limits__max_pending=1, **SLOW)
    client.wait_until_ready()
    cloud = large_cloud(client)
    first = client.begin([(0, 0, 1)], cloud=cloud, session="first")
    client.settle(0.7)
    second = client.begin([(0, 0, 1)], session="first")
    client.settle(0.3)
    client.check_refused(
        Code.OVERLOADED, r"1 requests wait already; .*limits\.max_pending", [(0, 0, 1)]
    )
    assert not first.done()
    for answer in (first, second):
        client.wait_for(answer.done, "answer", 120.0)
        assert answer.result().code == Code.OK


def test_a_burst_of_requests_is_answered_to_the_last_one(client: Client) -> None:
    cloud = client.send(client.cloud(XYZ, RGB))
    answers = [client.begin(CLICKS[:1], header=cloud.header) for _ in range(40)]
    for answer in answers:
        client.wait_for(answer.done, "answer", 60.0)
    codes = {answer.result().code for answer in answers}
    assert codes <= {Code.OK, Code.OVERLOADED} and Code.OK in codes


def test_help_is_printed_and_no_node_started() -> None:
    command = [sys.executable, "-m", "pointsam_ros.segment_node", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "usage: segment_node" in done.stdout and "python -m pointsam_ros.config" in done.stdout


def test_an_argument_that_is_none_of_the_nodes_is_refused() -> None:
    command = [sys.executable, "-m", "pointsam_ros.segment_node", "/camera/points"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "unknown argument '/camera/points'" in done.stderr and "usage:" in done.stderr


@pytest.mark.parametrize(
    ("parameter", "remedy"),
    [
        ("reduction.crop_min_m:=[1, 2.5, 3]", "must have the same type"),
        ("clouds.retain=5", "see --ros-args"),
    ],
)
@pytest.mark.parametrize("program", ["segment_node", "segment_cameras"])
def test_a_ros_argument_that_cannot_be_read_is_told_in_words(
    program: str, parameter: str, remedy: str
) -> None:
    command = [sys.executable, "-m", f"pointsam_ros.{program}", "--ros-args", "-p", parameter]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("ROS cannot start: ") and remedy in done.stderr


def test_a_sensor_that_falls_silent_is_told_in_the_diagnostics(client: Client) -> None:
    assert not client.set(clouds__stale_s=0.5, diagnostics__error_factor=1e6)
    client.send(client.cloud(XYZ))
    client.diagnostics(
        lambda status, _: (
            status.level == DiagnosticStatus.WARN and "newest cloud on" in status.message
        )
    )
    assert not client.set(clouds__stale_s=1e4)
    client.diagnostics(lambda status, _: status.level == DiagnosticStatus.OK)


def test_clouds_from_the_future_are_told_in_the_diagnostics(client: Client) -> None:
    early = client.cloud(XYZ)
    early.header.stamp.sec += 60

    def told(status: Any, _: dict[str, str]) -> bool:
        client.publish(early)
        return status.level == DiagnosticStatus.WARN and "ahead of this node's" in status.message

    client.diagnostics(told)


def test_a_sensor_that_counts_from_power_on_is_segmented_and_its_clock_told(
    start: Start,
) -> None:
    _, client = start()
    client.wait_until_ready()
    cloud = client.cloud(XYZ, RGB)
    cloud.header.stamp = Time(sec=12)

    def told(status: Any, _: dict[str, str]) -> bool:
        client.publish(cloud)
        return status.level == DiagnosticStatus.WARN and "behind this node's" in status.message

    client.diagnostics(told)
    response = client.ask(CLICKS[:1])
    assert response.code == Code.OK and response.result.header.stamp.sec == 12


@pytest.mark.parametrize("durability", ["auto", "transient_local"])
def test_a_cloud_that_was_published_once_before_the_node_woke_is_segmented(
    start: Start, durability: str
) -> None:
    _, client = start(autostart=False, points__qos__durability=durability, clouds__stale_s=0.0)
    client.stop_publishing()  # a publisher that keeps nothing
    publisher = client.node.create_publisher(PointCloud2, "/pointsam/points", LATCHED)
    publisher.publish(client.cloud(XYZ, RGB))
    assert client.transition(Transition.TRANSITION_CONFIGURE)
    assert client.transition(Transition.TRANSITION_ACTIVATE)
    client.wait_until_ready()
    client.wait_for(lambda: client.ask(CLICKS[:1]).code == Code.OK, "mask on the latched cloud")


def test_a_node_that_hears_no_cloud_says_where_clouds_are(start: Start) -> None:
    process, client = start()
    client.stop_publishing()
    client.wait_until_ready()
    assert "nobody publishes" not in process.log, "it takes a while to discover a publisher"
    client.wait_for(lambda: "nor are clouds published" in process.log or client.settle(), "hint")

    process, client = start()
    client.stop_publishing()
    publisher = client.node.create_publisher(PointCloud2, "/camera/depth/points", 1)
    hint = "clouds are published on /camera/depth/points: give one of them as cloud_topic"
    client.wait_for(lambda: hint in process.log or client.settle(), "hint with the topic")
    client.node.destroy_publisher(publisher)


def test_a_publisher_that_keeps_nothing_is_heard_after_one_that_does(start: Start) -> None:
    process, client = start()
    client.stop_publishing()
    publisher = client.node.create_publisher(PointCloud2, "/pointsam/points", LATCHED)
    client.wait_for(lambda: "as transient_local" in process.log or client.settle(), "subscription")
    client.node.destroy_publisher(publisher)
    other = client.node.create_publisher(
        PointCloud2, "/pointsam/points", QoSProfile(depth=2, reliability=BEST_EFFORT)
    )
    client.wait_until_ready()

    def answered() -> bool:
        other.publish(client.cloud(XYZ, RGB))
        return client.ask(CLICKS[:1]).code == Code.OK

    client.wait_for(answered, "mask on a cloud of the other")


def test_a_driver_whose_qos_does_not_fit_is_told_in_the_diagnostics_until_clouds_come(
    start: Start,
) -> None:
    _, client = start(points__qos__reliability="reliable")
    client.wait_until_ready()
    driver = client.node.create_publisher(
        PointCloud2, "/pointsam/points", QoSProfile(depth=2, reliability=BEST_EFFORT)
    )
    client.diagnostics(
        lambda status, values: (
            status.level == DiagnosticStatus.WARN
            and "RELIABILITY of a publisher of /pointsam/points does not fit" in status.message
            and "points.qos.reliability" in values["last incompatible QoS"]
        )
    )
    client.node.destroy_publisher(driver)
    client.publish(client.cloud(XYZ))
    client.diagnostics(lambda status, _: status.level == DiagnosticStatus.OK)


def test_a_subscriber_that_asks_for_more_than_is_offered_is_told_in_the_diagnostics(
    start: Start,
) -> None:
    _, client = start(outputs__qos__reliability="best_effort")
    client.wait_until_ready()
    client.listen(InstanceArray, "/pointsam/instances")  # reliable
    client.diagnostics(
        lambda status, values: (
            status.level == DiagnosticStatus.OK
            and "outputs.qos.reliability" in values["last incompatible QoS"]
        )
    )
    heard: list[Any] = []
    client.node.create_subscription(
        InstanceArray,
        "/pointsam/instances",
        heard.append,
        QoSProfile(depth=5, reliability=BEST_EFFORT),
    )

    def answered() -> bool:
        assert client.ask(CLICKS[:1], cloud=client.cloud(XYZ, RGB)).code == Code.OK
        client.settle()
        return bool(heard)

    client.wait_for(answered, "instances by best effort")


def test_latencies_are_told_in_the_diagnostics_and_warned_of_where_a_limit_is_set(
    client: Client,
) -> None:
    assert client.ask(CLICKS[:1], cloud=client.cloud(XYZ, RGB)).code == Code.OK
    values = client.diagnostics(lambda _, values: values["request p99 [ms]"] != "")
    for what in ("embed", "segment", "request"):
        assert 0.0 < float(values[f"{what} p50 [ms]"]) <= float(values[f"{what} p99 [ms]"])
    assert not client.set(diagnostics__max_latency_ms=0.001)
    for factor, level in ((5.0, DiagnosticStatus.ERROR), (1e9, DiagnosticStatus.WARN)):
        assert not client.set(diagnostics__error_factor=factor)
        client.diagnostics(
            lambda status, _, level=level: (
                status.level == level and "max_latency_ms" in status.message
            )
        )
