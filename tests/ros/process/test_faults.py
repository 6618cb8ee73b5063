"""What the node does when processes end, in whatever way and at whatever moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from forked_nodes import ForkedNode
from node_process import RANDOM_MODEL, TINY, Client, environment_of
from places import ROOT

from pointsam_ros.client.node_process import NodeProcess
from pointsam_ros.codes import Code

pytestmark = pytest.mark.dds

with np.load(TINY / "raw_input.npz", allow_pickle=False) as raw:
    XYZ = raw["raw_xyz"].astype(np.float32)

# A model that is busy for seconds with a cloud of many points.
SLOW = {
    "reduction__max_points": 20_000,
    "predictor__num_patches": 2048,
    "predictor__patch_size": 256,
}
MANY = np.random.default_rng(5).uniform(0.5, 1.5, (100_000, 3)).astype(np.float32)

Fork = Callable[..., ForkedNode]


@pytest.fixture
def client(own_client: Client) -> Client:
    return own_client


# Signals.


def loading(client: Client, node: ForkedNode) -> list[Any]:
    client.wait_for(node.listens_to_signals, "signal handler")
    return []


def embedding(client: Client, node: ForkedNode) -> list[Any]:
    client.wait_until_ready()
    client.publish(client.cloud(MANY))
    return []


def requests(client: Client, node: ForkedNode) -> list[Any]:
    client.wait_until_ready()
    cloud = client.cloud(MANY)
    return [client.begin([MANY[0]], cloud=cloud) for _ in range(5)]


def goals(client: Client, node: ForkedNode) -> list[Any]:
    client.wait_until_ready()
    cloud = client.cloud(MANY)
    return [client.propose(cloud=cloud).get_result_async() for _ in range(2)]


@pytest.mark.parametrize("doing", [loading, embedding, requests, goals])
def test_a_signal_at_a_random_moment_ends_the_node_with_status_0_and_everybody_answered(
    fork: Fork, client: Client, doing: Callable[[Client, ForkedNode], list[Any]]
) -> None:
    moments = random.Random(doing.__name__)
    for number, twice in ((signal.SIGINT, False), (signal.SIGTERM, True)):
        node = fork(**SLOW)
        waiting = doing(client, node)
        client.settle(moments.uniform(0.0, 0.7))
        memory = node.shared_memory()
        assert memory or doing is loading
        began = time.monotonic()
        node.send(number)
        if twice:
            client.settle(moments.uniform(0.0, 0.3))
            node.send(moments.choice([signal.SIGINT, signal.SIGTERM]))
        for answer in waiting:
            client.wait_for(answer.done, "answer")
        assert node.end(number) == 0, node.log
        assert time.monotonic() - began < 10.0
        assert "Traceback" not in node.log, node.log
        assert not [file for file in memory if file.exists()], "shared memory is left behind"


def test_requests_that_the_node_has_not_looked_at_when_the_signal_comes_are_answered(
    fork: Fork, client: Client
) -> None:
    node = fork()
    client.wait_until_ready()
    answers = [client.begin([(0, 0, 1)]) for _ in range(40)]
    node.send(signal.SIGTERM)
    for answer in answers:
        client.wait_for(answer.done, "answer")
        assert answer.result().code in (Code.NO_CLOUD, Code.NOT_READY, Code.OVERLOADED)
    assert node.end() == 0


def test_a_signal_while_python_imports_ends_the_process_at_once(
    own_domain: int, tmp_path: Path
) -> None:
    environment = environment_of(own_domain)
    with NodeProcess(RANDOM_MODEL, tmp_path / "log", environment=environment) as node:
        time.sleep(0.5)
        began = time.monotonic()
        status = node.end(signal.SIGTERM)
    assert status in (-signal.SIGTERM, 0)  # 0: the machine is so fast that it runs already
    assert time.monotonic() - began < 5.0


# Killed.


@pytest.mark.parametrize("doing", [loading, requests, goals])
def test_a_node_that_is_killed_at_a_random_moment_starts_again_and_answers(
    fork: Fork, client: Client, doing: Callable[[Client, ForkedNode], list[Any]]
) -> None:
    moments = random.Random(doing.__name__)
    node = fork(**SLOW)
    waiting = doing(client, node)
    client.settle(moments.uniform(0.0, 0.7))
    assert node.end(signal.SIGKILL) == -signal.SIGKILL
    client.settle(0.2)
    assert not any(answer.done() for answer in waiting), "nobody can answer those any more"
    again = fork()
    client.wait_until_ready()
    client.wait_for(lambda: answered(client), "answer")
    assert again.end() == 0
    assert "Traceback" not in again.log, again.log


def answered(client: Client) -> bool:
    """Whether a good request is answered within five seconds, as clients should ask."""
    answer = client.begin([XYZ[0]], cloud=client.cloud(XYZ))
    deadline = time.monotonic() + 5.0
    while not answer.done() and time.monotonic() < deadline:
        client.settle(0.05)
    return answer.done() and answer.result().code == Code.OK


def example(domain: int, name: str, *arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, f"examples/{name}.py", *map(str, arguments)],
        cwd=ROOT,
        env={
            **os.environ,
            "ROS_DOMAIN_ID": str(domain),
            "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_examples_get_their_answers_from_the_node_that_comes_after_a_killed_one(
    fork: Fork, client: Client, own_domain: int
) -> None:
    node = fork(**SLOW, embed__mode="on_prompt", clouds__stale_s=0.0)
    client.wait_until_ready()
    busy = [client.begin([MANY[0]], cloud=client.cloud(MANY)) for _ in range(12)]
    asked = [
        example(own_domain, "02_grasp", "--timeout", 8, "--opening", 100, "--", *XYZ[100]),
        example(own_domain, "03_navigation", "--timeout", 8),
    ]

    client.wait_for(
        lambda: {"grasp_client", "navigation_client"} <= set(client.node.get_node_names()),
        "examples",
    )
    client.settle(2.0)
    assert not busy[-1].done(), "the node should be in the middle of it"
    node.kill()
    fork(clouds__stale_s=0.0, proposals__min_score=0.0, proposals__min_stability=0.0)
    cloud = client.cloud(XYZ)
    while any(process.poll() is None for process in asked):
        client.publish(cloud)
        client.settle(0.2)
    for process in asked:
        output, errors = process.communicate()
        assert process.returncode == 0, (output, errors)
        assert "asks again" in errors


# Two nodes of one name.


def test_two_nodes_of_one_name_are_told_in_the_diagnostics_until_one_of_them_ends(
    fork: Fork, client: Client
) -> None:
    first, second = fork(), fork()
    client.wait_for(lambda: all("ready:" in node.log for node in (first, second)), "models")
    client.diagnostics(
        lambda status, _: (
            status.level == DiagnosticStatus.WARN
            and "2 nodes are named /pointsam" in status.message
            and "-r __node:=" in status.message
        )
    )
    assert client.ask([XYZ[0]], cloud=client.cloud(XYZ)).code == Code.OK, "one answer, of one"
    assert second.end() == 0
    client.diagnostics(lambda status, _: status.level == DiagnosticStatus.OK)
    assert client.ask([XYZ[0]], cloud=client.cloud(XYZ)).code == Code.OK
    assert first.end() == 0
