"""Results as JSON: every object's, with what was measured on what."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import pointsam_model
from pointsam_model.evaluation.methods import Method

PACKAGES = ("torch", "numpy", "scipy", "fpsample", "open3d")


def write_json(path: str | Path, methods: Sequence[Method], about: Mapping[str, Any]) -> None:
    """Writes each method's summary, median seconds, and every object's and cloud's result.

    Args:
        path: where to; folders on the way are made.
        methods: what was measured; their names differ.
        about: the conditions (model, checkpoint, settings).
    """
    values = {
        "about": dict(about),
        "methods": {method.name: _results(method) for method in methods},
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def machine(device: torch.device) -> dict[str, Any]:
    """When, with which versions and on which processor: a result is repeated by these."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": {
            "pointsam": pointsam_model.__version__,
            "python": platform.python_version(),
            **{name: found for name in PACKAGES if (found := _version(name))},
        },
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def commit() -> str | None:
    """The git commit that this package's code is of, with a "+" where tracked files of it have
    changed since; None where it is installed without its history."""
    package = Path(pointsam_model.__file__).parent

    def git(*command: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(package), *command], capture_output=True, text=True, timeout=30
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # An installed package may lie in the checkout of something else.
    if git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    found = git("rev-parse", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{found}+" if found and changed else found


def fingerprint(path: str | Path) -> str:
    """SHA-256 of a file: which checkpoint it was, whatever it is called by now."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def processor() -> str:
    """The model name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _results(method: Method) -> dict[str, Any]:
    """A method's means, objects and clouds."""
    covered = {
        (result.cloud, label): iou
        for result in method.proposals
        for label, iou in result.best_iou.items()
    }
    objects = []
    for result in method.objects:
        values = dataclasses.asdict(result)
        if method.generator is not None:
            values["best_proposal_iou"] = covered[result.cloud, result.label]
        objects.append(values)
    return {
        "summary": dataclasses.asdict(method.summary()),
        "seconds": method.seconds.medians(),
        "objects": objects,
        "proposals": [dataclasses.asdict(result) for result in method.proposals],
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
