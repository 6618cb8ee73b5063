"""Message to answer through the middleware: the node as its own process, a 640 x 480 cloud."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import Point
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from pointsam_interfaces.srv import SegmentPrompts
from pointsam_model.config.model import WEIGHTS, preset
from pointsam_model.nn import PointSAM
from pointsam_model.weights.saving import save_checkpoint
from pointsam_ros.client import Code, PointSamClient
from pointsam_ros.client.node_process import NodeProcess, private_environment
from pointsam_ros.clouds import cloud_msgs

WIDTH, HEIGHT = 640, 480
PATIENCE_S = 60.0
ON_ITS_WAY_S = 2.0  # a cloud that has not come by then is lost


@dataclass(frozen=True)
class RosResult:
    """Medians over the rounds [s].

    Attributes:
        weights: shipped, or random where the package has none.
        points: of the cloud. dtype: of the weights in the node.
        first_mask: from publishing a cloud to the first mask on it.
        prompt: from sending a prompt on an embedded cloud to its answer.
        elapsed: of that, what the node itself reports.
    """

    weights: str
    points: int
    dtype: str
    first_mask: float
    prompt: float
    elapsed: float

    @property
    def embedding(self) -> float:
        """From publishing a cloud to its embedding: the first mask without its prompt."""
        return self.first_mask - self.prompt


def measure_ros(
    clouds: int, prompts: int, dtype: str, say: Callable[[str], None], device: str = "cpu"
) -> RosResult:
    """Publishes `clouds` clouds to the node with tiny's weights, and asks `prompts` times on each.

    Raises:
        RuntimeError: the node ends, or does not answer within a minute.
    """
    private_environment()
    with TemporaryDirectory() as folder:
        parameters = {"model.preset": "tiny", "model.dtype": dtype, "model.device": device}
        shipped = (WEIGHTS / "tiny.safetensors").exists()
        if not shipped:
            file = Path(folder) / "random.safetensors"
            save_checkpoint(PointSAM(preset("tiny")), file)
            parameters["model.checkpoint"] = str(file)
        say(f"node, tiny {dtype}: starting")
        with NodeProcess(parameters, Path(folder) / "node.log") as node:
            planner = _Planner(node)
            try:
                first, warm, elapsed = _ask(planner, clouds, prompts, say)
            finally:
                planner.close()
    return RosResult(
        "shipped" if shipped else "random",
        WIDTH * HEIGHT,
        dtype,
        median(first),
        median(warm),
        median(elapsed),
    )


def _ask(
    planner: _Planner, clouds: int, prompts: int, say: Callable[[str], None]
) -> tuple[list[float], list[float], list[float]]:
    first, warm, elapsed = [], [], []
    for number in range(clouds + 1):  # the first warms up
        say(f"node: cloud {number} of {clouds}")
        xyz, rgb = camera_cloud(seed=number)
        rng = np.random.default_rng(number)
        clicks = xyz[rng.choice(len(xyz), prompts + 1)]
        seconds, header = planner.publish_and_ask(xyz, rgb, clicks[0])
        if number == 0:
            continue
        first.append(seconds)
        for click in clicks[1:]:
            seconds, response = planner.ask(header, click)
            warm.append(seconds)
            elapsed.append(response.elapsed.sec + response.elapsed.nanosec * 1e-9)
    return first, warm, elapsed


class _CloudLost(Exception):
    """A cloud that was published has not come to the node."""


class _Planner:
    """Publishes clouds as a camera does and asks as a planner does."""

    def __init__(self, node: NodeProcess) -> None:
        self._process = node
        self._context = rclpy.Context()
        rclpy.init(context=self._context, args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("pointsam_benchmark", context=self._context)
        qos = QoSProfile(depth=2, reliability=QoSReliabilityPolicy.RELIABLE)
        self._publisher = self._node.create_publisher(PointCloud2, "/pointsam/points", qos)
        self._pointsam = PointSamClient(self._node, check=self._check)
        self._pointsam.wait_until_ready(PATIENCE_S)
        self._executor = rclpy.executors.SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)

    def close(self) -> None:
        self._executor.shutdown()
        self._pointsam.destroy()
        self._node.destroy_node()
        self._context.try_shutdown()

    def publish_and_ask(
        self, xyz: np.ndarray, rgb: np.ndarray, click: np.ndarray
    ) -> tuple[float, Header]:
        """Seconds from publishing a cloud to the first mask on it; and the cloud's header."""
        self._spin_until(self._publisher.get_subscription_count, "take clouds")
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id="camera")
            msg = cloud_msgs.write(header, xyz, rgb, height=HEIGHT)
            started = time.perf_counter()
            self._publisher.publish(msg)
            try:
                self.ask(header, click)
            except _CloudLost:  # as a sensor's may be: another one, timed from its own sending
                continue
            return time.perf_counter() - started, header
        raise RuntimeError(f"no cloud reached the node within {PATIENCE_S:.0f} s")

    def ask(self, header: Header, click: np.ndarray) -> tuple[float, Any]:
        """Seconds from a request to its answer; asks again while the cloud is on its way."""
        request = SegmentPrompts.Request(header=header)
        request.points = [Point(x=float(click[0]), y=float(click[1]), z=float(click[2]))]
        deadline = time.monotonic() + ON_ITS_WAY_S
        while True:
            started = time.perf_counter()
            future = self._pointsam.prompts.call_async(request)
            self._spin_until(future.done, "answer")
            seconds, response = time.perf_counter() - started, future.result()
            if response.success:
                return seconds, response
            if response.code != Code.NO_CLOUD:
                raise RuntimeError(f"the node refused the request: {response.message}")
            if time.monotonic() > deadline:
                raise _CloudLost
            time.sleep(0.005)

    def _spin_until(self, done: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            self._executor.spin_once(0.05)
            self._check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"the node did not {what} within {PATIENCE_S:.0f} s")

    def _check(self) -> None:
        if self._process.exit_status is not None:
            raise RuntimeError(f"the node ended:\n{self._process.last_lines()}")


def camera_cloud(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A wavy wall before a camera, 640 x 480 points [m], with balls in front of it."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    depth = 1.2 + 0.05 * np.sin(rows / 40) * np.cos(columns / 30)
    for _ in range(8):
        row, column, radius = rng.uniform((60, 80, 20), (HEIGHT - 60, WIDTH - 80, 60))
        inside = np.clip(1 - ((rows - row) ** 2 + (columns - column) ** 2) / radius**2, 0, None)
        depth -= np.sqrt(inside) * radius / 500
    depth += 0.001 * rng.standard_normal(depth.shape)
    directions = np.stack([(columns - 320) / 525, (rows - 240) / 525, np.ones_like(depth)], -1)
    xyz = (directions * depth[..., None]).reshape(-1, 3).astype(np.float32)
    return xyz, rng.integers(0, 256, xyz.shape, dtype=np.uint8)
