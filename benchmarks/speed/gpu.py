"""`make bench-gpu`: checks and times the CUDA kernels, the network and the node on this GPU.

The network's part is told in `gpu_network`, the node's in `ros_prompt`. Beside the kernels stand
plain PyTorch on the same chip, and fpsample and SciPy's tree on the machine's CPU. The numbers go
to benchmarks/results/.

Every work is first checked against plain PyTorch, then timed: medians over many repeats, device
events, random clouds made anew. Contenders take turns, so that whatever else the machine does meets
both. The floor is what the memory alone would take: each input read once, each result written once,
at the speed of a plain copy measured in the same run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.speed.clouds import surface_cloud
from benchmarks.speed.gpu_network import CASES, Case, Effort, NetworkTiming, measure_network
from benchmarks.speed.machine import machine
from benchmarks.speed.tables import ros_table
from pointsam_model.cloud.valid import FARTHEST_M
from pointsam_model.geometry.surface_graph import moments_of
from pointsam_model.ops.cpu import CpuOps
from pointsam_model.ops.layout import FLOAT32, CloudLayout, PointField
from pointsam_model.ops.torch_ops import TorchOps

RESULTS = Path(__file__).parents[1] / "results"
PARTS = ("kernels", "network", "ros")
WIDTH = 160
CLICK_GOAL_MS = 8.0
Timer = Callable[[Callable[[], Any]], float]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the works: those of the goals, or smaller ones."""

    image: tuple[int, int] = (480, 640)
    samples: tuple[tuple[int, int], ...] = ((307_200, 10_000), (307_200, 32_768), (32_768, 2_048))
    neighbours: tuple[int, int, int] = (32_768, 2_048, 256)
    masks: int = 250
    repeats: int = 50
    plain_repeats: int = 3  # plain PyTorch takes seconds for some


@dataclass(frozen=True)
class Timing:
    """One work. Times in milliseconds, None where there is nothing to compare with or no goal."""

    work: str
    kernels_ms: float
    plain_ms: float | None
    cpu_ms: float | None
    floor_ms: float
    goal_ms: float | None
    right: bool


def main(
    output: Annotated[Path, typer.Option(help="folder of the numbers")] = RESULTS,
    only: Annotated[str, typer.Option(help="kernels, network or ros; empty: all")] = "",
) -> None:
    """Checks and times kernels, network and node on a GPU."""
    if only not in ("", *PARTS):
        raise typer.BadParameter(f"{only!r}; it takes {', '.join(PARTS)}", param_hint="--only")
    if not torch.cuda.is_available():
        raise SystemExit("no NVIDIA GPU here (torch.cuda.is_available() is false)")
    from pointsam_model.ops.kernel_ops import KernelOps
    from pointsam_model.ops.launching import CupyLauncher

    started = datetime.now(timezone.utc)
    device = torch.device("cuda")
    report: dict[str, Any] = {"date": started.isoformat(timespec="seconds"), **_machine(device)}
    console = Console()
    if console.width < WIDTH:
        console.width = WIDTH  # a table that breaks its lines is none
    console.print(f"{report['chip']}, torch {report['torch']}, CuPy {report['cupy']}")
    wrong: list[str] = []
    with console.status("") as status:
        if only in ("", "kernels"):
            status.update("kernels")
            timings = measure(KernelOps(CupyLauncher()), device, Sizes(), _event_ms)
            console.print(_table(timings))
            report["kernels"] = [asdict(timing) for timing in timings]
            wrong += [timing.work for timing in timings if not timing.right]
        if only in ("", "network"):
            rows = network(device, CASES, Effort(), Sizes().image, _event_ms, status.update)
            console.print(network_table(rows))
            report["network"] = [asdict(row) for row in rows]
            wrong += [row.work for row in rows if not row.right]
        if only in ("", "ros"):
            report["ros"] = _through_dds(console, status.update)
    output.mkdir(parents=True, exist_ok=True)
    file = output / f"{started:%Y-%m-%dT%H%M%S}-gpu.json"
    file.write_text(json.dumps(report, indent=1) + "\n")
    console.print(f"numbers: {file}", soft_wrap=True)
    if wrong:
        raise SystemExit(f"some results are not what they should be: {'; '.join(wrong)}")


def network(
    device: torch.device,
    cases: tuple[Case, ...],
    effort: Effort,
    image: tuple[int, int],
    timer: Timer,
    say: Callable[[str], None],
) -> list[NetworkTiming]:
    """Times the network on a cloud of each case and on a message of an image's size."""
    per_ms = _copied_bytes_per_ms(device, timer)
    return measure_network(device, cases, effort, timer, per_ms, _message(*image), say)


def _through_dds(console: Console, say: Callable[[str], None]) -> dict[str, Any] | None:
    """A click on the node's GPU, at the client; None where there is no ROS."""
    try:
        from benchmarks.speed.ros_prompt import measure_ros
    except ImportError as error:
        console.print(f"no click through DDS: {error}")
        return None
    answer = measure_ros(5, 50, "bfloat16", say, device="cuda")
    console.print(ros_table([answer]))
    console.print(f"a click: {1e3 * answer.prompt:.2f} ms at the client; goal {CLICK_GOAL_MS:g} ms")
    return {**asdict(answer), "embedding": answer.embedding, "goal_ms": CLICK_GOAL_MS}


