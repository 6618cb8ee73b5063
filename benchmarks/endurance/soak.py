"""Does the node take more and more of the machine? An hour of a sensor and of those who ask.

    python -m benchmarks.endurance.soak

Clouds of several scenes, sizes and layouts come at the sensor's rate, prompts, sessions, clicks and
goals meanwhile; subscribers come and go.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import rclpy
import typer
from geometry_msgs.msg import Point, PointStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from benchmarks.endurance.planner import NodeEndedError, Planner
from benchmarks.endurance.publishing import Sensor
from benchmarks.endurance.sensors import (
    clicks_on,
    depth_camera,
    generated_clouds,
    lidar,
)
from benchmarks.endurance.usage import (
    Usage,
    UsageOverTime,
    first_and_last,
)
from benchmarks.endurance.verdict import RESULTS, Verdict
from pointsam_interfaces.action import ProposeInstances
from pointsam_interfaces.msg import InstanceArray
from pointsam_interfaces.srv import SegmentPrompts
from pointsam_ros.client.node_process import NodeProcess, private_environment
from pointsam_ros.codes import Code

SIZES = (3_000, 8_000, 12_000, 20_000, 40_000)  # points of the clouds, about
SAMPLE_S = 1.0
EMBEDDINGS_MIB = 96  # that their bound is reached: what the node keeps is then always as much
SCENE_S = 5.0  # a scene stays so long before the sensor
REFINEMENTS = 6  # of a session, before the next
VISITORS_SEGMENTS = 3  # of shared memory, while the visitor is there
LATE_S = 300.0
TELL_S = 60.0
TOPICS = {
    "/pointsam/instances": InstanceArray,
    "/pointsam/segmented_points": PointCloud2,
    "/pointsam/markers": MarkerArray,
}


def main(
    minutes: Annotated[float, typer.Option(min=0.2, help="total duration")] = 60.0,
    rate: Annotated[float, typer.Option(min=0.1, help="clouds a second")] = 10.0,
    most_growth: Annotated[
        float, typer.Option(min=0.0, help="limit on growth of resident memory [%]")
    ] = 1.0,
    preset: Annotated[str, typer.Option(help="tiny, large, giant, or a JSON config")] = "tiny",
    checkpoint: Annotated[Path | None, typer.Option(help="weights; default: the shipped")] = None,
    output: Annotated[Path, typer.Option(help="folder of the numbers")] = RESULTS,
) -> None:
    """Works with the node for a long time; the exit status is 1 where it grows, or fails."""
    private_environment()
    verdict = Verdict("soak", output)
    messages = []
    for seed, size in enumerate(SIZES):
        table, street = generated_clouds(size, tables=1, streets=1, seed=seed)
        messages += [depth_camera(table), lidar(street)]
    verdict.say(f"{minutes:g} minutes at {rate:g} Hz, clouds of {_sizes(messages)} points")
    parameters = {"model.preset": preset, "embed.max_memory_mib": f"{EMBEDDINGS_MIB}"}
    if checkpoint is not None:
        parameters["model.checkpoint"] = str(checkpoint.absolute())
    with TemporaryDirectory() as folder:
        log = Path(folder) / "node.log"
        with NodeProcess(parameters, log) as process:
            planner = Planner(process)
            try:
                planner.wait_until_ready()
                soak(verdict, planner, process.pid, messages, minutes, rate, most_growth)
            except NodeEndedError as error:
                verdict.check("the node lives on", False, str(error))
            finally:
                planner.close()
        traces = log.read_text(errors="replace").count("Traceback")
        verdict.check("no traceback in the node's log", traces == 0, f"{traces}")
    sys.exit(verdict.close())


def soak(
    verdict: Verdict,
    planner: Planner,
    pid: int,
    messages: list[PointCloud2],
    minutes: float,
    rate: float,
    most_growth: float,
) -> None:
    """Everything at once for so many minutes, and what is to be said of it.

    Raises:
        NodeEndedError: the node ended.
    """
    began = time.monotonic()
    seen = [msg for msg in messages for _ in range(max(1, int(SCENE_S * rate)))]
    with Sensor(planner.publish, seen, rate) as sensor, UsageOverTime(pid, SAMPLE_S) as usage:
        people = People(planner, sensor, messages)
        told = began
        while (now := time.monotonic()) < began + 60 * minutes:
            people.act()
            planner.spin(0.02)
            if now > told + TELL_S and usage.samples:
                told = now
                verdict.say(f"  {(now - began) / 60:4.0f} min: {_told(usage.samples[-1])}")
        people.leave()
    answers = {code.name: people.codes[code] for code in Code if people.codes[code]}
    verdict.say(f"{sensor.sent:,} clouds, {people.asked:,} requests and goals: {answers}")
    verdict.check(
        "every request and goal got an answer",
        sum(people.codes.values()) == people.asked,
        f"{sum(people.codes.values()):,} of {people.asked:,}",
    )
    verdict.check(
        "no request fails",
        not {"FAILED", "NOT_READY"} & set(answers) and "OK" in answers,
        f"{answers}",
    )
    counts = planner.counters()
    clouds = {name: counts[name] for name in counts if name.startswith("clouds ")}
    samples = usage.samples
    first, last = first_and_last(samples)
    judge(verdict, first, last, most_growth)
    verdict.figures(
        minutes=minutes, rate_hz=rate, clouds_sent=sensor.sent, clouds=clouds, answers=answers,
        first=vars(first), last=vars(last),
        rss_mib=[round(sample.rss_mib, 1) for sample in samples],
    )  # fmt: skip


def judge(verdict: Verdict, first: Usage, last: Usage, most_growth: float) -> None:
    """Whether the node takes as much at the end as after its warm-up."""
    growth = 100 * (last.rss_mib / first.rss_mib - 1)
    verdict.check(
        f"resident memory grows by less than {most_growth:g} % after the warm-up",
        growth < most_growth,
        f"{growth:+.2f} %: {first.rss_mib:.1f} to {last.rss_mib:.1f} MiB",
    )
    for what, before, after, play in (
        ("threads", first.threads, last.threads, 0),
        ("open files", first.files, last.files, 0),
        ("segments of shared memory", first.segments, last.segments, VISITORS_SEGMENTS),
    ):
        verdict.check(
            f"no more {what} than after the warm-up", after <= before + play, f"{before}, {after}"
        )


@dataclass
class Habit:
    """Something that is done every so many seconds, not before the last time was answered."""

    period_s: float
    act: Callable[[], Future | None]
    due: float = 0.0
    answer: Future | None = None

    def may(self, now: float) -> bool:
        return now >= self.due and (self.answer is None or self.answer.done())


class People:
    """Those who ask: planners, a person at RViz, and subscribers that come and go."""

    def __init__(self, planner: Planner, sensor: Sensor, messages: list[PointCloud2]) -> None:
        self._planner = planner
        self._sensor = sensor
        self._messages = messages
        self._clicks = {id(msg): list(clicks_on(msg, 50)) for msg in messages}
        self._rng = Random(0)
        self._sessions = 0
        self._open: list[Future] = []
        self._visitor: Visitor | None = None
        self._habits = [
            Habit(0.5, self._prompt),
            Habit(1.0, self._refine),
            Habit(3.0, self._click),
            Habit(10.0, self._attach),
            Habit(20.0, self._start_over),
            Habit(7.0, self._come_or_go),
            Habit(30.0, self._propose),
        ]
        self.codes: Counter[int] = Counter()
        self.asked = 0

    def act(self) -> None:
        """Does what is due; takes what has come."""
        now = time.monotonic()
        for habit in self._habits:
            if habit.may(now):
                habit.due = max(habit.due + habit.period_s, now)
                habit.answer = habit.act()
        if self._visitor is not None:
            self._visitor.look()
        for future in [each for each in self._open if each.done()]:
            self.codes[future.result().code] += 1
        self._open = [each for each in self._open if not each.done()]

    def leave(self) -> None:
        """Waits for the last answers.

        Raises:
            NodeEndedError: they do not come.
        """
        self._habits = []

        def answered() -> bool:
            self.act()
            return not self._open

        self._planner.wait_for(answered, "last answers", LATE_S)
        if self._visitor is not None:
            self._visitor.leave()

    def _await(self, future: Future) -> Future:
        self.asked += 1
        self._open.append(future)
        return future

    def _request(self, clicks: int = 1, **wishes: Any) -> SegmentPrompts.Request:
        """About the cloud that was sent last."""
        known = self._clicks[id(self._sensor.newest)]
        request = SegmentPrompts.Request(**wishes)
        request.points = [_point(each) for each in self._rng.sample(known, clicks)]
        request.object_ids = list(range(1, clicks + 1))
        return request

    def _prompt(self) -> Future:
        request = self._request(self._rng.randint(1, 5), multimask=self._rng.random() < 0.5)
        request.return_points = self._rng.random() < 0.3
        request.header.stamp = self._sensor.newest.header.stamp
        return self._await(self._planner.begin(request))

    def _refine(self) -> Future:
        self._sessions += 1
        name = f"session {self._sessions // REFINEMENTS}"
        return self._await(self._planner.begin(self._request(session=name)))

    def _attach(self) -> Future:
        cloud = self._rng.choice(self._messages)
        request = SegmentPrompts.Request(cloud=cloud, session=f"own {self._sessions}")
        request.points = [_point(self._clicks[id(cloud)][0])]
        return self._await(self._planner.begin(request))

    def _click(self) -> None:
        point = _point(self._clicks[id(self._sensor.newest)][0])
        self._planner.click(PointStamped(header=Header(frame_id="sensor"), point=point))

    def _start_over(self) -> Future:
        return self._planner.reset_clicks()

    def _propose(self) -> Future:
        return self._await(self._planner.propose(ProposeInstances.Goal(max_instances=50)))

    def _come_or_go(self) -> None:
        if self._visitor is None:
            self._visitor = Visitor()
        else:
            self._visitor.leave()
            self._visitor = None


class Visitor:
    """Subscribes to all answers, as a participant of its own."""

    def __init__(self) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context, args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("visitor", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        for topic, kind in TOPICS.items():
            self._node.create_subscription(kind, topic, lambda _: None, 5)

    def look(self) -> None:
        """Takes one message, if there is any."""
        self._executor.spin_once(0.0)

    def leave(self) -> None:
        """Goes without a word, as programs do."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()


def _point(row: np.ndarray) -> Point:
    x, y, z = map(float, row)
    return Point(x=x, y=y, z=z)


def _sizes(messages: list[PointCloud2]) -> str:
    sizes = [msg.width * msg.height for msg in messages]
    return f"{min(sizes):,} to {max(sizes):,}"


def _told(usage: Usage) -> str:
    return (
        f"{usage.rss_mib:.0f} MiB ({usage.anon_mib:.0f} its own, {usage.shared_mib:.0f} shared), "
        f"{usage.threads} threads, {usage.files} files, {usage.segments} segments"
    )


if __name__ == "__main__":
    typer.run(main)
