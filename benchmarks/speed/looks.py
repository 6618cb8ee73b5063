"""What looks, geometry and the learned quality cost, beside the published way, in one run.

    python -m benchmarks.speed.looks [FILE.npz ...] [--rounds 5] [--before CHECKOUT]

Both ways in turn on each cloud (generated ones without files): embedding, a first click with all
that it needs, a second click in the same look, and proposals. Prints ratios. With `--before` also
another checkout of this repository takes its turns, as it answers by default.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.speed.machine import machine
from benchmarks.speed.worker import HERE, ask, worker
from pointsam_model import Predictor, PredictorConfig, ProposalGenerator, load_model
from pointsam_model.evaluation import LabelledCloud, first_click, read_labelled
from pointsam_model.scenes import MixtureConfig, SceneConfig, generate

SCRIPT = "clicks_worker.py"
PUBLISHED = PredictorConfig(geometry=False, looks="whole")
OBJECTS = 3  # clicked on each cloud
KINDS = ("tabletop", "street")
SEED = 7_000_000
OURS = "default"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="labelled clouds (.npz)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    parser.add_argument("--no-proposals", action="store_true")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    clouds = [read_labelled(file) for file in asked.files] or [generated(kind) for kind in KINDS]
    about = machine()
    beside = "" if asked.before is None else "; checkout before [ms]"
    print(
        f"{about['machine']}, {asked.threads} threads, torch {about['torch']}, medians of "
        f"{asked.rounds} rounds: with looks and geometry [ms]; published way [ms]{beside}; ratios"
    )
    for cloud in clouds:
        took = _clicks(cloud, asked.threads, asked.rounds, asked.before)
        if not asked.no_proposals:
            _proposals(cloud, took)
        print(f"{cloud.name}: {cloud.counted.sum()} points")
        for stage, ours in took[OURS].items():
            others = [each[stage] for way, each in took.items() if way != OURS and stage in each]
            times = "  ".join(f"{1e3 * other:9.1f} {ours / other:6.2f} times" for other in others)
            print(f"  {stage:28} {1e3 * ours:9.1f}   {times}")


def generated(kind: str) -> LabelledCloud:
    """A scene of a kind, the same each time; a tabletop of 640 × 480."""
    config = MixtureConfig(tabletop=SceneConfig(width=640, height=480))
    (scene,) = generate(kind, [SEED], config)
    name = f"{kind} {SEED}"
    return replace(scene, name=name)


def _clicks(
    cloud: LabelledCloud, threads: int, rounds: int, before: Path | None
) -> dict[str, dict[str, float]]:
    """Seconds of each stage by way, the ways in turns."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder) / "cloud.npz"
        arrays: dict[str, Any] = {"xyz": cloud.xyz, "clicks": _two_clicks(cloud)}
        if cloud.rgb is not None:
            arrays["rgb"] = cloud.rgb
        np.savez(path, **arrays)
        command = [str(path), str(threads)]
        workers = {
            OURS: stack.enter_context(worker(HERE, SCRIPT, [*command, OURS])),
            "published": stack.enter_context(worker(HERE, SCRIPT, [*command, "network"])),
        }
        if before is not None:
            old = worker(before.resolve(), SCRIPT, [*command, OURS])
            workers["before"] = stack.enter_context(old)
        turns = [
            {way: json.loads(ask(each)) for way, each in workers.items()} for _ in range(rounds + 1)
        ]
    all_of = turns[1:]  # the first meets libraries that were never used
    stages = all_of[0][OURS]
    return {
        way: {stage: median(one[way][stage] for one in all_of) for stage in stages}
        for way in workers
    }


def _two_clicks(cloud: LabelledCloud) -> np.ndarray:
    """(o,2,3) the first click on each of some objects, and the place on it farthest from there."""
    clicks = []
    for label in cloud.objects()[:OBJECTS]:
        row = first_click(cloud.xyz, cloud.instance == label, cloud.counted)
        assert row is not None
        there = cloud.xyz[(cloud.instance == label) & cloud.counted]
        off = np.linalg.norm(there - cloud.xyz[row], axis=1)
        clicks.append([cloud.xyz[row], there[int(off.argmax())]])
    return np.array(clicks, np.float64)


def _proposals(cloud: LabelledCloud, took: dict[str, dict[str, float]]) -> None:
    """Adds the seconds of proposals for the embedded cloud, of the two ways of this checkout."""
    model = load_model("tiny", device="cpu")
    for way, config in ((OURS, PredictorConfig()), ("published", PUBLISHED)):
        embedding = Predictor(model, config).embed(cloud.as_seen())
        started = time.perf_counter()
        ProposalGenerator(model, predictor=config).generate(embedding)
        took[way]["proposals"] = time.perf_counter() - started


if __name__ == "__main__":
    main()