def measure(kernels: Any, device: torch.device, sizes: Sizes, timer: Timer) -> list[Timing]:
    """Checks and times every work of `kernels` on the device; tests give it the shim's."""
    per_ms = _copied_bytes_per_ms(device, timer)
    timings = [_message_to_points(kernels, device, sizes, timer, per_ms)]
    for n, count in sizes.samples:
        timings.append(_farthest_points(kernels, device, sizes, timer, per_ms, n, count))
    timings.append(_neighbours(kernels, device, sizes, timer, per_ms))
    timings += _tables_and_masks(kernels, device, sizes, timer, per_ms)
    return timings


def _message_to_points(
    kernels: Any, device: torch.device, sizes: Sizes, timer: Timer, per_ms: float
) -> Timing:
    height, width = sizes.image
    data, layout = _message(height, width)

    def points(module: TorchOps) -> tuple[Tensor, Tensor]:
        xyz, _, rows, _ = module.decode_valid(data, layout, FARTHEST_M, device)
        return module.normalise(xyz)[0], rows

    ours, plain = points(kernels), points(TorchOps())
    right = torch.equal(ours[1], plain[1]) and torch.allclose(ours[0], plain[0], atol=1e-6)
    fast, slow = _in_turns(sizes, timer, lambda: points(kernels), lambda: points(TorchOps()))
    floor = (len(data) + 31 * height * width) / per_ms
    name = f"host bytes of {width} x {height} -> valid, normalised"
    return Timing(name, fast, slow, None, floor, 0.5, right)


def _farthest_points(
    kernels: Any,
    device: torch.device,
    sizes: Sizes,
    timer: Timer,
    per_ms: float,
    n: int,
    count: int,
) -> Timing:
    goals = {(307_200, 10_000): 5.0, (307_200, 32_768): 15.0, (32_768, 2_048): 1.0}
    host, _ = surface_cloud(n, seed=n + count)
    points = host.to(device)

    def rows(module: TorchOps) -> Tensor:
        return module.farthest_points(points, count, 0)

    right = torch.equal(rows(kernels), rows(TorchOps()))
    fast, slow = _in_turns(sizes, timer, lambda: rows(kernels), lambda: rows(TorchOps()))
    on_cpu = _clock_ms(lambda: CpuOps().downsample(host, count))
    floor = (12 * n + 8 * count) / per_ms
    name = f"exact farthest points {n:,} -> {count:,}"
    return Timing(name, fast, slow, on_cpu, floor, goals.get((n, count)), right)


def _neighbours(
    kernels: Any, device: torch.device, sizes: Sizes, timer: Timer, per_ms: float
) -> Timing:
    n, count, k = sizes.neighbours
    points = surface_cloud(n, seed=2)[0].to(device)
    centers = points[torch.randperm(n, generator=torch.Generator().manual_seed(0))[:count]]

    def distances(module: TorchOps) -> Tensor:
        rows = module.nearest_neighbours(points, centers, k)
        return (points[rows] - centers[:, None]).norm(dim=-1)

    right = torch.equal(distances(kernels), distances(TorchOps()))
    fast, slow = _in_turns(
        sizes,
        timer,
        lambda: kernels.nearest_neighbours(points, centers, k),
        lambda: torch.cdist(centers, points).topk(k, dim=1, largest=False),
    )
    on_cpu = _clock_ms(lambda: CpuOps().nearest_neighbours(points.cpu(), centers.cpu(), k))
    floor = (12 * n + 12 * count + 8 * count * k) / per_ms
    name = f"{count:,} x {k} nearest among {n:,}, beside cdist and topk"
    goal = 1.0 if (n, count, k) == Sizes().neighbours else None
    return Timing(name, fast, slow, on_cpu, floor, goal, right)


