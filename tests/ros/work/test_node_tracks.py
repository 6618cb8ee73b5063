"""Ids that stay with objects, and objects that are followed, over real middleware."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from forked_nodes import ForkedNode
from geometry_msgs.msg import TransformStamped
from lifecycle_msgs.msg import Transition
from moving_tabletop import HERE, tabletop
from node_process import TINY, WAIT_S, Client
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from visualization_msgs.msg import MarkerArray

from pointsam_interfaces.msg import InstanceArray
from pointsam_interfaces.srv import EditSession, ReleaseObjects
from pointsam_ros.client.node_process import NodeProcess
from pointsam_ros.clouds.cloud_store import JUMP_BACK_S, stamp_ns
from pointsam_ros.codes import Code
from pointsam_ros.requests.transforms import Transform

pytestmark = pytest.mark.dds

Start = Callable[..., tuple[ForkedNode, Client]]

with np.load(TINY / "raw_input.npz", allow_pickle=False) as raw:
    XYZ = raw["raw_xyz"].astype(np.float32)
    RGB = raw["raw_rgb"].astype(np.uint8)

# Masks of random weights are neither sure nor small: all of them may stay.
PROPOSED = {
    "proposals__min_score": 0.0,
    "proposals__min_stability": 0.0,
    "proposals__max_share": 1.0,
}
SHIPPED = {"model__preset": "tiny", "model__checkpoint": "''"}
# The machine may be slow: an object that nobody had time to look for is not lost.
TRACKED = {"tracking__enabled": True, "tracking__keep_s": 60.0, "embed__max_rate_hz": 50.0}


def release(client: Client, *ids: int) -> Any:
    service = client.node.create_client(ReleaseObjects, "/pointsam/release_objects")
    return client.call(service, ReleaseObjects.Request(ids=list(ids)))


def proposed(client: Client, cloud: PointCloud2) -> Any:
    """The result of a goal on a retained cloud."""
    _, result = client.outcome(client.propose(header=Header(stamp=cloud.header.stamp)))
    assert result.code == Code.OK, result.message
    assert result.result.instances
    return result.result


def ids(array: InstanceArray) -> list[int]:
    return [each.id for each in array.instances]


# Ids of proposals.


def test_instances_keep_their_ids_from_cloud_to_cloud_and_through_an_occlusion(
    client: Client,
) -> None:
    assert not client.set(tracking__enabled=True, tracking__keep_s=60.0, **PROPOSED)
    first = proposed(client, client.send(client.cloud(XYZ, RGB)))
    again = proposed(client, client.send(client.cloud(XYZ, RGB)))
    assert ids(again) == ids(first)
    elsewhere = proposed(client, client.send(client.cloud(XYZ + np.float32(50), RGB)))
    assert not set(ids(elsewhere)) & set(ids(first))
    assert ids(proposed(client, client.send(client.cloud(XYZ, RGB)))) == ids(first)
    client.set(tracking__enabled=False)
    assert ids(proposed(client, client.send(client.cloud(XYZ, RGB))))[:2] == [1, 2]


def test_a_request_about_an_older_cloud_changes_no_id_and_a_jump_of_time_all(
    client: Client,
) -> None:
    assert not client.set(tracking__enabled=True, tracking__keep_s=60.0, **PROPOSED)
    older = client.send(client.cloud(XYZ, RGB))
    first = proposed(client, client.send(client.cloud(XYZ, RGB)))
    assert ids(proposed(client, older)) == ids(first)
    assert ids(proposed(client, client.send(client.cloud(XYZ, RGB)))) == ids(first)
    before = client.diagnostics(lambda *_: True)
    long_ago = [client.cloud(XYZ, RGB) for _ in range(2)]
    for cloud in long_ago:
        cloud.header.stamp.sec -= int(JUMP_BACK_S) + 60
        client.send(cloud)
    client.diagnostics(lambda _, now: now["clouds time jumps"] > before["clouds time jumps"])
    after = proposed(client, long_ago[-1])
    assert len(after.instances) == len(first.instances)
    assert not set(ids(after)) & set(ids(first))


def test_what_is_published_and_what_is_answered_have_the_same_ids(client: Client) -> None:
    assert not client.set(tracking__enabled=True, **PROPOSED)
    arrays = client.listen(InstanceArray, "/pointsam/instances")
    clouds = client.listen(PointCloud2, "/pointsam/segmented_points")
    markers = client.listen(MarkerArray, "/pointsam/markers")
    elsewhere = proposed(client, client.send(client.cloud(XYZ + np.float32(50), RGB)))
    cloud = client.send(client.cloud(XYZ, RGB))

    def heard() -> Any:
        result = proposed(client, cloud)
        client.settle()
        return result if arrays and clouds and markers else None

    answered = client.wait_for(heard, "publications")
    assert arrays[-1] == answered
    assert min(ids(answered)) > max(ids(elsewhere)), "ids do not begin anew"
    points = np.frombuffer(clouds[-1].data, np.uint8).reshape(len(XYZ), -1)
    offset = next(field.offset for field in clouds[-1].fields if field.name == "instance_id")
    shown = set(points[:, offset : offset + 4].copy().view("<u4").ravel().tolist())
    assert shown - {0} <= set(ids(answered)) and len(shown) > 1
    assert {each.id for each in markers[-1].markers[1:]} == set(ids(answered))


# What is refused.


def test_following_is_refused_without_tracking(client: Client) -> None:
    cloud = client.cloud(XYZ, RGB)
    client.check_refused(Code.BAD_REQUEST, r"tracking\.enabled", XYZ[:1], cloud=cloud, follow=True)


def test_too_many_objects_are_not_followed_and_unknown_ones_cannot_be_released(
    client: Client, shared_node: NodeProcess
) -> None:
    assert not client.set(tracking__enabled=True, tracking__max_followed=2)
    cloud = client.cloud(XYZ, RGB)
    answer = client.ask(XYZ[[100, 900]], object_ids=[1, 2], cloud=cloud, follow=True)
    assert answer.code == Code.OK, answer.message
    known = {each.object_id: each.id for each in answer.result.instances}
    client.check_refused(
        Code.OVERLOADED, r"release_objects", XYZ[:1] + np.float32(50), object_ids=[3],
        cloud=client.cloud(XYZ + np.float32(50)), follow=True,
    )  # fmt: skip
    released = release(client, known[1], 4_000_000_000)
    assert not released.success
    assert list(released.released) == [known[1]]
    assert released.message == "no object of these ids is followed: 4000000000"
    many = release(client, *range(1000, 11_000))
    assert not many.success and many.message.endswith("1008, 1009 and 9990 more")
    client.diagnostics(lambda _, values: values["objects followed now"] == "1")
    released = release(client)
    assert (released.success, list(released.released)) == (True, [known[2]]), released.message
    client.diagnostics(lambda _, values: values["objects followed now"] == "0")
    for line in (
        f"followed: id {known[1]} (object 1), id {known[2]} (object 2)",
        f"released: id {known[1]}",
        f"released: id {known[2]}",
    ):
        assert line in shared_node.log


def followed_and_shown(client: Client, arrays: list[Any]) -> int:
    """The id of an object that is followed and was published."""
    assert not client.set(tracking__enabled=True)

    def shown() -> int | None:
        answer = client.ask(XYZ[:1], cloud=client.cloud(XYZ, RGB), follow=True)
        assert answer.code == Code.OK, answer.message
        client.settle()
        return int(answer.result.instances[0].id) if arrays and arrays[-1].instances else None

    return client.wait_for(shown, "a published answer")


def test_when_tracking_is_switched_off_all_that_was_followed_is_lost_and_the_display_is_told(
    client: Client, shared_node: NodeProcess
) -> None:
    arrays = client.listen(InstanceArray, "/pointsam/instances")
    known = followed_and_shown(client, arrays)
    assert not client.set(tracking__enabled=False)
    client.wait_for(lambda: not arrays[-1].instances, "an empty answer, though no cloud comes")
    client.diagnostics(lambda _, values: values["objects followed now"] == "0")
    line = f"object 1 with the id {known} is lost: tracking.enabled is false"
    client.wait_for(lambda: line in shared_node.log, "a line of the log")


def test_when_the_frame_of_objects_becomes_another_the_display_is_told(
    client: Client, shared_node: NodeProcess
) -> None:
    arrays = client.listen(InstanceArray, "/pointsam/instances")
    known = followed_and_shown(client, arrays)
    assert not client.set(tracking__frame="odom")  # which tf2 does not know here
    client.send(client.cloud(XYZ, RGB))
    client.wait_for(lambda: not arrays[-1].instances, "an empty answer")
    line = f"object 1 with the id {known} is lost: objects are recognised in the coordinate frame"
    client.wait_for(lambda: line in shared_node.log, "a line of the log")


def test_a_deactivated_node_follows_nothing_any_more(
    client: Client, shared_node: NodeProcess
) -> None:
    arrays = client.listen(InstanceArray, "/pointsam/instances")
    known = followed_and_shown(client, arrays)
    lost = int(client.diagnostics(lambda *_: True)["objects lost"])
    assert client.transition(Transition.TRANSITION_DEACTIVATE)
    client.wait_for(lambda: not arrays[-1].instances, "an empty answer")
    client.diagnostics(lambda _, values: int(values["objects lost"]) > lost)
    line = f"object 1 with the id {known} is lost: the node was deactivated; prompt it again"
    client.wait_for(lambda: line in shared_node.log, "a line of the log")
    refused = release(client)
    assert not refused.success and "activate it" in refused.message
    assert client.transition(Transition.TRANSITION_ACTIVATE)
    client.wait_until_ready()
    assert list(release(client).released) == []
    client.diagnostics(lambda _, values: values["objects followed now"] == "0")


# Following, with the shipped checkpoint.


ON_BOX, ON_TABLE = np.array([*HERE, 0.72]), np.array([HERE[0] + 0.09, HERE[1], 0.8])


class Scene:
    """A moving box on a table, sent as clouds, and what the node publishes of it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.arrays = client.listen(InstanceArray, "/pointsam/instances")
        self.step = 0

    def send(
        self, aside: float = 0.0, pose: NDArray[np.float64] | None = None
    ) -> tuple[PointCloud2, NDArray[np.bool_]]:
        """Sends the next cloud; gives it and which of its points are on the box."""
        self.step += 1
        cloud, label = tabletop((HERE[0], HERE[1] + aside), self.step, pose)
        msg = self.client.cloud(cloud.xyz, cloud.rgb)
        self.client.publish(msg)
        return msg, label == 1

    def published(self, cloud: PointCloud2) -> InstanceArray:
        """What is published of this cloud; it is sent until something is."""

        def of_cloud() -> InstanceArray | None:
            return next((each for each in self.arrays if each.header == cloud.header), None)

        def heard() -> InstanceArray | None:
            if of_cloud() is None:
                self.client.publish(cloud)
                self.client.settle(0.5)
            return of_cloud()

        return self.client.wait_for(heard, "followed objects", 2 * WAIT_S)


