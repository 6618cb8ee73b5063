"""Whole clouds over real middleware: the action, and proposals of each newest cloud."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from forked_nodes import ForkedNode
from lifecycle_msgs.msg import Transition
from node_process import RANDOM_MODEL, STEP_NS, TINY, Client
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from pointsam_interfaces.msg import InstanceArray
from pointsam_model import Cloud, ProposalGenerator, load_model
from pointsam_model.config.settings import ProposalConfig
from pointsam_ros.codes import Code

pytestmark = pytest.mark.dds

Start = Callable[..., tuple[ForkedNode, Client]]

with np.load(TINY / "raw_input.npz", allow_pickle=False) as raw:
    XYZ = raw["raw_xyz"].astype(np.float32)
    RGB = raw["raw_rgb"].astype(np.uint8)

# Masks of random weights are neither sure nor small: all of them may stay.
ALL = ProposalConfig(min_score=0.0, min_stability=0.0, max_share=1.0, nms_iou=0.95)
ALL_PARAMETERS = {
    f"proposals__{name}": getattr(ALL, name)
    for name in ("min_score", "min_stability", "max_share", "nms_iou")
}
# Hundreds of small batches, for seconds: time to come between them.
SLOW = {
    **ALL_PARAMETERS,
    "predictor__geometry": False,
    "proposals__points": 400,
    "proposals__max_instances": 2,
    "proposals__batch_mib": 1,
    "reduction__max_points": 10_000,
    "predictor__num_patches": 1024,
    "predictor__patch_size": 64,
    "embed__mode": "on_prompt",
}


@pytest.fixture(scope="module")
def proposed() -> list[Any]:
    """What the same network proposes in this process."""
    model = load_model(RANDOM_MODEL["model.preset"], RANDOM_MODEL["model.checkpoint"], device="cpu")
    instances = ProposalGenerator(model, ALL).generate(Cloud(XYZ, RGB))
    assert len(instances) > 1
    return instances


def large_cloud(client: Client) -> PointCloud2:
    """320 x 240 points of a wave."""
    rows, columns = np.mgrid[:240, :320]
    z = 1 + 0.1 * np.sin(rows / 20) * np.cos(columns / 15)
    xyz = np.stack([(columns - 160) / 250 * z, (rows - 120) / 250 * z, z], axis=-1)
    return client.cloud(xyz.reshape(-1, 3).astype(np.float32), height=240)


def check_refused(client: Client, code: Code, reason: str, **goal: Any) -> None:
    """A goal is aborted with this code and a message with `reason`."""
    status, result = client.outcome(client.propose(**goal))
    assert status == GoalStatus.STATUS_ABORTED
    assert not result.success and not result.result.instances
    assert result.code == code, f"{Code(result.code).name}: {result.message}"
    assert reason in result.message


def begun(client: Client, **goal: Any) -> tuple[Any, list[Any]]:
    """A goal that is being carried out, and the list into which its feedback comes."""
    feedback: list[Any] = []
    handle = client.propose(lambda message: feedback.append(message.feedback), **goal)
    client.wait_for(lambda: feedback, "feedback", 60.0)
    return handle, feedback


# What is answered.


def test_everything_in_an_attached_cloud_is_proposed(client: Client, proposed: list) -> None:
    assert not client.set(**ALL_PARAMETERS)
    cloud = client.cloud(XYZ, RGB, height=32)
    feedback: list[Any] = []
    handle = client.propose(lambda message: feedback.append(message.feedback), cloud=cloud)
    status, result = client.outcome(handle)
    assert (status, result.code) == (GoalStatus.STATUS_SUCCEEDED, Code.OK), result.message
    assert (result.success, result.message) == (True, "")
    assert result.result.header == cloud.header
    assert result.result.cloud_size == len(XYZ)
    instances = result.result.instances
    assert [each.id for each in instances] == list(range(1, len(proposed) + 1))
    assert {each.object_id for each in instances} == {0}
    for instance, wanted in zip(instances, proposed, strict=True):
        np.testing.assert_array_equal(instance.indices, wanted.indices)
        assert instance.score == pytest.approx(wanted.score, abs=1e-5)
    client.wait_for(lambda: feedback, "feedback")
    assert feedback[-1].prompts_done == feedback[-1].prompts_total > 0


def test_the_newest_cloud_is_taken_without_a_stamp_and_a_retained_one_by_its_stamp(
    client: Client,
) -> None:
    first = client.send(client.cloud(XYZ, RGB))
    second = client.send(client.cloud(XYZ + np.float32(0.5)))
    for header, wanted in ((Header(), second), (Header(stamp=first.header.stamp), first)):
        _, result = client.outcome(client.propose(header=header))
        assert result.code == Code.OK, result.message
        assert result.result.header == wanted.header


def test_a_goal_may_ask_for_fewer_and_better_ones(client: Client, proposed: list) -> None:
    assert not client.set(**ALL_PARAMETERS)
    cloud = client.cloud(XYZ, RGB)
    _, result = client.outcome(client.propose(cloud=cloud, max_instances=1))
    (best,) = result.result.instances
    wanted = max(proposed, key=lambda each: each.score)
    np.testing.assert_array_equal(best.indices, wanted.indices)
    least = float(np.median([each.score for each in proposed]))
    _, result = client.outcome(client.propose(cloud=cloud, min_score=least))
    assert result.code == Code.OK, result.message
    assert all(each.score >= least - 1e-6 for each in result.result.instances)
    assert len(result.result.instances) < len(proposed)


def test_what_was_proposed_is_published_for_those_who_listen(client: Client) -> None:
    assert not client.set(**ALL_PARAMETERS)
    arrays = client.listen(InstanceArray, "/pointsam/instances")
    clouds = client.listen(PointCloud2, "/pointsam/segmented_points")
    markers = client.listen(MarkerArray, "/pointsam/markers")
    cloud = client.cloud(XYZ, RGB)

    def all_heard() -> Any:
        _, result = client.outcome(client.propose(cloud=cloud))
        client.settle()
        return result if arrays and clouds and markers else None

    result = client.wait_for(all_heard, "publications")
    assert arrays[-1] == result.result
    assert clouds[-1].header == cloud.header
    assert len(markers[-1].markers) == 1 + 2 * len(result.result.instances)


# What is refused.


def test_a_goal_that_cannot_be_carried_out_is_told_why(client: Client) -> None:
    cloud = client.cloud(XYZ)
    check_refused(client, Code.NO_CLOUD, "no cloud has arrived yet")
    check_refused(client, Code.BAD_REQUEST, "min_score is 1.5", cloud=cloud, min_score=1.5)
    check_refused(client, Code.BAD_REQUEST, "min_score is nan", cloud=cloud, min_score=np.nan)
    check_refused(client, Code.BAD_REQUEST, "max_instances is 20000", max_instances=20_000)
    nothing = client.cloud(np.full((9, 3), np.nan, np.float32))
    check_refused(client, Code.BAD_CLOUD, "none of the cloud's 9 points", cloud=nothing)
    broken = client.cloud(XYZ)
    broken.data = broken.data[:-1]
    check_refused(client, Code.BAD_CLOUD, "fewer than", cloud=broken)
    sent = client.send(cloud)
    later = Header(stamp=sent.header.stamp)
    later.stamp.sec += 100
    check_refused(client, Code.NO_CLOUD, "not arrived yet", header=later)
    values = client.diagnostics(lambda _, values: int(values["goals refused"]) >= 7)
    assert int(values["requests BAD_CLOUD"]) >= 2


def test_an_inactive_node_refuses_goals(client: Client) -> None:
    assert client.transition(Transition.TRANSITION_DEACTIVATE)
    check_refused(client, Code.NOT_READY, "the node is inactive; activate it")
    assert client.transition(Transition.TRANSITION_CLEANUP)
    assert client.transition(Transition.TRANSITION_CONFIGURE)
    assert client.transition(Transition.TRANSITION_ACTIVATE)
    client.wait_until_ready()
    _, result = client.outcome(client.propose(cloud=client.cloud(XYZ)))
    assert result.code == Code.OK, result.message


# One goal at a time, prompts between its batches.


def test_a_prompt_is_answered_while_a_goal_is_carried_out(start: Start) -> None:
    _, client = start(**SLOW)
    client.wait_until_ready()
    small = client.cloud(XYZ, RGB)
    assert client.ask(XYZ[:1], cloud=small, session="s").code == Code.OK
    handle, feedback = begun(client, cloud=large_cloud(client))
    future = handle.get_result_async()
    for _ in range(3):
        assert client.ask(XYZ[:1], session="s").code == Code.OK
    assert not future.done(), "the prompts should have come between the goal's batches"
    client.wait_for(future.done, "result", 60.0)
    assert future.result().result.code == Code.OK
    done = [each.prompts_done for each in feedback]
    assert done == sorted(done) and len(set(done)) > 3


def test_a_cancelled_goal_ends_at_once_and_the_next_begins(start: Start) -> None:
    node, client = start(**SLOW)
    client.wait_until_ready()
    large = large_cloud(client)
    handle, _ = begun(client, cloud=large)
    waiting = client.propose(cloud=large)
    after = client.propose(cloud=client.cloud(XYZ))
    client.diagnostics(lambda _, values: values["goals waiting"] == "2")
    for cancelled in (waiting, handle):
        asked = client.wait_for(_done(cancelled.cancel_goal_async()), "word on the cancelling")
        assert len(asked.goals_canceling) == 1
        status, result = client.outcome(cancelled)
        assert status == GoalStatus.STATUS_CANCELED
        assert (result.success, result.code) == (False, Code.FAILED)
        assert result.message == "the goal was cancelled" and not result.result.instances
    status, result = client.outcome(after)
    assert (status, result.code) == (GoalStatus.STATUS_SUCCEEDED, Code.OK), result.message
    client.diagnostics(lambda _, values: values["goals cancelled"] == "2")
    log = node.log
    for goal, ends in ((handle, "was cancelled after"), (after, "ends: ")):
        name = f"goal {bytes(goal.goal_id.uuid).hex()[:8]}"
        assert log.index(f"{name} begins") < log.index(f"{name} {ends}")
    assert f"goal {bytes(waiting.goal_id.uuid).hex()[:8]} begins" not in log


def _done(future: Any) -> Callable[[], Any]:
    return lambda: future.result() if future.done() else None


def test_a_newer_goal_waits_or_is_refused_as_the_parameter_says(start: Start) -> None:
    _, client = start(limits__max_pending=1, **SLOW)
    client.wait_until_ready()
    first, _ = begun(client, cloud=large_cloud(client))
    second = client.propose(cloud=client.cloud(XYZ))
    check_refused(client, Code.OVERLOADED, "1 requests wait already", cloud=client.cloud(XYZ))
    assert not client.set(proposals__when_busy="refuse")
    check_refused(client, Code.OVERLOADED, "proposals.when_busy", cloud=client.cloud(XYZ))
    assert client.wait_for(_done(first.cancel_goal_async()), "word on the cancelling")
    status, result = client.outcome(second)
    assert (status, result.code) == (GoalStatus.STATUS_SUCCEEDED, Code.OK), result.message


def test_a_node_that_ends_answers_its_goals(start: Start) -> None:
    node, client = start(**SLOW)
    client.wait_until_ready()
    handles = [begun(client, cloud=large_cloud(client))[0], client.propose()]
    futures = [handle.get_result_async() for handle in handles]
    client.settle(0.3)
    node.send(signal.SIGTERM)
    for future in futures:
        client.wait_for(future.done, "result")
        assert future.result().status == GoalStatus.STATUS_ABORTED
        assert future.result().result.code == Code.NOT_READY
        assert "shutting down" in future.result().result.message
    assert node.wait() == 0
    assert "Traceback" not in node.log


# Continuous proposals.


def test_the_newest_cloud_is_proposed_at_most_so_often_while_somebody_listens(
    start: Start,
) -> None:
    _, client = start(proposals__rate_hz=2.0, embed__mode="on_prompt", **ALL_PARAMETERS)
    client.wait_until_ready()

    def received(_: Any, values: dict[str, str]) -> bool:
        client.publish(client.cloud(XYZ, RGB))
        return int(values["clouds received"]) > 2

    assert client.diagnostics(received)["clouds embedded"] == "0", "nobody listens"
    arrays = client.listen(InstanceArray, "/pointsam/instances")
    heard: list[float] = []

    def heard_some() -> bool:
        known = len(arrays)
        client.publish(client.cloud(XYZ, RGB))
        client.settle(0.1)
        if len(arrays) > known:
            heard.append(time.monotonic())
        return len(heard) >= 4

    client.wait_for(heard_some, "proposals", 60.0)
    assert heard[-1] - heard[0] > 3 / 2.0 - 0.4, "faster than proposals.rate_hz"
    stamps = [array.header.stamp.sec * 10**9 + array.header.stamp.nanosec for array in arrays]
    assert min(np.diff(stamps)) >= STEP_NS, "each array is of another, newer cloud"
    assert all(array.instances for array in arrays)
    assert client.ask(XYZ[:1]).code == Code.OK


def test_continuous_proposals_step_aside_for_goals_and_prompts(start: Start) -> None:
    _, client = start(proposals__rate_hz=100.0, **SLOW)
    client.wait_until_ready()
    small = client.cloud(XYZ, RGB)
    assert client.ask(XYZ[:1], cloud=small, session="s").code == Code.OK
    arrays = client.listen(InstanceArray, "/pointsam/instances")
    client.settle(1.0)
    large = large_cloud(client)
    client.publish(large)
    client.settle(1.0)  # the worker is in the middle of it
    heard = len(arrays)
    assert client.ask(XYZ[:1], session="s").code == Code.OK
    _, result = client.outcome(client.propose(cloud=small))
    assert result.code == Code.OK, result.message
    client.wait_for(
        lambda: any(array.header == large.header for array in arrays), "proposals", 60.0
    )
    of_large = [array.header == large.header for array in arrays].index(True)
    assert of_large >= heard + 2, "the prompt and the goal should have been answered meanwhile"