def _tables_and_masks(
    kernels: Any, device: torch.device, sizes: Sizes, timer: Timer, per_ms: float
) -> list[Timing]:
    n, count, _ = sizes.neighbours
    source = sizes.samples[0][0]
    points = surface_cloud(n, seed=3)[0].to(device)
    centers, all_points = points[:count], surface_cloud(source, seed=4)[0].to(device)
    nearest = kernels.nearest_point(all_points, points).int()
    masks = torch.rand(sizes.masks, n, device=device) < 0.02
    links = kernels.nearest_neighbours(points, points, 9)
    start, end = torch.arange(n, device=device).repeat_interleave(9), links.flatten()
    moments = moments_of(points)
    cut = torch.rand(len(start), device=device)
    works: tuple[tuple[str, Callable[[Any], Tensor], int], ...] = (
        (
            f"3 nearest of {count:,} with weights, {n:,} points",
            lambda module: module.interpolation_table(points, centers)[1],
            12 * (n + count) + 36 * n,
        ),
        (
            f"nearest of {n:,} kept, {source:,} points",
            lambda module: (all_points - points[module.nearest_point(all_points, points)]).norm(
                dim=1
            ),
            12 * (n + source) + 8 * source,
        ),
        (
            f"rows of {sizes.masks} masks, {source:,} points",
            lambda module: module.mask_rows(masks, nearest)[0],
            masks.numel() + 4 * source + 4 * int(masks[:, nearest.long()].sum()),
        ),
        (
            f"pieces of {sizes.masks} masks, {n:,} points",
            lambda module: module.connected_pieces(masks, links)[0],
            18 * masks.numel() + 8 * links.numel(),
        ),
        (
            f"normals of {n:,} points from {links.shape[1]} each",
            lambda module: module.principal_axes(module.summed_rows(moments, links, None))[1],
            8 * links.numel() + 80 * n + 160 * n + 24 * n,
        ),
        (
            f"parts of {n:,} points at 3 strictnesses",
            lambda module: module.connected_parts(start, end, cut, n, (0.25, 0.5, 0.75)),
            3 * (20 * cut.numel() + 16 * n),
        ),
    )
    timings = []
    for name, work, moved in works:
        right = torch.allclose(work(kernels), work(TorchOps()), rtol=1e-4, atol=1e-6)
        fast, slow = _in_turns(sizes, timer, partial(work, kernels), partial(work, TorchOps()))
        timings.append(Timing(name, fast, slow, None, moved / per_ms, None, right))
    return timings


def _message(height: int, width: int) -> tuple[bytes, CloudLayout]:
    """The bytes of an organised cloud as depth cameras send it, a tenth of it without a return."""
    points = np.full((height * width, 8), np.nan, np.float32)
    points[:, :3] = surface_cloud(height * width, seed=1)[0].numpy() + 1
    points[np.random.default_rng(0).random(len(points)) < 0.1, :3] = np.nan
    names = (("x", 0), ("y", 4), ("z", 8), ("rgb", 16))
    fields = tuple(PointField(name, offset, FLOAT32) for name, offset in names)
    return points.tobytes(), CloudLayout(fields, height, width, 32, 32 * width)


def _in_turns(
    sizes: Sizes, timer: Timer, ours: Callable[[], Any], plain: Callable[[], Any]
) -> tuple[float, float]:
    """Medians [ms]; both have run before, in the check."""
    fast, slow = [], []
    for turn in range(sizes.repeats):
        fast.append(timer(ours))
        if turn < sizes.plain_repeats:
            slow.append(timer(plain))
    return median(fast), median(slow)


def _copied_bytes_per_ms(device: torch.device, timer: Timer) -> float:
    """What the device's memory gives to a plain copy, read and written."""
    source = torch.empty(
        2**28 if device.type == "cuda" else 2**20, dtype=torch.uint8, device=device
    )
    target = torch.empty_like(source)
    return 2 * source.numel() / median(timer(lambda: target.copy_(source)) for _ in range(9))


def _event_ms(work: Callable[[], Any]) -> float:
    """Time between two events on the current stream, in milliseconds."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    work()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end))


def _clock_ms(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - started)


def _table(timings: list[Timing]) -> Table:
    table = Table(title="CUDA kernels [ms]")
    names = ("work", "kernels", "goal", "floor", "plain PyTorch", "this CPU", "right")
    for name in names:
        table.add_column(name, justify="left" if name == "work" else "right")
    for each in timings:
        beside = [
            "" if other is None else f"{other:.2f} ({other / each.kernels_ms:.0f}x)"
            for other in (each.plain_ms, each.cpu_ms)
        ]
        goal = "" if each.goal_ms is None else f"{each.goal_ms:g}"
        right = "yes" if each.right else "no"
        table.add_row(
            each.work, f"{each.kernels_ms:.3f}", goal, f"{each.floor_ms:.4f}", *beside, right
        )
    return table


def network_table(timings: list[NetworkTiming]) -> Table:
    """Ours, goal, floors, and how many times faster than the other ways."""
    table = Table(title="network, bfloat16 [ms]")
    for name in ("work", "ours", "goal", "arithmetic", "memory", "no graphs", "compared", "right"):
        table.add_column(name, justify="left" if name == "work" else "right")
    for each in timings:
        beside = [
            "" if other is None else f"{other:.2f} ({other / each.graphs_ms:.1f}x)"
            for other in (each.layers_ms, each.compared_ms)
        ]
        floors = [
            "" if each is None else f"{each:.3f}" for each in (each.arithmetic_ms, each.memory_ms)
        ]
        goal = "" if each.goal_ms is None else f"{each.goal_ms:g}"
        right = "yes" if each.right else "no"
        table.add_row(each.work, f"{each.graphs_ms:.3f}", goal, *floors, *beside, right)
    return table


def _machine(device: torch.device) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(device)
    return {
        **machine(),
        "chip": properties.name,
        "multiprocessors": properties.multi_processor_count,
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "cuda": torch.version.cuda,
        "driver": _driver(),
        "cupy": next(filter(None, map(_version, ("cupy-cuda12x", "cupy-cuda13x", "cupy"))), None),
    }


def _driver() -> str | None:
    try:
        return Path("/proc/driver/nvidia/version").read_text().splitlines()[0]
    except OSError:
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    typer.run(main)