def check_followed(
    array: InstanceArray, known: int, object_id: int, truth: NDArray[np.bool_], least: float = 0.6
) -> None:
    (instance,) = array.instances
    assert (instance.id, instance.object_id) == (known, object_id)
    mask = np.zeros(len(truth), bool)
    mask[list(instance.indices)] = True
    assert np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth) > least


@pytest.mark.slow
def test_a_prompted_object_and_a_clicked_one_are_followed_until_they_are_released(
    start: Start,
) -> None:
    _, client = start(**SHIPPED, **TRACKED)
    client.wait_until_ready()
    scene = Scene(client)

    first = client.send(scene.send()[0])
    stamp = Header(stamp=first.header.stamp)
    answer = client.ask(
        [ON_BOX, ON_TABLE], labels=[1, 0], object_ids=[5, 5], header=stamp, follow=True
    )
    assert answer.code == Code.OK, answer.message
    (known,) = ids(answer.result)
    for step in range(1, 5):
        cloud, truth = scene.send(aside=0.02 * step)
        check_followed(scene.published(cloud), known, 5, truth)
        if step == 2:
            assert known in ids(proposed(client, cloud)), "proposals agree"
    assert list(release(client, known).released) == [known]

    def clicked(where: Any, *topic: str) -> InstanceArray:
        scene.arrays.clear()
        client.click(where, *topic)
        return client.wait_for(lambda: [each for each in scene.arrays if ids(each)], "answer")[-1]

    moved = np.array([0.0, 0.08, 0.0])
    (known,) = ids(clicked(ON_BOX + moved))
    assert ids(clicked(ON_TABLE + moved, "/pointsam/clicked_negative")) == [known]
    for step in range(5, 7):
        cloud, truth = scene.send(aside=0.02 * step)
        check_followed(scene.published(cloud), known, 1, truth, least=0.3)
    refined = clicked(ON_BOX + np.array([0.0, 0.02 * 6 + 0.03, 0.0]))
    assert refined.header == cloud.header, "on the cloud in which it was last seen"
    assert ids(refined) == [known]

    reset = client.node.create_client(Trigger, "/pointsam/reset_clicks")
    assert client.call(reset, Trigger.Request()).success
    assert list(release(client).released) == []
    values = client.diagnostics(lambda _, values: values["objects released"] == "2")
    assert values["objects lost"] == "0"
    scene.arrays.clear()
    scene.send()
    client.settle(2.0)
    assert not any(each.instances for each in scene.arrays)


