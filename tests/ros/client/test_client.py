"""The client for planners, against a real node."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import rclpy
from domains import free_domain
from node_process import FAR, Client
from places import ROOT
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from pointsam_ros.client import Code, NoAnswerError, PointSamClient, RefusedError
from pointsam_ros.clouds import cloud_msgs

pytestmark = pytest.mark.dds

XYZ = np.random.default_rng(0).uniform((-0.4, -0.4, 0.8), (0.4, 0.4, 1.2), (3000, 3))
ON = XYZ[100]


def planner_in(domain: int) -> Iterator[Node]:
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("planner", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture
def planner(domain: int) -> Iterator[Node]:
    """A node of a program that wants masks, without an executor."""
    yield from planner_in(domain)


@pytest.fixture
def asking(planner: Node) -> Iterator[PointSamClient]:
    made = PointSamClient(planner, pause_s=0.3)
    yield made
    made.destroy()


def test_it_needs_neither_torch_nor_the_model() -> None:
    code = "import sys, pointsam_ros.client; print(*{it.split('.')[0] for it in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "rclpy" in done.stdout
    assert not set(done.stdout.split()) & {"torch", "pointsam_model", "scipy"}


def test_a_program_without_an_executor_gets_masks(client: Client, asking: PointSamClient) -> None:
    sent = client.send(client.cloud(XYZ))
    answer = asking.segment([ON, XYZ[7]], [1, 0], stamp=sent.header.stamp, return_points=True)
    expected = client.ask([ON.tolist(), XYZ[7].tolist()], labels=[1, 0], header=sent.header)
    (instance,), (same,) = answer.result.instances, expected.result.instances
    assert instance.indices == same.indices
    assert len(answer.object_points) == 1


def test_a_callback_gets_masks_while_others_of_its_executor_run(
    client: Client, planner: Node, asking: PointSamClient
) -> None:
    sent = client.send(client.cloud(XYZ))
    answers, ticks = [], []

    async def ask() -> None:
        first.cancel()
        answers.append(await asking.segment_async([ON], stamp=sent.header.stamp))

    first = planner.create_timer(0.01, ask)
    others = ReentrantCallbackGroup()
    planner.create_timer(0.01, lambda: ticks.append(1), callback_group=others)
    executor = SingleThreadedExecutor(context=planner.context)
    executor.add_node(planner)
    deadline = time.monotonic() + 30
    while not answers and time.monotonic() < deadline:
        executor.spin_once(0.05)
    executor.shutdown()
    assert answers[0].success and len(ticks) > 1


def test_a_node_that_another_thread_spins_gets_masks(
    client: Client, planner: Node, asking: PointSamClient
) -> None:
    sent = client.send(client.cloud(XYZ))
    executor = SingleThreadedExecutor(context=planner.context)
    executor.add_node(planner)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        with pytest.raises(RefusedError):  # which is no reason for the thread to end
            asking.segment([FAR], stamp=sent.header.stamp)
        assert asking.segment([ON], stamp=sent.header.stamp).success
    finally:
        executor.shutdown()
        thread.join()


def test_a_refusal_says_why(client: Client, asking: PointSamClient) -> None:
    client.send(client.cloud(XYZ))
    with pytest.raises(RefusedError, match="nearest point") as told:
        asking.segment([FAR])
    assert told.value.code == Code.TOO_FAR
    with pytest.raises(RefusedError) as told:
        asking.segment([])
    assert told.value.code == Code.BAD_REQUEST


def test_what_passes_is_asked_again(client: Client, asking: PointSamClient) -> None:
    """No cloud is there when the client first asks."""
    came: list[object] = []
    thread = threading.Thread(target=lambda: came.append(asking.segment([ON])))
    thread.start()
    client.settle(0.2)
    cloud = client.cloud(XYZ)
    client.wait_for(lambda: client.publish(cloud) or came, "answer")
    thread.join()


def test_proposals_come_with_their_progress(client: Client, asking: PointSamClient) -> None:
    assert not client.set(proposals__min_score=0.0, proposals__max_share=1.0)
    told: list[tuple[int, int]] = []
    found = asking.propose(
        cloud=cloud_msgs.write(client.cloud(XYZ).header, XYZ),
        max_instances=3,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert 0 < len(found.instances) <= 3
    assert told and all(done <= total for done, total in told)


def test_an_object_that_nobody_follows_cannot_be_released(
    client: Client, asking: PointSamClient
) -> None:
    with pytest.raises(RefusedError, match="12345"):
        asking.release([12345])
    assert asking.release() == []


@pytest.fixture
def alone() -> Iterator[Node]:
    """A planner where no node `pointsam` is."""
    yield from planner_in(free_domain())


def test_without_a_node_nobody_waits_for_ever(alone: Node) -> None:
    asking = PointSamClient(alone, timeout_s=0.3)
    for ask in (lambda: asking.segment([ON]), asking.propose, asking.release):
        with pytest.raises(NoAnswerError, match="is the node running"):
            ask()
    asking.destroy()


def test_where_the_node_has_ended_nobody_waits_on(alone: Node) -> None:
    def check() -> None:
        raise RuntimeError("the node has ended")

    asking = PointSamClient(alone, timeout_s=60.0, check=check)
    for ask in (asking.wait_until_ready, lambda: asking.segment([ON]), asking.propose):
        with pytest.raises(RuntimeError, match="has ended"):
            ask()
    asking.destroy()


def test_a_node_that_never_comes_is_not_waited_for_for_ever(alone: Node) -> None:
    asking = PointSamClient(alone, timeout_s=0.2)
    with pytest.raises(NoAnswerError, match=r"not ready within 0\.5 s"):
        asking.wait_until_ready(0.5)
    asking.destroy()


def test_a_callback_that_must_not_wait_is_told_which_method_may(alone: Node) -> None:
    asking = PointSamClient(alone, timeout_s=0.1, attempts=1, pause_s=0.0)
    errors: list[Exception] = []

    def wrong() -> None:
        try:
            asking.segment([ON])
        except TimeoutError as error:
            errors.append(error)

    alone.create_timer(0.01, wrong)
    executor = SingleThreadedExecutor(context=alone.context)
    executor.add_node(alone)
    while not errors:
        executor.spin_once(0.1)
    executor.shutdown()
    asking.destroy()
    assert "_async" in str(errors[0])


def test_two_programs_may_call_their_sessions_alike(
    client: Client, asking: PointSamClient, domain: int
) -> None:
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("other", context=context)
    other = PointSamClient(node, pause_s=0.3)
    try:
        mine, others = client.cloud(XYZ), client.cloud(XYZ + 0.5)
        asking.segment([ON], cloud=mine, session="cup")
        other.segment([ON + 0.5], cloud=others, session="cup")
        answer = asking.segment([XYZ[7]], [0], session="cup")
        assert answer.result.header == mine.header
    finally:
        other.destroy()
        node.destroy_node()
        rclpy.shutdown(context=context)


def test_requests_of_a_session_are_taken_back_one_by_one(
    client: Client, asking: PointSamClient
) -> None:
    first = asking.segment([ON], cloud=client.cloud(XYZ), session="cup")
    second = asking.segment([XYZ[7]], [0], session="cup")
    third = asking.segment([XYZ[9]], [0], session="cup")
    assert asking.undo("cup") == second.result
    assert asking.undo("cup") == first.result
    again = asking.segment([XYZ[7]], [0], session="cup")
    assert [i.indices for i in again.result.instances] == [
        i.indices for i in second.result.instances
    ]
    assert third.success
    asking.undo("cup")
    assert not asking.undo("cup").instances, "before the first request there is no mask"
    with pytest.raises(RefusedError, match="nothing is left to be taken back") as caught:
        asking.undo("cup")
    assert caught.value.code == Code.BAD_REQUEST


def test_an_ended_session_is_unknown(client: Client, asking: PointSamClient) -> None:
    asking.segment([ON], cloud=client.cloud(XYZ), session="cup")
    asking.end("cup")
    for edit in (asking.undo, asking.end):
        with pytest.raises(RefusedError, match=r"there is no session .*cup") as caught:
            edit("cup")
        assert caught.value.code == Code.SESSION_LOST
