"""Does the node stand more clients than it can serve?

    python -m benchmarks.endurance.flood

32 clients in processes of their own send mixed requests, and some of them goals, beside a sensor of
30 clouds a second. First each waits for its answer before it asks again, and pauses when it is
refused; then each keeps several requests in flight, and asks again at once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Annotated, Any

import numpy as np
import typer
from rclpy.serialization import serialize_message

from benchmarks.endurance.flood_clients import ATTACHED, CLICKS, GOAL, SHARES
from benchmarks.endurance.planner import NodeEndedError, Planner
from benchmarks.endurance.publishing import Sensor
from benchmarks.endurance.sensors import (
    clicks_on,
    depth_camera,
    generated_clouds,
    noisy,
)
from benchmarks.endurance.usage import UsageOverTime, first_and_last
from benchmarks.endurance.verdict import RESULTS, Verdict
from pointsam_ros.client.node_process import NodeProcess, private_environment
from pointsam_ros.codes import Code

LEAST_P99_S = 0.5  # so much may p99 of the flood always be
PAUSE_S = 0.1  # of a client that was refused, in closed loop
NOISES = 10  # clouds that the sensor sends again and again
SAMPLE_S = 1.0
FLAT_SHARE = 0.03
LATE_S = 360.0  # for the last answers, beyond the end of a phase

Answers = list[tuple[str, int, float]]


def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="length of the flood")] = 10.0,
    closed: Annotated[float, typer.Option(min=0.1, help="minutes of closed loop first")] = 1.0,
    clients: Annotated[int, typer.Option(min=2, help="number of clients")] = 32,
    goals: Annotated[int, typer.Option(min=0, help="clients that only send goals")] = 4,
    processes: Annotated[int, typer.Option(min=1, help="processes that run the clients")] = 4,
    in_flight: Annotated[int, typer.Option(min=1, help="requests of each client in the flood")] = 4,
    rate: Annotated[float, typer.Option(min=0.1, help="clouds a second")] = 30.0,
    points: Annotated[int, typer.Option(min=500, help="approximate points per cloud")] = 20_000,
    most_medians: Annotated[
        float, typer.Option(min=1.0, help="allowed p99 in the flood, in medians of the closed loop")
    ] = 3.0,
    preset: Annotated[str, typer.Option(help="tiny, large, giant, or a JSON config")] = "tiny",
    checkpoint: Annotated[Path | None, typer.Option(help="weights; default: the shipped")] = None,
    output: Annotated[Path, typer.Option(help="folder of the numbers")] = RESULTS,
) -> None:
    """Floods the node with requests; the exit status is 1 where it does not stand that."""
    private_environment()
    verdict = Verdict("flood", output)
    parameters = {"model.preset": preset}
    if checkpoint is not None:
        parameters["model.checkpoint"] = str(checkpoint.absolute())
    with TemporaryDirectory() as name:
        folder = Path(name)
        (source,) = generated_clouds(points, tables=1, streets=0)
        message = depth_camera(source)
        (folder / ATTACHED).write_bytes(serialize_message(message))
        (folder / CLICKS).write_text(json.dumps(clicks_on(message, 200).tolist()))
        verdict.say(f"a node, a sensor of {source.size:,} points at {rate:g} Hz, {clients} clients")
        log = folder / "node.log"
        with NodeProcess(parameters, log) as process:
            planner, crowd = Planner(process), Crowd(folder, clients, goals, processes)
            try:
                planner.wait_until_ready()
                with Sensor(planner.publish, noisy(source, NOISES), rate):
                    crowd.wait_until_ready()
                    flood(
                        verdict,
                        planner,
                        crowd,
                        process.pid,
                        minutes,
                        closed,
                        in_flight,
                        most_medians,
                    )
            except NodeEndedError as error:
                verdict.check("the node lives on", False, str(error))
            finally:
                crowd.end()
                planner.close()
        traces = log.read_text(errors="replace").count("Traceback")
        verdict.check("no traceback in the node's log", traces == 0, f"{traces}")
    verdict.figures(points=source.size, clients=clients, goals=goals, in_flight=in_flight)
    sys.exit(verdict.close())


def flood(
    verdict: Verdict,
    planner: Planner,
    crowd: Crowd,
    pid: int,
    minutes: float,
    closed: float,
    in_flight: int,
    most_medians: float,
) -> None:
    """Both phases and what is to be said of them.

    Raises:
        NodeEndedError: the node, or a process of clients, ended.
    """
    verdict.say(f"closed loop for {closed:g} minutes: each client waits for its answer")
    calm = crowd.run(planner, seconds=60 * closed, in_flight=1, pause_s=PAUSE_S)
    tell(verdict, "closed loop", calm)
    verdict.say(f"flood for {minutes:g} minutes: each client keeps {in_flight} requests in flight")
    counted = planner.counters()
    with UsageOverTime(pid, SAMPLE_S) as usage:
        storm = crowd.run(planner, seconds=60 * minutes, in_flight=in_flight, pause_s=0.0)
    counts, took_ms = planner.counters(), planner.milliseconds()
    tell(verdict, "flood", storm)
    verdict.say(f"  in the node: {took_ms}")
    judge(verdict, calm, storm, most_medians)
    clouds = {name: counts[name] - counted[name] for name in counts if name.startswith("clouds ")}
    verdict.say(f"clouds in the flood: {clouds}")
    first, last = first_and_last(usage.samples)
    verdict.check(
        f"resident memory grows by less than {FLAT_SHARE:.0%} in the flood",
        last.rss_mib < (1 + FLAT_SHARE) * first.rss_mib,
        f"{first.rss_mib:.0f} to {last.rss_mib:.0f} MiB",
    )
    verdict.check(
        "no more threads and files at the end of the flood",
        last.threads <= first.threads and last.files <= first.files,
        f"{first.threads} and {first.files}, then {last.threads} and {last.files}",
    )
    verdict.figures(
        minutes=minutes, first=vars(first), last=vars(last), clouds=clouds,
        node_ms=took_ms,
        phases={"closed loop": calm.summary(), "flood": storm.summary()},
    )  # fmt: skip


class Outcome:
    """What became of the requests and goals of a phase.

    Args:
        sent: how many of each kind were sent.
        silent: refusals without a reason.
        answers: kind, code and seconds of each answer.
    """

    def __init__(self, sent: dict[str, int], silent: int, answers: Answers, seconds: float) -> None:
        self.sent, self.silent, self.answers, self.seconds = sent, silent, answers, seconds

    @property
    def codes(self) -> dict[str, int]:
        """How many answers had which code."""
        counts = Counter(code for _, code, _ in self.answers)
        return {code.name: counts[code] for code in Code if counts[code]}

    @property
    def lost(self) -> dict[str, int]:
        """How many of each kind were sent and never answered."""
        missing = Counter(self.sent) - Counter(kind for kind, _, _ in self.answers)
        return dict(missing)

    def percentile(self, percent: float, *codes: Code, kinds: Any = tuple(SHARES)) -> float:
        """Of the seconds to an answer; of these codes, of all where none is named; NaN: of none."""
        seconds = [
            took for kind, code, took in self.answers
            if kind in kinds and (not codes or code in codes)
        ]  # fmt: skip
        return float(np.percentile(seconds, percent)) if seconds else float("nan")

    def summary(self) -> dict[str, Any]:
        """All numbers, for the file."""
        groups: dict[str, tuple[Any, tuple[Code, ...]]] = {
            "answered": (tuple(SHARES), (Code.OK,)),
            "overloaded": (tuple(SHARES), (Code.OVERLOADED,)),
            "all requests": (tuple(SHARES), ()),
            "goals": ((GOAL,), (Code.OK,)),
            **{kind: ((kind,), (Code.OK,)) for kind in SHARES},
        }
        return {
            "sent": self.sent,
            "answers": len(self.answers),
            "codes": self.codes,
            "goals carried out": sum(kind == GOAL and not code for kind, code, _ in self.answers),
            "seconds": self.seconds,
            "latency_s": {
                name: {
                    f"p{each}": self.percentile(each, *codes, kinds=kinds) for each in (50, 99, 100)
                }
                for name, (kinds, codes) in groups.items()
            },
        }


class Crowd:
    """The processes of clients.

    Args:
        folder: holds what they send, takes what they got.
        clients: all of them.
        goals: of them that send goals.
        processes: among which they are shared out.
    """

    def __init__(self, folder: Path, clients: int, goals: int, processes: int) -> None:
        self._processes = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "benchmarks.endurance.flood_clients",
                    *map(str, (folder, row, _share(clients, processes, row))),
                    str(_share(goals, processes, row)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for row in range(processes)
        ]

    def wait_until_ready(self) -> None:
        """Until the node answers each of them."""
        for process in self._processes:
            _told(process)

    def run(self, planner: Planner, **phase: float) -> Outcome:
        """One phase of all clients.

        Raises:
            NodeEndedError: the node, or a process of clients, ended.
        """
        told: list[dict[str, Any]] = []
        for process in self._processes:
            print(json.dumps(phase), file=_pipe(process.stdin), flush=True)
        listeners = [
            threading.Thread(target=lambda each=each: told.append(_told(each)), daemon=True)
            for each in self._processes
        ]
        for listener in listeners:
            listener.start()
        planner.wait_for(
            lambda: not any(each.is_alive() for each in listeners),
            "end of the clients",
            phase["seconds"] + LATE_S,
        )
        if len(told) < len(listeners):
            raise NodeEndedError("a process of clients ended")
        answers = [
            tuple(answer)
            for each in told
            for answer in json.loads(Path(each["answers"]).read_text())
        ]
        sent: Counter[str] = Counter()
        for each in told:
            sent.update(each["sent"])
        silent = sum(each["silent"] for each in told)
        return Outcome(sent, silent, answers, phase["seconds"])

    def end(self) -> None:
        """Ends them."""
        for process in self._processes:
            _pipe(process.stdin).close()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def tell(verdict: Verdict, name: str, outcome: Outcome) -> None:
    """Prints what a phase gave."""
    verdict.say(f"{name}: {len(outcome.answers) / outcome.seconds:.0f} answers a second")
    codes = ", ".join(f"{code} {count:,}" for code, count in outcome.codes.items())
    verdict.say(f"  {sum(outcome.sent.values()):,} sent; {codes}")
    for what, values in outcome.summary()["latency_s"].items():
        p50, p99, most = (1e3 * value for value in values.values())
        verdict.say(f"  {what}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {most:.0f} ms")


def judge(verdict: Verdict, calm: Outcome, storm: Outcome, most_medians: float) -> None:
    """The promises on answers."""
    lost = Counter(calm.lost) + Counter(storm.lost)
    total = sum(calm.sent.values()) + sum(storm.sent.values())
    verdict.check("no answer is lost", not lost, f"{lost.total()} of {total:,} {dict(lost)}")
    silent = calm.silent + storm.silent
    verdict.check("every refusal has a reason", silent == 0, f"{silent} have none")
    failed = sum(outcome.codes.get("FAILED", 0) for outcome in (calm, storm))
    verdict.check("no request fails", failed == 0, f"{failed} do")
    median = calm.percentile(50, Code.OK)
    allowed = max(LEAST_P99_S, most_medians * median)
    for name, codes in (("answered", (Code.OK,)), ("all", ()), ("refused", (Code.OVERLOADED,))):
        p99 = storm.percentile(99, *codes)
        verdict.check(
            f"p99 of {name} requests of the flood is at most max({LEAST_P99_S:g} s, "
            f"{most_medians:g} times the median of answered ones in closed loop)",
            not p99 > allowed,
            f"{p99:.3f} s; {allowed:.3f} s are allowed, the median is {median:.3f} s",
        )
    refused = storm.codes.get("OVERLOADED", 0)
    verdict.check(
        "what is too much is refused as OVERLOADED, the rest answered",
        refused > 0 and storm.codes.get("OK", 0) > 0,
        f"{refused:,} refused, {storm.codes.get('OK', 0):,} answered",
    )


def _share(total: int, parts: int, row: int) -> int:
    return total * (row + 1) // parts - total * row // parts


def _told(process: subprocess.Popen[str]) -> dict[str, Any]:
    line = _pipe(process.stdout).readline()
    if not line:
        raise NodeEndedError("a process of clients ended")
    told: dict[str, Any] = json.loads(line)
    return told


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


if __name__ == "__main__":
    typer.run(main)
