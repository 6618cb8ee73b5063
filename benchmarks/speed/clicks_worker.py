"""Clicks on a cloud when it is told to, for `benchmarks.speed.looks`.

It uses nothing that an older checkout lacks, whose package it runs with where PYTHONPATH says so:
    python benchmarks/speed/clicks_worker.py CLOUD.npz THREADS WAY < a line for each round

CLOUD.npz holds `xyz` (n,3) [m], `rgb` (n,3) or nothing, and `clicks` (o,2,3) [m], the first and the
second on each object. WAY is `default`, or `network`: the published way, which older checkouts go
by themselves. Answers each line with one of JSON: the seconds of each stage.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from pointsam_model import Cloud, Predictor, PredictorConfig, Prompt, load_model

Result = TypeVar("Result")


def main(path: str, threads: str, way: str) -> None:
    """Serves one cloud."""
    torch.set_num_threads(int(threads))
    with np.load(path) as file:
        xyz, clicks = file["xyz"], file["clicks"]
        rgb = file.get("rgb")
    published: dict[str, Any] = {"geometry": False, "looks": "whole"}
    known = hasattr(PredictorConfig(), "geometry")
    config = PredictorConfig(**published) if way == "network" and known else PredictorConfig()
    predictor = Predictor(load_model("tiny", device="cpu"), config)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(_clicks(predictor, Cloud(xyz, rgb), clicks)), flush=True)


def _clicks(predictor: Any, source: Any, clicks: np.ndarray) -> dict[str, float]:
    """Seconds of each stage, clicks as means over objects that share no look."""
    embedding, embedded = _timed(lambda: predictor.embed(source))
    first, second = [], []
    for number, points in enumerate(clicks):
        fresh = embedding if number == 0 else predictor.embed(source)  # without any look yet
        (answer,), seconds = _timed(partial(predictor.segment, fresh, [Prompt(points[:1])]))
        first.append(seconds)
        refining = Prompt(points, [1, 1], answer.best())
        _, seconds = _timed(partial(predictor.segment, fresh, [refining]))
        second.append(seconds)
    return {
        "embedding": embedded,
        "first click, look included": float(np.mean(first)),
        "both together": embedded + float(np.mean(first)),
        "second click": float(np.mean(second)),
    }


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


if __name__ == "__main__":
    main(*sys.argv[1:])
