"""Some of the flood's clients, in a process of their own; started by `benchmarks.endurance.flood`.

    python -m benchmarks.endurance.flood_clients FOLDER NUMBER CLIENTS GOALS

FOLDER holds what the clients send. Each line of the input is a phase, a JSON object of its
`seconds`, the requests `in_flight` of a client (of goals: one), and the `pause_s` after a refusal;
each line of the output says that the clients are ready, or where the answers of a phase are.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import rclpy
from geometry_msgs.msg import Point
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.task import Future
from sensor_msgs.msg import PointCloud2

from pointsam_interfaces.action import ProposeInstances
from pointsam_interfaces.srv import SegmentPrompts
from pointsam_ros.transport import SERVICE_QOS

ATTACHED, CLICKS = "attached.cdr", "clicks.json"
GOAL = "goal"
SHARES = {  # of the requests
    "one click": 40,
    "four objects": 15,
    "session": 20,
    "with points": 10,
    "attached cloud": 5,
    "bad request": 10,
}
REFINEMENTS = 4  # of a session, before the next
NICE = 10  # clients of a robot are on other cores: here they leave the node its share
LATE_S = 300.0  # an answer that has not come so long after the last request is lost
OVERLOADED = SegmentPrompts.Response.OVERLOADED


@dataclass(frozen=True)
class Phase:
    """How the clients behave for a while."""

    seconds: float
    in_flight: int
    pause_s: float


@dataclass
class Sent:
    """What the clients of this process can send, and what became of it.

    Attributes:
        answers: (kind, code, seconds from sending to having the answer) of each.
        sent: how many of each kind.
        silent: refusals without a reason.
    """

    attached: PointCloud2
    clicks: list[list[float]]
    answers: list[tuple[str, int, float]] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    silent: int = 0


class Client:
    """One client: keeps some requests, or goals, in flight."""

    def __init__(self, node: Node, seed: int, makes_goals: bool, shared: Sent) -> None:
        self._node = node
        self._rng = Random(seed)
        self._shared = shared
        self._makes_goals = makes_goals
        self._sessions = 0
        self._open = 0
        self._not_before = 0.0
        self.phase: Phase | None = None
        if makes_goals:
            self._action = ActionClient(
                node,
                ProposeInstances,
                "/pointsam/propose_instances",
                goal_service_qos_profile=SERVICE_QOS,
                result_service_qos_profile=SERVICE_QOS,
            )
        else:
            self._service = node.create_client(
                SegmentPrompts, "/pointsam/segment_prompts", qos_profile=SERVICE_QOS
            )

    @property
    def waits(self) -> bool:
        """Whether answers are still to come."""
        return self._open > 0

    def is_known(self, executor: SingleThreadedExecutor) -> bool:
        """Whether the node's answers find their way here."""
        if self._makes_goals:
            return bool(self._action.server_is_ready())
        if not self._service.service_is_ready():
            return False
        future = self._service.call_async(SegmentPrompts.Request())
        deadline = time.monotonic() + 3.0
        while not future.done() and time.monotonic() < deadline:
            executor.spin_once(0.02)
        return bool(future.done() and future.result().code == SegmentPrompts.Response.BAD_REQUEST)

    def fill(self) -> None:
        """Sends as much as the phase allows."""
        phase = self.phase
        most = 1 if self._makes_goals or phase is None else phase.in_flight
        while phase and self._open < most and time.monotonic() >= self._not_before:
            self._open += 1
            if self._makes_goals:
                self._send_goal()
            else:
                self._send_request()

    def _send_request(self) -> None:
        (kind,) = self._rng.choices(list(SHARES), list(SHARES.values()))
        self._shared.sent[kind] += 1
        request = self._request(kind)
        began = time.perf_counter()
        self._service.call_async(request).add_done_callback(
            lambda future: self._came(kind, began, future.result())
        )

    def _send_goal(self) -> None:
        self._shared.sent[GOAL] += 1
        began = time.perf_counter()

        def on_accepted(sent: Future) -> None:
            sent.result().get_result_async().add_done_callback(
                lambda future: self._came(GOAL, began, future.result().result)
            )

        self._action.send_goal_async(ProposeInstances.Goal()).add_done_callback(on_accepted)

    def _came(self, kind: str, began: float, answer: Any) -> None:
        self._shared.answers.append((kind, int(answer.code), time.perf_counter() - began))
        self._shared.silent += not answer.success and not answer.message
        self._open -= 1
        if answer.code == OVERLOADED and self.phase is not None:
            self._not_before = time.monotonic() + self.phase.pause_s

    def _request(self, kind: str) -> SegmentPrompts.Request:
        request = SegmentPrompts.Request()
        count = 4 if kind == "four objects" else 1
        for x, y, z in self._rng.sample(self._shared.clicks, count):
            request.points.append(Point(x=x, y=y, z=z))
        request.object_ids = list(range(1, count + 1))
        request.return_points = kind == "with points"
        if kind == "attached cloud":
            request.cloud = self._shared.attached
        if kind == "bad request":
            request.labels = [7]
        if kind == "session":
            self._sessions += 1
            request.session = f"{self._node.get_name()} {self._sessions // REFINEMENTS}"
        return request


def main(folder: Path, number: int, clients: int, goals: int) -> None:
    """Runs the phases that the input names, until its end."""
    os.nice(NICE)
    clicks = json.loads((folder / CLICKS).read_text())
    attached = deserialize_message((folder / ATTACHED).read_bytes(), PointCloud2)
    shared = Sent(attached, clicks)
    rclpy.init(args=[])
    executor = SingleThreadedExecutor()
    crowd = []
    for row in range(clients):
        node = rclpy.create_node(
            f"client_{number}_{row}", start_parameter_services=False, enable_rosout=False
        )
        executor.add_node(node)
        crowd.append(Client(node, 1_000 * number + row, row < goals, shared))
    while not all(client.is_known(executor) for client in crowd):
        executor.spin_once(0.1)
    _tell({"ready": clients})
    for line in sys.stdin:
        phase = Phase(**json.loads(line))
        shared.answers, shared.sent, shared.silent = [], Counter(), 0
        _run(phase, crowd, executor)
        file = folder / f"answers-{number}-{time.monotonic_ns()}.json"
        file.write_text(json.dumps(shared.answers))
        _tell({"sent": shared.sent, "silent": shared.silent, "answers": str(file)})


def _run(phase: Phase, crowd: list[Client], executor: SingleThreadedExecutor) -> None:
    """The phase, and the wait for its last answers."""
    end = time.monotonic() + phase.seconds
    for client in crowd:
        client.phase = phase
    while time.monotonic() < end:
        for client in crowd:
            client.fill()
        executor.spin_once(0.01)
    for client in crowd:
        client.phase = None
    late = time.monotonic() + LATE_S
    while any(client.waits for client in crowd) and time.monotonic() < late:
        executor.spin_once(0.05)


def _tell(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
