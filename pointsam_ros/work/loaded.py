"""What needs the model, from the parameters."""

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
    """What works with the model in the worker's thread.

    Attributes:
        segmenter: answers clicks.
        proposer: answers goals.
        tracks: gives instances their ids, and follows objects.
        step_aside: by which a long job lets others use the model; True: it is to end.
        memory: what of its GPU's memory this process holds; None: it runs on a CPU.
    """

    segmenter: Segmenter
    proposer: Proposer
    tracks: Tracks
    step_aside: Callable[[], bool]
    memory: Callable[[], DeviceMemory | None]


def check(settings: ModelSettings) -> None:
    """Finds in a moment what loading would refuse, up to the header of the checkpoint.

    Raises:
        PointSamError: a setting or a file is wrong.
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
    """Loads and warms up; the arguments are those of `Segmenter`, `Proposer` and `Loaded`.

    Raises:
        PointSamError: a setting or a file is wrong.
    """
    warnings.simplefilter("ignore", CloudWarning)  # the log and the diagnostics tell it
    model = shared_model(config().model)
    predictor = Predictor(model, config().predictor, config().reduction)
    warm_up(predictor)
    tracks = Tracks(predictor, store, config, lookup, tally, warn)
    segmenter = Segmenter(predictor, store, config, now_ns, lookup, tally, log, warn, tracks)
    proposer = Proposer(predictor, segmenter.embedding_of, store, config, now_ns, tally, tracks)
    return Loaded(segmenter, proposer, tracks, step_aside, lambda: device_memory(model.device))


def shared_model(settings: ModelSettings) -> PointSAM:
    """The network of these settings, loaded unless a node of this process holds it already.

    Raises:
        PointSamError: a setting or a file is wrong.
    """
    with _one_loads:  # the others wait, and find it
        model = _models.get(settings)
        if model is None:
            model = load_model(**_arguments(settings), cuda_graphs=settings.cuda_graphs)
            _models[settings] = model
    return model


def _arguments(settings: ModelSettings) -> dict[str, Any]:
    """The settings as `load_model` takes them."""
    return {
        "model": settings.preset,
        "checkpoint": settings.checkpoint or None,
        "device": settings.device,
        "dtype": settings.dtype,
    }
