"""What the node does when what it stands on fails: files, disks, publishers, clocks."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import places
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from forked_nodes import ForkedNode
from lifecycle_msgs.msg import Transition
from node_process import FAR, RANDOM_MODEL, TINY, Client
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import PointCloud2

from pointsam_ros.codes import Code

pytestmark = pytest.mark.dds

with np.load(TINY / "raw_input.npz", allow_pickle=False) as raw:
    XYZ = raw["raw_xyz"].astype(np.float32)
GOOD = Path(RANDOM_MODEL["model.checkpoint"]).read_bytes()
SHIPPED = places.ROOT / "pointsam_model" / "weights" / "tiny.safetensors"
ERROR = DiagnosticStatus.ERROR

Fork = Callable[..., ForkedNode]


@pytest.fixture
def client(own_client: Client) -> Client:
    return own_client


# Checkpoints.


def test_whatever_is_wrong_with_the_checkpoint_is_told_and_the_right_one_mends_it(
    fork: Fork, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    node = fork(autostart=False, model__checkpoint=path)
    faults: list[tuple[str, Callable[[], Any], str]] = [
        ("missing", lambda: None, "No such file"),
        ("empty", lambda: path.write_bytes(b""), "not a safetensors file"),
        ("truncated", lambda: path.write_bytes(GOOD[:-1000]), "truncated or not a safetensors"),
        ("corrupted", lambda: path.write_bytes(GOOD[:20] + b"\xff" * 99 + GOOD[119:]), "truncated"),
        ("a pickle", lambda: path.write_bytes(pickle.dumps({"a": 1})), "pickle.*only safetensors"),
        ("of another preset", lambda: path.write_bytes(SHIPPED.read_bytes()), "model|tensor"),
        ("a folder", lambda: (path.unlink(), path.mkdir()), "directory|no regular file"),
    ]
    for name, make, reason in faults:
        make()
        was_configured, told = _loads(client)
        assert told.level == ERROR, name
        client.check_refused(Code.NOT_READY, f"(?s)model.safetensors.*({reason})", [XYZ[0]])
        if was_configured:
            _back_to_unconfigured(client)
    path.rmdir()
    path.write_bytes(GOOD)
    beside = tmp_path / "model.quality.safetensors"
    beside.write_bytes(b"no estimator")
    assert not _loads(client)[0], "a bad quality is found at once"
    client.check_refused(Code.NOT_READY, "model.quality.safetensors.*remove it", [XYZ[0]])
    beside.unlink()
    assert _loads(client)[1].level != ERROR
    assert client.ask([XYZ[0]], cloud=client.cloud(XYZ)).code == Code.OK
    assert node.end() == 0


def _loads(client: Client) -> tuple[bool, Any]:
    """Configures and activates; whether it was configured, and the status in the end."""
    was_configured = client.transition(Transition.TRANSITION_CONFIGURE)
    if was_configured:
        client.transition(Transition.TRANSITION_ACTIVATE)
    heard: list[Any] = []

    def ended(status: Any, _: dict[str, str]) -> bool:
        heard.append(status)
        return status.level == ERROR or status.message == "ready"

    client.diagnostics(ended)
    return was_configured, heard[-1]


def _back_to_unconfigured(client: Client) -> None:
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
        client.transition(transition)


# Disks.


def full_disk() -> None:
    """No file of this process may grow beyond 400 bytes, as on a disk that is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))


