"""The numbers as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from benchmarks.speed.network import OURS, PUBLISHED, STAGES, Result, Size

if TYPE_CHECKING:
    from benchmarks.speed.ros_prompt import RosResult

TINY_OVER_LARGE = 10.0


def network_table(model: str, size: Size, results: Sequence[Result]) -> Table:
    """Each contender's times at one size, and how many times faster than the published way."""
    caption = "a click the published way embeds its cloud anew; (times faster than published)"
    table = Table(title=f"{model}: {size}", caption=caption)
    table.add_column("way")
    for stage in (*STAGES, "its decoding alone"):
        table.add_column(stage, justify="right")
    table.add_column("memory", justify="right")
    rows = [result for result in results if (result.model, result.size) == (model, size)]
    (published,) = (each for each in rows if each.way == PUBLISHED)
    for row in rows:
        cells = []
        for stage in (*STAGES, "refining decoding"):
            faster = published.seconds[stage] / row.seconds[stage]
            gain = "" if row is published else f" ({faster:.1f}x)"
            cells.append(seconds(row.seconds[stage]) + gain)
        memory = "" if row.peak_mib is None else f"{row.peak_mib:,.0f} MiB"
        table.add_row(f"{row.way}, {row.dtype}", *cells, memory)
    return table


def goals_table(results: Sequence[Result]) -> Table:
    """What was to be reached, and what was."""
    table = Table(title="goals")
    for name in ("what", "goal", "measured", "reached"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for what, goal, measured in _goals(results):
        table.add_row(what, f"{goal:.0f}x", f"{measured:.1f}x", "yes" if measured >= goal else "no")
    return table


def ros_table(answers: Sequence[RosResult]) -> Table:
    """What a planner waits for, through DDS."""
    table = Table(title="tiny through DDS, 640 x 480 cloud")
    for name in ("weights", "cloud to embedding", "warm prompt to answer", "of it in the node"):
        table.add_column(name, justify="left" if name == "weights" else "right")
    for each in answers:
        times = (each.embedding, each.prompt, each.elapsed)
        table.add_row(f"{each.weights}, {each.dtype}", *map(seconds, times))
    return table


def seconds(value: float) -> str:
    """A time with three digits, in s or ms."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def _goals(results: Sequence[Result]) -> list[tuple[str, float, float]]:
    """(what, goal, measured), as far as it was measured."""
    known = {
        (result.model, result.size, result.way, result.dtype): result.seconds for result in results
    }
    goals = []
    for size in {result.size: None for result in results}:
        published = known.get(("large", size, PUBLISHED, "float32"))
        for dtype, decoding in (("float32", 2.0), ("bfloat16", 3.0)):
            large = known.get(("large", size, OURS, dtype))
            tiny = known.get(("tiny", size, OURS, dtype))
            if large and published and size.num_patches == 2048:
                for stage, goal in (("refining click", 8.0), ("refining decoding", decoding)):
                    ratio = published[stage] / large[stage]
                    goals.append((f"large {dtype} over published: {stage}, {size}", goal, ratio))
            if large and tiny:
                for stage in STAGES:
                    ratio = large[stage] / tiny[stage]
                    goals.append(
                        (f"tiny {dtype} over large: {stage}, {size}", TINY_OVER_LARGE, ratio)
                    )
    return goals
