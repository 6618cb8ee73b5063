"""Several cameras: one process with one model, against a process each.

`python -m benchmarks.speed.cameras` starts the nodes both ways, lets every camera send clouds,
asks each node in turn, and prints memory and waiting times side by side.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import rclpy
import typer
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rich.console import Console
from rich.table import Table
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from benchmarks.speed.machine import machine
from benchmarks.speed.ros_prompt import HEIGHT, camera_cloud
from benchmarks.speed.run import RESULTS
from pointsam_model.config.model import WEIGHTS, preset
from pointsam_model.nn import PointSAM
from pointsam_model.weights.saving import save_checkpoint
from pointsam_ros.client import Code, PointSamClient, RefusedError
from pointsam_ros.client.node_process import NodeProcess, private_environment
from pointsam_ros.clouds import cloud_msgs

PATIENCE_S = 180.0
PAUSE_S = 0.05  # between two prompts


@dataclass(frozen=True)
class Result:
    """What one way of running the cameras' nodes costs.

    Attributes:
        way: "one process" or "a process each".
        memory_mib: of all its processes, with what they share counted once.
        ready_s: from the start of the processes to the first answer of the last camera.
        p50_ms, p99_ms: from a prompt to its answer while clouds are embedded.
        prompts: so many were asked.
    """

    way: str
    memory_mib: float
    ready_s: float
    p50_ms: float
    p99_ms: float
    prompts: int


def main(
    cameras: Annotated[int, typer.Option(help="number of cameras", min=1, max=16)] = 3,
    model: Annotated[str, typer.Option(help="tiny, or large with random weights")] = "tiny",
    rate_hz: Annotated[float, typer.Option(help="clouds per second per camera")] = 0.5,
    seconds: Annotated[float, typer.Option(help="duration of prompts in each set-up")] = 30.0,
    output: Annotated[Path, typer.Option(help="folder of the numbers")] = RESULTS,
) -> None:
    """Memory and waiting times of several cameras' nodes, in one process and in several."""
    private_environment()
    console = Console()
    names = [f"camera{number}" for number in range(cameras)]
    with TemporaryDirectory() as folder:
        parameters = {"model.preset": model, "embed.max_rate_hz": str(float(rate_hz))}
        if not (WEIGHTS / f"{model}.safetensors").exists():
            file = Path(folder) / "random.safetensors"
            save_checkpoint(PointSAM(preset(model)), file)
            parameters["model.checkpoint"] = str(file)
        results = []
        for way, start in (("one process", _together), ("a process each", _apart)):
            console.print(f"{way}: starting")
            with start(names, parameters, Path(folder)) as processes:
                results.append(_measure(way, processes, names, rate_hz, seconds))
    console.print(_table(results, f"{cameras} cameras, {model}, {rate_hz:g} Hz each"))
    output.mkdir(parents=True, exist_ok=True)
    now = datetime.now(timezone.utc)
    report = {
        "date": now.isoformat(timespec="seconds"),
        **machine(),
        "cameras": cameras,
        "model": model,
        "rate_hz": rate_hz,
        "results": [asdict(result) for result in results],
    }
    file = output / f"{now:%Y-%m-%dT%H%M%S}-cameras.json"
    file.write_text(json.dumps(report, indent=1) + "\n")
    console.print(f"numbers: {file}", soft_wrap=True)


@contextmanager
def _together(
    names: Sequence[str], parameters: dict[str, str], folder: Path
) -> Iterator[list[NodeProcess]]:
    program = ["pointsam_ros.segment_cameras", *(f"{name}=/{name}/points" for name in names)]
    with NodeProcess(parameters, folder / "together.log", program) as process:
        yield [process]


@contextmanager
def _apart(
    names: Sequence[str], parameters: dict[str, str], folder: Path
) -> Iterator[list[NodeProcess]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                NodeProcess(
                    parameters,
                    folder / f"{name}.log",
                    remappings=[f"__ns:=/{name}", f"~/points:=/{name}/points"],
                )
            )
            for name in names
        ]


def _measure(
    way: str, processes: list[NodeProcess], names: Sequence[str], rate_hz: float, seconds: float
) -> Result:
    began = time.monotonic()
    cameras = _Cameras(names, processes)
    try:
        for name in names:
            cameras.wait_for(name)
        ready_s = time.monotonic() - began
        waits = []
        deadline = time.monotonic() + seconds
        sent = 0.0
        while time.monotonic() < deadline:
            if time.monotonic() - sent >= 1.0 / rate_hz:
                sent = time.monotonic()
                cameras.publish()
            for name in names:
                waits.append(cameras.ask(name))
                time.sleep(PAUSE_S)
        memory = sum(_pss_mib(process.pid) for process in processes)
    finally:
        cameras.close()
    p50, p99 = np.percentile(waits, (50, 99)) * 1e3
    return Result(way, memory, ready_s, float(p50), float(p99), len(waits))


class _Cameras:
    """Sends the clouds of all cameras, and asks their nodes."""

    def __init__(self, names: Sequence[str], processes: Sequence[NodeProcess]) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context, args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("cameras_benchmark", context=self._context)
        qos = QoSProfile(depth=2, reliability=QoSReliabilityPolicy.RELIABLE)
        self._publishers = {
            name: self._node.create_publisher(PointCloud2, f"/{name}/points", qos) for name in names
        }

        def check() -> None:
            for process in processes:
                if process.exit_status is not None:
                    raise RuntimeError(f"a node ended:\n{process.last_lines()}")

        self._clients = {
            name: PointSamClient(
                self._node,
                f"/{name}/pointsam",
                timeout_s=PATIENCE_S,
                attempts=1,
                check=check,
            )
            for name in names
        }
        self._clouds = {name: camera_cloud(seed) for seed, name in enumerate(names)}

    def close(self) -> None:
        for client in self._clients.values():
            client.destroy()
        self._node.destroy_node()
        self._context.try_shutdown()

    def publish(self) -> None:
        """A new cloud of every camera."""
        for name, (xyz, rgb) in self._clouds.items():
            header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=name)
            self._publishers[name].publish(cloud_msgs.write(header, xyz, rgb, height=HEIGHT))

    def wait_for(self, name: str) -> None:
        """Until a camera's node answers about a cloud of its."""
        self._clients[name].wait_until_ready(PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.publish()
            try:
                self.ask(name)
            except RefusedError as refused:
                if refused.code != Code.NO_CLOUD or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return

    def ask(self, name: str) -> float:
        """Seconds from a prompt on a camera's newest embedded cloud to its answer."""
        xyz, _ = self._clouds[name]
        click = xyz[np.random.default_rng(time.monotonic_ns()).integers(len(xyz))]
        started = time.perf_counter()
        self._clients[name].segment([click])
        return time.perf_counter() - started


def _pss_mib(pid: int) -> float:
    """A process's share of the memory that it uses [MiB]: pages of several count in parts."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/{pid}/smaps_rollup tells no Pss")


def _table(results: Sequence[Result], title: str) -> Table:
    table = Table(title=title)
    for column in ("way", "memory", "all ready", "prompt p50", "prompt p99", "prompts"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for each in results:
        table.add_row(
            each.way,
            f"{each.memory_mib:,.0f} MiB",
            f"{each.ready_s:.1f} s",
            f"{each.p50_ms:.0f} ms",
            f"{each.p99_ms:.0f} ms",
            str(each.prompts),
        )
    return table


if __name__ == "__main__":
    typer.run(main)
