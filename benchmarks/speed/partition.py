"""What the partition of a cloud costs, beside its embedding, in one run.

    python -m benchmarks.speed.partition [FILE.npz ...] [--rounds 15] [--threads 2]

On each cloud (generated ones without files) both in turn: the embedding by `tiny` alone, and the
partition of the same kept points. Prints medians of time, of the process's CPU time (which other
work on the machine changes least), and what share of the embedding's time a partition takes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

import torch

from benchmarks.speed.looks import KINDS, generated
from benchmarks.speed.machine import machine
from pointsam_model import Cloud, Embedding, Predictor, PredictorConfig, load_model
from pointsam_model.evaluation import LabelledCloud, read_labelled
from pointsam_model.geometry import Partition

WITHOUT = PredictorConfig(geometry=False)  # embeds without the partition, which is asked for then
Result = TypeVar("Result")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="labelled clouds (.npz)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    clouds = [read_labelled(file) for file in asked.files] or [generated(kind) for kind in KINDS]
    predictor = Predictor(load_model("tiny", device="cpu"), WITHOUT)
    about = machine()
    print(
        f"{about['machine']}, {asked.threads} threads, torch {about['torch']}, medians of "
        f"{asked.rounds} rounds: time [ms] (CPU time [ms])"
    )
    for cloud in clouds:
        embedding, partition = measure(predictor, cloud, asked.rounds)
        print(
            f"{cloud.name}: {cloud.counted.sum()} points; embedding {_told(embedding)}, "
            f"partition {_told(partition)}, {partition[0] / embedding[0]:.2f} of it"
        )


def measure(
    predictor: Predictor, cloud: LabelledCloud, rounds: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Medians of time and CPU time [s]: of embedding a cloud, and of its partition."""
    source = Cloud(cloud.xyz, cloud.rgb)
    embedding: list[tuple[float, float]] = []
    partition: list[tuple[float, float]] = []
    for turn in range(rounds + 1):
        embedded, of_embedding = _timed(lambda: predictor.embed(source))
        _, of_partition = _timed(partial(_partition, embedded))
        if turn > 0:  # the first meets libraries that were never used
            embedding.append(of_embedding)
            partition.append(of_partition)
    return _medians(embedding), _medians(partition)


def _partition(embedding: Embedding) -> Partition:
    return embedding.partition


def _timed(work: Callable[[], Result]) -> tuple[Result, tuple[float, float]]:
    clock, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.perf_counter() - clock, time.process_time() - cpu)


def _medians(times: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return median(clock for clock, _ in times), median(cpu for _, cpu in times)


def _told(times: tuple[float, float]) -> str:
    clock, cpu = times
    return f"{1e3 * clock:.0f} ({1e3 * cpu:.0f})"


if __name__ == "__main__":
    main()
