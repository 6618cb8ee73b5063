"""What the node says of its health over real middleware: diagnostics, and times while watched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from node_process import STEP_NS, TINY, Client
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Float64

from pointsam_interfaces.msg import InstanceArray
from pointsam_ros.codes import Code
from pointsam_ros.health.gaps import BLOCK
from pointsam_ros.health.tally import STAGES

pytestmark = pytest.mark.dds

with np.load(TINY / "raw_input.npz", allow_pickle=False) as raw:
    XYZ = raw["raw_xyz"].astype(np.float32)
    RGB = raw["raw_rgb"].astype(np.uint8)


def test_rates_age_and_memory_are_told_while_clouds_come_and_are_asked_about(
    client: Client,
) -> None:
    assert not client.set(diagnostics__max_cloud_age_s=0.001, diagnostics__error_factor=1e9)

    def told(status: Any, values: dict[str, str]) -> bool:
        client.publish(client.cloud(XYZ))
        assert client.ask(XYZ[:1], cloud=client.cloud(XYZ)).code == Code.OK
        client.settle(2 * STEP_NS * 1e-9)  # no faster than the stamps
        rates = ("clouds received [Hz]", "clouds embedded [Hz]", "requests answered [Hz]")
        return (
            all(float(values[rate] or 0) > 0 for rate in rates)
            and status.level == DiagnosticStatus.WARN
            and "the newest cloud on /pointsam/points is" in status.message
        )

    values = client.diagnostics(told)
    assert 0.0 <= float(values["newest cloud age [s]"]) < 30.0
    assert 50 < float(values["memory resident [MiB]"]) < 10_000
    assert not any(key.startswith("GPU") for key in values), "the node of the tests is on a CPU"


def test_a_driver_with_the_qos_of_sensors_is_heard(client: Client) -> None:
    best_effort = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    driver = client.node.create_publisher(PointCloud2, "/pointsam/points", best_effort)
    client.wait_for(driver.get_subscription_count, "subscription to clouds")
    cloud = client.cloud(XYZ, RGB)

    def answered() -> bool:
        driver.publish(cloud)
        return bool(client.ask(XYZ[:1], header=cloud.header).code == Code.OK)

    client.wait_for(answered, "answer on the driver's cloud")
    client.node.destroy_publisher(driver)


def test_stamps_that_a_steady_publisher_leaves_out_are_missing_clouds(client: Client) -> None:
    assert not client.set(embed__mode="on_prompt")
    known = int(client.diagnostics(lambda *_: True)["clouds missing"])
    rng = np.random.default_rng(1)
    beats = np.flatnonzero(rng.uniform(size=4 * BLOCK) > 0.3)[: 2 * BLOCK - 1]
    left_out = int(np.sum(np.diff(beats) - 1))
    cloud = client.cloud(XYZ)
    start_ns = cloud.header.stamp.sec * 10**9
    for beat in beats.tolist():
        stamp_ns = start_ns + beat * 33_333_333 + int(rng.integers(-2_000_000, 2_000_000))
        cloud.header.stamp = Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        client.publish(cloud)
        client.settle(0.02)

    def told(status: Any, values: dict[str, str]) -> bool:
        return (
            status.level == DiagnosticStatus.WARN
            and "are missing, by their stamps: not on their way" in status.message
            and int(values["clouds missing"]) - known >= left_out
        )

    values = client.diagnostics(told)
    assert int(values["clouds missing"]) - known == left_out


def test_the_stages_times_are_published_for_those_who_listen(client: Client) -> None:
    times = {stage: client.listen(Float64, f"/pointsam/debug/{stage}_ms") for stage in STAGES}
    client.listen(InstanceArray, "/pointsam/instances")
    asked = [stage for stage in STAGES if stage != "propose"]

    def all_told() -> bool:
        assert client.ask(XYZ[:1], cloud=client.cloud(XYZ, RGB)).code == Code.OK
        client.settle()
        return all(times[stage] for stage in asked)

    client.wait_for(all_told, "times")
    assert not times["propose"]
    handle = client.propose(cloud=client.cloud(XYZ, RGB))
    client.outcome(handle)
    client.wait_for(lambda: times["propose"], "time of the proposals")
    for heard in times.values():
        heard.clear()
    client.settle(0.5)
    assert client.ask(XYZ[:1], cloud=client.cloud(XYZ, RGB)).code == Code.OK
    client.wait_for(lambda: all(times[stage] for stage in asked), "times of one request")
    took = {stage: times[stage][0].data for stage in asked}
    parts = took["decode"] + took["reduce"] + took["encode"]
    assert parts == pytest.approx(took["embed"])
    assert took["segment"] > 0 and took["embed"] + took["segment"] <= took["request"]
