"""Results as JSON: every object's, with what was measured on what."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import pointsam_model
from pointsam_model.evaluation.methods import Method

PACKAGES = ("torch", "numpy", "scipy", "fpsample", "open3d")


def write_json(
    path: str | Path, method: Method, baseline: Method | None, about: Mapping[str, Any]
) -> None:
    """Writes the summary and every object's and every cloud's result.

    Args:
        path: where to; folders on the way are made.
        method: what was measured.
        baseline: what was measured beside it.
        about: the conditions (model, checkpoint, settings).
    """
    values = {"about": dict(about), **_results(method)}
    if baseline is not None:
        values["baseline"] = {"name": baseline.name, **_results(baseline)}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def machine(device: torch.device) -> dict[str, Any]:
    """When, with which versions and on which processor: a result is repeated by these."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {
            "pointsam": pointsam_model.__version__,
            "python": platform.python_version(),
            **{name: found for name in PACKAGES if (found := _version(name))},
        },
        "processor": processor(),
        "gpu": gpu,
    }


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
        if method.proposals:
            values["best_proposal_iou"] = covered[result.cloud, result.label]
        objects.append(values)
    return {
        "summary": dataclasses.asdict(method.summary()),
        "objects": objects,
        "proposals": {result.cloud: result.proposals for result in method.proposals},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
