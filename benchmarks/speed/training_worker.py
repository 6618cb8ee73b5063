"""Takes training steps when it is told to, for `benchmarks.speed.training`.

It uses nothing that an older checkout lacks, whose package it runs with where PYTHONPATH says so:
    python benchmarks/speed/training_worker.py CONFIG POOL KEEP_FREED_MEMORY < numbers of steps
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from pointsam_model import load_model
from pointsam_model.training.batches import draw_batch
from pointsam_model.training.config import TrainingConfig
from pointsam_model.training.pool import Pool
from pointsam_model.training.state import TrainingState
from pointsam_model.training.step import learn


def main(config_path: str, pool_path: str) -> None:
    """Answers each line, a step's number, with the CPU seconds it took and its masks."""
    torch.set_num_threads(1)
    config = dataclasses.replace(TrainingConfig.read(config_path), pool=pool_path)
    stage, pool = config.stages[0], Pool(pool_path)
    network = load_model("tiny", device="cpu").train().requires_grad_()
    learned = _count_learned(network)
    more: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        state = TrainingState.resume(network, config, Path(folder) / "state.safetensors")
        if getattr(stage, "decoder_steps", 1) > 1:
            more["between"] = lambda: state.descend(1e-6)
        print("ready", flush=True)
        for line in sys.stdin:
            rng = np.random.default_rng([config.seed, int(line)])
            learned.clear()
            started = time.process_time()
            batch = draw_batch(pool, stage, config, rng)
            learn(network, batch, stage, config, rng, **more)
            state.update(1e-6)
            print(time.process_time() - started, sum(learned), flush=True)


def _count_learned(network: Any) -> list[int]:
    """Grows by the number of objects at each decoding that gradients go through."""
    counts: list[int] = []
    name = "answer" if hasattr(network, "answer") else "decode"
    decode = getattr(network, name)

    def counted(encoding: Any, clicks: torch.Tensor, *rest: Any, **more: Any) -> Any:
        if torch.is_grad_enabled():
            counts.append(clicks.shape[0] * clicks.shape[1])
        return decode(encoding, clicks, *rest, **more)

    setattr(network, name, counted)
    return counts


if __name__ == "__main__":
    if sys.argv[3] == "true":
        from pointsam_model.training.memory import keep_freed_memory

        keep_freed_memory()
    main(*sys.argv[1:3])
