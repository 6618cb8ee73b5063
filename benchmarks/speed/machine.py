"""On which machine, with which versions, a benchmark ran."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from typing import Any

import torch

from pointsam_model.evaluation.report import processor


def machine() -> dict[str, Any]:
    """Processor, cores, load, versions and the command's arguments, for a file of results."""
    return {
        "machine": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "load_before": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "versions": {name: version(name) for name in ("numpy", "scipy", "fpsample")},
        "command": " ".join(sys.argv[1:]),
    }
