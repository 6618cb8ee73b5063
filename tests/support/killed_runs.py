"""Runs a training in children that are killed at random moments; see test_training_kills.py.

A process of its own, which imports and never computes: its children start at once, by fork. Prints
how many of them were killed before they had finished.

    python killed_runs.py CONFIG SEED KILLS
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time

import torch

from pointsam_model.training import TrainingConfig, train


def start(config: TrainingConfig) -> int:
    child = os.fork()
    if child:
        return child
    torch.set_num_threads(1)
    train(config)
    os._exit(0)


def run(config: TrainingConfig) -> float:
    began = time.monotonic()
    _, status = os.waitpid(start(config), 0)
    assert status == 0, f"the run ended with {status}"
    return time.monotonic() - began


def main() -> None:
    path, seed, kills = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    whole = run(TrainingConfig.read(path, output=f"{path}.straight"))
    moments = random.Random(seed)
    killed = 0
    config = TrainingConfig.read(path, output=f"{path}.killed")
    for _ in range(kills):
        child = start(config)
        time.sleep(moments.uniform(0, 0.7) * whole)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
    run(config)
    print(killed)


if __name__ == "__main__":
    main()
