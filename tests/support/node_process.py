"""What tests give a node that runs in a process of its own, and a client that talks to it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import places
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, PointStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from pointsam_interfaces.action import ProposeInstances
from pointsam_interfaces.srv import SegmentPrompts
from pointsam_model.config.building import settings
from pointsam_ros.client import PointSamClient
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.codes import Code
from pointsam_ros.config import NodeConfig, is_live

TINY = places.TINY  # random weights: quick, and masks of some kind
RANDOM_MODEL = {
    "model.preset": str(TINY / "config.json"),
    "model.checkpoint": str(TINY / "weights.safetensors"),
    "model.device": "cpu",
}
WAIT_S = 30.0
STEP_NS = 50_000_000  # between the stamps of two clouds, well beyond the node's tolerance
FAR = (1e6, 1e6, 1e6)


def status_of(pid: int, name: str) -> int:
    """A number of a process's /proc/PID/status, memory in KiB."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
    assert found, text
    return int(found[1])


def environment_of(domain: int) -> dict[str, str]:
    """What a test's node finds that differs from the tests' own."""
    return {"ROS_DOMAIN_ID": str(domain), "OMP_NUM_THREADS": "1"}


class Client:
    """What a planner does: publishes clouds, asks, and looks at what comes back."""

    def __init__(self, domain: int, namespace: str = "", points: str = "") -> None:
        name = f"{namespace}/pointsam"
        self._changed: set[str] = set()
        self._stamp_ns = 0
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node("client", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        reliable = QoSProfile(depth=10, reliability=QoSReliabilityPolicy.RELIABLE)
        self._points = self.node.create_publisher(PointCloud2, points or f"{name}/points", reliable)
        self.pointsam = PointSamClient(self.node, name)
        self._clicks = {
            topic: self.node.create_publisher(PointStamped, topic, 10)
            for topic in ("/clicked_point", f"{name}/clicked_negative")
        }
        self._set = self.node.create_client(SetParameters, f"{name}/set_parameters")
        self._change = self.node.create_client(ChangeState, f"{name}/change_state")

    def close(self) -> None:
        self._executor.shutdown()
        self.pointsam.destroy()  # it would hold the node, and with it 35 MB of shared memory
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def wait_for(self, what: Callable[[], Any], name: str, timeout_s: float = WAIT_S) -> Any:
        """Spins until `what` gives something, and gives that."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if result := what():
                return result
            self._executor.spin_once(0.02)
        raise AssertionError(f"no {name} within {timeout_s} s")

    def call(self, client: Any, request: Any, timeout_s: float = WAIT_S) -> Any:
        assert client.wait_for_service(WAIT_S), f"no service {client.srv_name}"
        future = client.call_async(request)
        self.wait_for(future.done, f"answer of {client.srv_name}", timeout_s)
        return future.result()

    def begin(self, points: Any = (), **request: Any) -> Any:
        """Sends a request; gives its future."""
        assert self.pointsam.prompts.wait_for_service(WAIT_S)
        message = SegmentPrompts.Request(**request)
        message.points = [Point(**_xyz(point)) for point in points]
        return self.pointsam.prompts.call_async(message)

    def ask(self, points: Any = (), timeout_s: float = WAIT_S, **request: Any) -> Any:
        """Sends a request and gives the response."""
        future = self.begin(points, **request)
        self.wait_for(future.done, "answer", timeout_s)
        return future.result()

    def check_refused(self, code: Code, reason: str, points: Any = (), **request: Any) -> None:
        """A request is refused with this code, and a message that matches `reason`."""
        response = self.ask(points, **request)
        assert not response.success
        assert response.code == code, f"{Code(response.code).name}: {response.message}"
        assert re.search(reason, response.message), response.message
        assert not response.result.instances

    def propose(self, on_feedback: Callable[[Any], None] | None = None, **goal: Any) -> Any:
        """Sends a goal; gives its handle once it is accepted."""
        assert self.pointsam.goals.wait_for_server(WAIT_S)
        sent = self.pointsam.goals.send_goal_async(ProposeInstances.Goal(**goal), on_feedback)
        self.wait_for(sent.done, "word on the goal")
        assert sent.result().accepted
        return sent.result()

    def outcome(self, handle: Any, timeout_s: float = 2 * WAIT_S) -> tuple[int, Any]:
        """How an accepted goal ends: its status and result."""
        future = handle.get_result_async()
        self.wait_for(future.done, "result", timeout_s)
        return future.result().status, future.result().result

    def click(self, point: Any, topic: str = "/clicked_point", frame: str = "camera") -> None:
        """Publishes a point as RViz does: stamped with the time of the click."""
        publisher = self._clicks[topic]
        self.wait_for(publisher.get_subscription_count, f"subscription to {topic}")
        header = Header(frame_id=frame, stamp=self.node.get_clock().now().to_msg())
        publisher.publish(PointStamped(header=header, point=Point(**_xyz(point))))

    def settle(self, seconds: float = 0.2) -> None:
        """Lets messages come for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._executor.spin_once(0.02)

    def wait_until_ready(self) -> None:
        """Until the model is loaded, and answers come here."""
        ready = self._executor.create_task(self.pointsam.wait_until_ready_async(4 * WAIT_S))
        self.wait_for(ready.done, "model", 2 * WAIT_S)

    def publish(self, msg: PointCloud2) -> None:
        self.wait_for(self._points.get_subscription_count, "subscription to clouds")
        self._points.publish(msg)

    def stop_publishing(self) -> None:
        """Takes its own publisher of clouds away."""
        self.node.destroy_publisher(self._points)

    def send(self, msg: PointCloud2) -> PointCloud2:
        """Publishes a cloud until the node has it."""
        header = Header(stamp=msg.header.stamp)

        def arrived() -> bool:
            self.publish(msg)
            return bool(self.ask([FAR], header=header).code == Code.TOO_FAR)

        self.wait_for(arrived, "retained cloud")
        return msg

    def set(self, **parameters: Any) -> list[str]:
        """Sets parameters (`__` for a dot); gives the reasons of those that were refused."""
        request = SetParameters.Request()
        for name, value in parameters.items():
            parameter = Parameter(name.replace("__", "."), value=value)
            self._changed.add(parameter.name)
            request.parameters.append(parameter.to_parameter_msg())
        results = self.call(self._set, request).results
        return [result.reason for result in results if not result.successful]

    def reset_parameters(self) -> None:
        """Gives every parameter that was set its default again."""
        defaults = {name: value for name, value, _ in settings(NodeConfig())}
        live = {name: defaults[name] for name in self._changed if is_live(name)}
        assert not self.set(**live)
        self._changed.clear()

    def transition(self, which: int) -> bool:
        """A lifecycle transition; whether it succeeded."""
        changing = self.begin_transition(which)
        self.wait_for(changing.done, "end of the transition")
        return bool(changing.result().success)

    def begin_transition(self, which: int) -> Any:
        """Asks for a lifecycle transition; gives its future."""
        assert self._change.wait_for_service(WAIT_S)
        return self._change.call_async(ChangeState.Request(transition=Transition(id=which)))

    def listen(self, kind: Any, topic: str) -> list[Any]:
        """The list into which messages of a topic come."""
        heard: list[Any] = []
        self.node.create_subscription(kind, topic, heard.append, 10)
        self.wait_for(lambda: self.node.count_publishers(topic), f"publisher of {topic}")
        return heard

    def diagnostics(self, until: Callable[[Any, dict[str, str]], bool]) -> dict[str, str]:
        """The values of the first diagnostics of which `until(status, values)` is true."""
        heard: list[DiagnosticArray] = []
        listening = self.node.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)

        def wanted() -> dict[str, str] | None:
            for message in heard:
                (status,) = message.status
                values = {item.key: item.value for item in status.values}
                if until(status, values):
                    return values
            return None

        try:
            return self.wait_for(wanted, "such diagnostics")
        finally:
            self.node.destroy_subscription(listening)

    def cloud(self, xyz: np.ndarray, rgb: np.ndarray | None = None, **how: Any) -> PointCloud2:
        """A cloud of the coordinate frame `camera`, measured now; no two at the same time."""
        now = self.node.get_clock().now().nanoseconds
        self._stamp_ns = max(now, self._stamp_ns + STEP_NS)
        stamp = Time(sec=self._stamp_ns // 10**9, nanosec=self._stamp_ns % 10**9)
        return cloud_msgs.write(Header(stamp=stamp, frame_id="camera"), xyz, rgb, **how)


def _xyz(point: Any) -> dict[str, float]:
    return dict(zip("xyz", map(float, point), strict=True))