def test_where_no_log_can_be_written_requests_are_answered_all_the_same(
    own_domain: int, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = tmp_path / "logs"
    monkeypatch.setenv("ROS_LOG_DIR", str(logs))
    node = ForkedNode(own_domain, Path("/dev/full"), prepare=full_disk)
    try:
        client.wait_until_ready()
        for _ in range(10):
            assert client.ask([FAR], cloud=client.cloud(XYZ)).code == Code.TOO_FAR
        assert client.ask([XYZ[0]], cloud=client.cloud(XYZ)).code == Code.OK
        assert node.end() == 0
    finally:
        node.kill()
    (log,) = logs.iterdir()
    assert 0 < log.stat().st_size <= 400, "ten refusals do not fit"


def test_a_log_folder_that_cannot_be_made_is_named_and_the_node_does_not_start(
    fork: Fork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_LOG_DIR", "/dev/null/logs")
    node = fork()
    assert node.wait() == 1
    assert "/dev/null/logs" in node.log and "ROS_LOG_DIR" in node.log
    assert "Traceback" not in node.log


# Publishers.


def test_drivers_that_are_killed_in_the_middle_of_a_cloud_do_no_harm(
    fork: Fork, client: Client, own_domain: int
) -> None:
    node = fork()
    client.wait_until_ready()
    before = _resident_kib(node)
    cloud = client.cloud(XYZ)
    for _ in range(5):  # on a busy machine they may all be gone before they are discovered
        drivers = subprocess.Popen(
            [sys.executable, places.SUPPORT / "vanishing_publisher.py", "8", "0.5", "7"],
            env={**os.environ, "ROS_DOMAIN_ID": str(own_domain)},
        )
        while drivers.poll() is None:
            assert client.ask([XYZ[0]], cloud=cloud, timeout_s=60.0).code == Code.OK
        assert drivers.returncode == 0
        client.settle(1.5)  # the diagnostics are of each second
        values = client.diagnostics(lambda *_: True)
        if int(values["clouds received"]):
            break
    assert int(values["clouds received"]) > 0
    assert int(values["clouds refused"]) == 0, values["last refused cloud"]
    client.send(client.cloud(XYZ))
    assert client.ask([XYZ[0]]).code == Code.OK
    assert _resident_kib(node) - before < 600 * 1024, "20 clouds of 7.8 MB, and what reads one"
    assert node.end() == 0
    assert "Traceback" not in node.log, node.log


def _resident_kib(node: ForkedNode) -> int:
    status = Path(f"/proc/{node.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


# Clocks.


def test_when_the_clock_jumps_clouds_of_its_time_are_answered_and_the_jump_is_told(
    fork: Fork, client: Client
) -> None:
    node = fork(use_sim_time=True)
    client.wait_until_ready()
    clock = SimulatedClock(client)
    for second, jumps in ((1000, 0), (5000, 0), (1000, 1), (1_000_000, 1), (10, 2)):
        clock.set(second)
        last = _clouds_of(client, second)
        response = client.wait_for(lambda: _ok(client.ask([XYZ[0]])), f"answer at {second} s")
        assert response.result.header.stamp.sec == last.header.stamp.sec
        client.diagnostics(
            lambda status, values, jumps=jumps: (
                values["clouds time jumps"] == str(jumps) and status.level == DiagnosticStatus.OK
            )
        )
    assert node.end() == 0
    assert "Traceback" not in node.log, node.log


class SimulatedClock:
    """What a simulator or a bag's player publishes on /clock."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._publisher = client.node.create_publisher(Clock, "/clock", 10)

    def set(self, second: int) -> None:
        self._client.wait_for(self._publisher.get_subscription_count, "subscription to /clock")
        for _ in range(3):
            self._publisher.publish(Clock(clock=Time(sec=second)))
            self._client.settle(0.1)


def _clouds_of(client: Client, second: int) -> PointCloud2:
    """Publishes three clouds of a time; gives the last."""
    for tenth in range(3):
        cloud = client.cloud(XYZ)
        cloud.header.stamp = Time(sec=second, nanosec=tenth * 100_000_000)
        client.publish(cloud)
        client.settle(0.1)
    return cloud


def _ok(response: Any) -> Any:
    return response if response.code == Code.OK else None


def test_stamps_that_jump_do_not_stop_the_node(fork: Fork, client: Client) -> None:
    node = fork()
    client.wait_until_ready()
    moments = np.random.default_rng(1).integers(0, 2**31, 60)
    for second in moments.tolist():
        cloud = client.cloud(XYZ)
        cloud.header.stamp = Time(sec=second, nanosec=0)
        client.publish(cloud)
    client.settle(0.5)
    assert client.ask([XYZ[0]], cloud=client.cloud(XYZ)).code == Code.OK
    now = [client.cloud(XYZ) for _ in range(4)]

    def answered_about_now() -> bool:
        for cloud in now:
            client.publish(cloud)
        response = client.ask([XYZ[0]])
        return response.code == Code.OK and response.result.header in [each.header for each in now]

    client.wait_for(answered_about_now, "answer about the clouds of now")
    assert node.end() == 0
    assert "Traceback" not in node.log, node.log
