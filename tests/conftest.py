"""Fixtures for tests over real middleware; nothing of ROS is imported before a test wants it."""

from __future__ import annotations

import importlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import places
import pytest
from domains import free_domain
from places import ROOT

if TYPE_CHECKING:
    from forked_nodes import ForkedNode
    from node_process import Client

    from pointsam_ros.client.node_process import NodeProcess

TF2_STAND_IN = places.SUPPORT / "tf2_stand_in"

# Before the first participant: stay on this machine, and lose no large cloud.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(free_domain())  # of commands that a test runs
os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(ROOT / "config" / "fastdds_large_clouds.xml")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: as the last they would keep one process busy alone."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session", autouse=True)
def no_shared_memory_is_left() -> Iterator[None]:
    """Nodes that tests kill leave their segments behind: gigabytes, after a few runs."""
    from shared_memory import remove_abandoned, segments

    before = segments()
    yield
    remove_abandoned(segments() - before)


@pytest.fixture(scope="module")
def domain() -> int:
    """A ROS domain for the module's shared node."""
    return free_domain()


@pytest.fixture(scope="module")
def shared_node(domain: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One node with random weights for a whole module; `node` resets it for each test."""
    from node_process import RANDOM_MODEL, environment_of

    from pointsam_ros.client.node_process import NodeProcess

    log = tmp_path_factory.mktemp("node") / "log"
    with NodeProcess(RANDOM_MODEL, log, environment=environment_of(domain)) as process:
        yield process
        assert process.end() == 0, process.log
    assert "Traceback" not in process.log, process.log


@pytest.fixture(scope="module")
def shared_client(domain: int) -> Iterator[Client]:
    from node_process import Client

    client = Client(domain)
    yield client
    client.close()


@pytest.fixture
def client(shared_node: NodeProcess, shared_client: Client) -> Iterator[Client]:
    """A client of a node that is ready, knows no cloud, and has its default parameters."""
    from lifecycle_msgs.msg import Transition

    shared_client.wait_until_ready()
    yield shared_client
    shared_client.reset_parameters()
    assert shared_client.transition(Transition.TRANSITION_DEACTIVATE)
    assert shared_client.transition(Transition.TRANSITION_ACTIVATE)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[ForkedNode, Client]]]:
    """Starts nodes, each with a client on a domain of its own."""
    from forked_nodes import ForkedNode
    from node_process import Client

    nodes: list[ForkedNode] = []
    clients: list[Client] = []

    def start_one(**parameters: Any) -> tuple[ForkedNode, Client]:
        own = free_domain()
        nodes.append(ForkedNode(own, tmp_path / f"node{len(nodes)}.log", **parameters))
        clients.append(Client(own))
        return nodes[-1], clients[-1]

    yield start_one
    for client in clients:
        client.close()
    for node in nodes:
        node.kill()


@pytest.fixture
def own_domain() -> int:
    """A ROS domain for one test."""
    return free_domain()


@pytest.fixture
def own_client(own_domain: int) -> Iterator[Client]:
    """A client on the test's own domain."""
    from node_process import Client

    client = Client(own_domain)
    yield client
    client.close()


@pytest.fixture
def fork(own_domain: int, tmp_path: Path) -> Iterator[Callable[..., ForkedNode]]:
    """Starts nodes on the test's own domain, each at once."""
    from forked_nodes import ForkedNode

    nodes: list[ForkedNode] = []

    def fork_one(**parameters: Any) -> ForkedNode:
        nodes.append(ForkedNode(own_domain, tmp_path / f"node{len(nodes)}.log", **parameters))
        return nodes[-1]

    yield fork_one
    for node in nodes:
        node.kill()


@pytest.fixture
def tf2(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A strict stand-in of tf2_ros, for this test and the nodes that it starts; gone after it."""
    monkeypatch.syspath_prepend(str(TF2_STAND_IN))
    monkeypatch.setenv("PYTHONPATH", f"{TF2_STAND_IN}{os.pathsep}{TF2_STAND_IN.parent}", os.pathsep)
    monkeypatch.delitem(sys.modules, "tf2_ros", raising=False)
    yield importlib.import_module("tf2_ros")
    sys.modules.pop("tf2_ros", None)