@pytest.mark.slow
def test_with_tf_a_moving_camera_follows_and_embeds_what_it_needs(start: Start, tf2: Any) -> None:
    _, client = start(
        **SHIPPED, **TRACKED, tracking__frame="world", embed__mode="on_prompt",
        transforms__timeout_s=5.0,
    )  # fmt: skip
    client.wait_until_ready()
    scene = Scene(client)
    broadcaster = client.node.create_publisher(TransformStamped, "/tf", 10)
    client.wait_for(broadcaster.get_subscription_count, "subscription to /tf")

    def seen_from(turn: float) -> tuple[PointCloud2, NDArray[np.bool_]]:
        pose = np.eye(4)
        pose[:2, :2] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
        pose[:3, 3] = turn, -turn, 0.2 * turn
        cloud, truth = scene.send(pose=pose)
        known = Transform(pose[:3, :3], pose[:3, 3])
        broadcaster.publish(tf2.message("world", "camera", known, stamp_ns(cloud.header.stamp)))
        return cloud, truth

    first, _ = seen_from(0.0)
    client.send(first)
    stamp = Header(stamp=first.header.stamp)
    answer = client.ask([ON_BOX, ON_TABLE], labels=[1, 0], header=stamp, follow=True)
    assert answer.code == Code.OK, answer.message
    (known,) = ids(answer.result)
    for step in range(1, 4):
        cloud, truth = seen_from(0.4 * step)
        check_followed(scene.published(cloud), known, 1, truth)

    assert not client.set(transforms__timeout_s=0.1)
    hidden, _ = scene.send()  # of which tf says nothing
    client.diagnostics(
        lambda status, _: (
            "objects lose their ids" in status.message and "'camera' to 'world'" in status.message
        )
    )
    assert not any(each.header == hidden.header for each in scene.arrays)
    cloud, truth = seen_from(1.3)
    check_followed(scene.published(cloud), known, 1, truth)
    client.diagnostics(lambda status, _: "objects lose" not in status.message)


def test_what_is_followed_is_not_taken_back(client: Client) -> None:
    assert not client.set(**TRACKED)
    cloud = client.send(client.cloud(XYZ, RGB))
    answer = client.ask(XYZ[[100]], header=cloud.header, follow=True, session="cup")
    assert answer.code == Code.OK, answer.message
    edit = client.node.create_client(EditSession, "/pointsam/edit_session")
    response = client.call(edit, EditSession.Request(session="cup"))
    assert response.code == Code.BAD_REQUEST and "followed" in response.message
    response = client.call(edit, EditSession.Request(session="cup", action=7))
    assert response.code == Code.BAD_REQUEST and "action is 7" in response.message
    assert client.call(
        edit, EditSession.Request(session="cup", action=EditSession.Request.END)
    ).success
