"""Transitions at every moment: who waits is answered, what was held is let go."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from domains import free_domain
from forked_nodes import ForkedNode
from lifecycle_msgs.msg import Transition
from node_process import RANDOM_MODEL, TINY, WAIT_S, Client
from places import ROOT
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from pointsam_interfaces.srv import SegmentPrompts
from pointsam_ros import segment_node
from pointsam_ros.codes import Code
from pointsam_ros.segment_node import READY, SegmentNode
from pointsam_ros.work import loaded

pytestmark = pytest.mark.dds

Start = Callable[..., tuple[ForkedNode, Client]]
SHIPPED = ROOT / "pointsam_model" / "weights" / "tiny.safetensors"
UP = (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)
DOWN = (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)

with np.load(TINY / "raw_input.npz", allow_pickle=False) as raw:
    XYZ = raw["raw_xyz"].astype(np.float32)

# A model that is busy for seconds with a large cloud: time to interrupt it.
SLOW = {
    "reduction__max_points": 20_000,
    "predictor__num_patches": 2048,
    "predictor__patch_size": 256,
    "embed__mode": "on_prompt",
}


def large_cloud(client: Client) -> Any:
    return client.cloud(np.random.default_rng(0).uniform(-1, 1, (300_000, 3)).astype(np.float32))


# The node in this process: what it holds.


class Inside:
    """A node in this process, spun by whoever waits."""

    def __init__(self, context: Context) -> None:
        given = [Parameter(name, value=value) for name, value in RANDOM_MODEL.items()]
        given.append(Parameter("autostart", value=False))
        self.node = SegmentNode(context=context, parameter_overrides=given)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)

    def until(self, wanted: Callable[[], Any]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not wanted():
            assert time.monotonic() < deadline, self.node.state.text
            self._executor.spin_once(0.02)

    def activate(self) -> None:
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        self.until(lambda: self.node.state == READY)

    def close(self) -> None:
        self.node.trigger_shutdown()
        self._executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def inside() -> Iterator[Inside]:
    context = Context()
    rclpy.init(context=context, domain_id=free_domain())
    made = Inside(context)
    yield made
    made.close()
    rclpy.shutdown(context=context)


def test_deactivating_lets_go_of_the_model_and_the_embeddings(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[bool] = []
    free_really = segment_node.free_device_memory

    def free() -> None:
        free_really()
        freed.append([each() for each in held] == [None, None])

    monkeypatch.setattr(segment_node, "free_device_memory", free)
    node = inside.node
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    inside.activate()
    segmenter = node.requests.loaded().segmenter
    client = node.create_client(SegmentPrompts, "~/segment_prompts")
    cloud = Client.cloud(_Stamps(node), XYZ)  # type: ignore[arg-type]
    request = SegmentPrompts.Request(cloud=cloud, session="kept")
    request.points = [_point(XYZ[0])]
    answer = client.call_async(request)
    inside.until(answer.done)
    assert answer.result().code == Code.OK
    model = segmenter._predictor.model
    embedding = segmenter._sessions.get("kept").cloud.embedding
    held = [weakref.ref(model), weakref.ref(embedding)]
    del segmenter, model, embedding
    late = client.call_async(request)  # is in the middle of it, or waits for its turn
    inside.until(lambda: node.open_requests or late.done())
    assert node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    inside.until(lambda: late.done() and freed)
    assert late.result().code in (Code.OK, Code.NOT_READY)
    assert freed == [True], "the device's memory is given back when the model is gone, not before"


def test_a_transition_that_fails_half_way_leaves_nothing_open(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = inside.node
    parts = _parts(inside)

    def broken(_: SegmentNode) -> None:
        raise RuntimeError("no more sockets")

    with monkeypatch.context() as patched:
        patched.setattr(segment_node, "TimingTopics", broken)
        assert node.trigger_configure() == TransitionCallbackReturn.ERROR
    assert "no more sockets" in node.state.text
    assert node.state.level == DiagnosticStatus.ERROR
    assert _parts(inside) == parts
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    inside.activate()


def test_a_node_that_is_deactivated_while_it_loads_does_not_become_ready(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, begun, go, loads = inside.node, threading.Event(), threading.Event(), []
    load_really = loaded.load_model

    def slow(**settings: Any) -> Any:
        loads.append(settings)
        begun.set()
        assert go.wait(WAIT_S)
        return load_really(**settings)

    monkeypatch.setattr(loaded, "load_model", slow)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    for _ in range(4):  # only the first of them begins to load
        assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        assert begun.wait(WAIT_S)
        assert node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    workers = [each for each in threading.enumerate() if each.name == "pointsam worker"]
    go.set()
    for worker in workers:
        worker.join(WAIT_S)
    assert len(loads) == 1
    assert node.state.text == "the node is unconfigured"
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    inside.activate()


def _parts(inside: Inside) -> dict[str, int]:
    """How many entities of each kind the node has."""
    node = inside.node
    kinds = ("publishers", "subscriptions", "clients", "services", "timers", "waitables")
    return {kind: len(list(getattr(node, kind))) for kind in kinds}


class _Stamps:
    """What `Client.cloud` needs of a client."""

    _stamp_ns = 0

    def __init__(self, node: SegmentNode) -> None:
        self.node = node


def _point(row: np.ndarray) -> Any:
    from geometry_msgs.msg import Point

    return Point(**dict(zip("xyz", map(float, row), strict=True)))


# The node as a process: what its clients see.


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"model__checkpoint": "/nowhere.safetensors"}, "/nowhere.safetensors: No such file"),
        ({"model__device": "cuda:99"}, "torch sees"),
    ],
    ids=["no file", "no device"],
)
def test_what_cannot_be_loaded_fails_at_configure_and_the_node_lives_on(
    start: Start, parameters: dict[str, str], reason: str
) -> None:
    node, client = start(autostart=False, **parameters)
    assert not client.transition(Transition.TRANSITION_CONFIGURE)
    client.diagnostics(
        lambda status, _: status.level == DiagnosticStatus.ERROR and reason in status.message
    )
    assert reason in node.log
    client.check_refused(Code.NOT_READY, reason, XYZ[:1])
    assert node.end() == 0


def test_a_checkpoint_of_another_model_is_found_when_it_is_loaded(start: Start) -> None:
    node, client = start(autostart=False, model__checkpoint=str(SHIPPED))
    for transition in UP:
        assert client.transition(transition)
    client.diagnostics(
        lambda status, _: (
            status.level == DiagnosticStatus.ERROR and "cannot be loaded" in status.message
        )
    )
    client.check_refused(Code.NOT_READY, "cannot be loaded.*tiny.safetensors", XYZ[:1])
    for transition in DOWN:
        assert client.transition(transition)
    assert node.end() == 0


def test_what_is_pending_is_answered_when_the_node_is_cleaned_up_at_once(start: Start) -> None:
    node, client = start(**SLOW)
    client.wait_until_ready()
    cloud = large_cloud(client)
    handles = [client.propose(cloud=cloud) for _ in range(2)]
    results = [handle.get_result_async() for handle in handles]
    answers = [client.begin([(0, 0, 0.5)], cloud=cloud) for _ in range(3)]
    client.settle(0.5)
    assert not any(result.done() for result in results), "it should be in the middle of it"
    changes = [client.begin_transition(which) for which in DOWN]
    for waiting in (*changes, *answers, *results):
        client.wait_for(waiting.done, "answer")
    assert all(change.result().success for change in changes)
    assert {each.result().code for each in answers} <= {Code.OK, Code.NOT_READY}
    assert {result.result().result.code for result in results} == {Code.NOT_READY}
    assert all("deactivated" in result.result().result.message for result in results)
    for transition in UP:
        assert client.transition(transition)
    client.wait_until_ready()
    assert node.end() == 0
    assert "Traceback" not in node.log


def test_a_manager_may_shut_the_node_down_in_the_middle_of_a_request(start: Start) -> None:
    node, client = start(**SLOW)
    client.wait_until_ready()
    answer = client.begin([(0, 0, 0.5)], cloud=large_cloud(client))
    client.settle(0.5)
    assert not answer.done()
    assert client.transition(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    client.wait_for(answer.done, "answer")
    assert answer.result().code == Code.NOT_READY
    client.diagnostics(lambda status, _: status.message == "the node is finalized")
    assert "shut down for good; start it again" in client.ask().message
    assert node.end() == 0
    assert "Traceback" not in node.log


@pytest.mark.slow
def test_lives_without_end_leak_nothing(start: Start) -> None:
    node, client = start()
    client.wait_until_ready()
    held: list[tuple[int, float]] = []
    for _ in range(15):
        assert client.ask(XYZ[:1], cloud=client.cloud(XYZ)).code == Code.OK
        client.send(client.cloud(XYZ))
        for transition in (*DOWN, *UP):
            assert client.transition(transition)
        client.wait_until_ready()
        held.append((node.status("Threads"), node.status("VmRSS") / 1024))
    threads, resident_mib = zip(*held, strict=True)
    assert max(threads[5:]) <= threads[4] + 1, threads
    assert resident_mib[-1] - resident_mib[4] < 10, resident_mib
    topic = "/pointsam/points"
    client.wait_for(lambda: client.node.count_subscribers(topic) == 1, "end of old subscriptions")
    assert node.end() == 0
    assert "Traceback" not in node.log
