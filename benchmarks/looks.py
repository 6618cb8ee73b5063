"""What looks, geometry and the learned quality cost, beside the published way, in one run.

    python -m benchmarks.looks [FILE.npz ...] [--rounds 5]

Both ways in turn on each cloud (generated ones without files): embedding, a first click with all
that it needs, a second click in the same look, and proposals. Prints ratios.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
import torch

from benchmarks.machine import machine
from pointsam_model import (
    Cloud,
    Predictor,
    PredictorConfig,
    Prompt,
    ProposalGenerator,
    load_model,
)
from pointsam_model.evaluation import LabelledCloud, first_click, read_labelled
from pointsam_model.scenes import MixtureConfig, SceneConfig, generate

Result = TypeVar("Result")
PUBLISHED = PredictorConfig(geometry=False, looks="whole")
OBJECTS = 3  # clicked on each cloud
KINDS = ("tabletop", "street")
SEED = 7_000_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="labelled clouds (.npz)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-proposals", action="store_true")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    clouds = [read_labelled(it) for it in asked.files] or [generated(kind) for kind in KINDS]
    model = load_model("tiny", device="cpu")
    ways = {"published": Predictor(model, PUBLISHED), "both": Predictor(model)}
    about = machine()
    print(
        f"{about['machine']}, {asked.threads} threads, torch {about['torch']}, "
        f"medians of {asked.rounds} rounds: published way [ms], with looks and geometry [ms]"
    )
    for cloud in clouds:
        took: dict[str, dict[str, list[float]]] = {name: {} for name in ways}
        for _ in range(asked.rounds):
            for name, predictor in ways.items():
                for stage, seconds in _clicks(predictor, cloud).items():
                    took[name].setdefault(stage, []).append(seconds)
        if not asked.no_proposals:
            for name, predictor in ways.items():
                generator = ProposalGenerator(model, predictor=predictor.config)
                embedding = predictor.embed(cloud.as_seen())
                started = time.perf_counter()
                generator.generate(embedding)
                took[name]["proposals"] = [time.perf_counter() - started]
        print(f"{cloud.name}: {cloud.counted.sum()} points")
        for stage, each in took["both"].items():
            ours, theirs = median(each), median(took["published"][stage])
            print(
                f"  {stage:28} {1e3 * theirs:9.1f} {1e3 * ours:9.1f}   {ours / theirs:5.2f} times"
            )


def generated(kind: str) -> LabelledCloud:
    """A scene of a kind, the same each time; a tabletop of 640 × 480."""
    config = MixtureConfig(tabletop=SceneConfig(width=640, height=480))
    (scene,) = generate(kind, [SEED], config)
    name = f"{kind} {SEED}"
    return LabelledCloud(scene.xyz, scene.rgb, scene.instance, name, scene.height, scene.width)


def _clicks(predictor: Predictor, cloud: LabelledCloud) -> dict[str, float]:
    """Seconds of each stage, clicks as means over objects that share no look."""
    source = Cloud(cloud.xyz, cloud.rgb)
    embedding, embedded = _timed(lambda: predictor.embed(source))
    first, second = [], []
    for label in cloud.objects()[:OBJECTS]:
        row = first_click(cloud.xyz, cloud.label == label, cloud.counted)
        assert row is not None
        point = cloud.xyz[row : row + 1].astype(np.float64)
        looks = list(embedding.looks)
        fresh = embedding if not looks else predictor.embed(source)  # without any look yet
        (answer,), seconds = _timed(partial(predictor.segment, fresh, [Prompt(point)]))
        first.append(seconds)
        both = np.concatenate([point, point])
        refining = Prompt(both, [1, 1], answer.best())
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
    main()
