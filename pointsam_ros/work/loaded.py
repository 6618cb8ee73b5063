"""Loads the model from the parameters, with all parts that need it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from pointsam_model import (
    CloudWarning,
    DeviceMemory,
    PointSAM,
    Predictor,
    check_model,
    device_memory,
    load_model,
    warm_up,
)
from pointsam_ros.clouds.cloud_store import CloudStore
from pointsam_ros.config import ModelSettings, NodeConfig
from pointsam_ros.health.tally import Tally
from pointsam_ros.requests.transforms import Lookup
from pointsam_ros.work.proposer import Proposer
from pointsam_ros.work.segmenter import Segmenter
from pointsam_ros.work.tracks import Tracks

_models: WeakValueDictionary[ModelSettings, PointSAM] = WeakValueDictionary()
_one_loads = threading.Lock()


@dataclass(frozen=True)
class Loaded:
    """The parts that use the model in the worker's thread.

    Attributes:
        segmenter: answers requests and clicks.
        proposer: answers goals.
        tracks: assigns ids to instances, and follows objects.
        step_aside: called by long jobs to let others use the model; returns True if they must end.
        memory: returns the GPU memory held by this process, or None on a CPU.
    """

    segmenter: Segmenter
    proposer: Proposer
    tracks: Tracks
    step_aside: Callable[[], bool]
    memory: Callable[[], DeviceMemory | None]


def check(settings: ModelSettings) -> None:
    """Quickly checks the settings and files, up to the header of the checkpoint.

    Raises:
        PointSamError: a setting or a file is invalid.
    """
    check_model(**_arguments(settings))


def load(
    config: Callable[[], NodeConfig],
    store: CloudStore,
    now_ns: Callable[[], int],
    lookup: Lookup,
    tally: Tally,
    log: Callable[[str], None],
    warn: Callable[[str], None],
    step_aside: Callable[[], bool],
) -> Loaded:
    """Loads and warms up; for the arguments see `Segmenter`, `Proposer` and `Loaded`.

    Raises:
        PointSamError: a setting or a file is invalid.
    """
    warnings.simplefilter("ignore", CloudWarning)  # shown in the log and the diagnostics
    model = shared_model(config().model)
    predictor = Predictor(model, config().predictor, config().reduction)
    warm_up(predictor)
    tracks = Tracks(predictor, store, config, lookup, tally, warn)
    segmenter = Segmenter(predictor, store, config, now_ns, lookup, tally, log, warn, tracks)
    proposer = Proposer(predictor, segmenter.embedding_of, store, config, now_ns, tally, tracks)
    return Loaded(segmenter, proposer, tracks, step_aside, lambda: device_memory(model.device))


def shared_model(settings: ModelSettings) -> PointSAM:
    """The network for these settings, loaded unless a node of this process already has it.

    Raises:
        PointSamError: a setting or a file is invalid.
    """
    with _one_loads:  # other nodes wait, and then share the model
        model = _models.get(settings)
        if model is None:
            model = load_model(**_arguments(settings), cuda_graphs=settings.cuda_graphs)
            _models[settings] = model
    return model


def _arguments(settings: ModelSettings) -> dict[str, Any]:
    """The settings as arguments of `load_model`."""
    return {
        "model": settings.preset,
        "checkpoint": settings.checkpoint or None,
        "device": settings.device,
        "dtype": settings.dtype,
    }
