"""The ways in which one network can be used, and what people use without it, as methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pointsam_model import Predictor
from pointsam_model.config.settings import PredictorConfig
from pointsam_model.data.clicks import FirstClick
from pointsam_model.evaluation.baselines.classical import ClassicalPipeline
from pointsam_model.evaluation.baselines.concave_parts import ConcaveParts
from pointsam_model.evaluation.baselines.geometry_alone import GeometryAlone
from pointsam_model.evaluation.methods import Method
from pointsam_model.nn import PointSAM
from pointsam_model.segment.proposals import ProposalGenerator

GEOMETRY = "geometry"
# What each way sets of a predictor, and what it adds to the name of the model.
SETTINGS: dict[str, dict[str, Any]] = {
    "both": {},
    "network": {"geometry": False},
    "published": {"geometry": False, "looks": "whole"},
}
ADDED = {"both": "", "network": ", network alone", "published": ", as published"}
WAYS = (*SETTINGS, GEOMETRY)


@dataclass(frozen=True)
class Protocol:
    """What all methods of a run have in common: clicks an object, where the first one goes, whether
    colours are shown, and whether proposals are measured."""

    clicks: int = 10
    first: FirstClick = "deepest"
    color: bool = True
    proposals: bool = True


def way(name: str, model: PointSAM, model_name: str, protocol: Protocol) -> Method:
    """One way as a method: "both" is the pipeline as users run it, "network" goes without the
    partition, "published" also without looks, "geometry" is the partition without a network."""
    if name == GEOMETRY:
        return _partition("geometry alone", GeometryAlone(), protocol.clicks, protocol)
    config = PredictorConfig(**SETTINGS[name])
    return Method(
        model_name + ADDED[name],
        Predictor(model, config),
        ProposalGenerator(model, predictor=config) if protocol.proposals else None,
        clicks=protocol.clicks,
        color=protocol.color,
        first=protocol.first,
        predicts_iou=True,
    )


def baselines(protocol: Protocol) -> tuple[list[Method], str]:
    """What robots use today, which has one click and looks at no colour: a partition along concave
    edges, and voxels, plane and DBSCAN; and why the latter is missing where it is, else ""."""
    found: Sequence[Method] = [_partition("concave parts", ConcaveParts(), 1, protocol)]
    try:
        return [_partition("classical", ClassicalPipeline(), 1, protocol), *found], ""
    except ImportError as error:
        return list(found), str(error)


def _partition(name: str, pipeline: Any, clicks: int, protocol: Protocol) -> Method:
    generator = pipeline if protocol.proposals else None
    return Method(name, pipeline, generator, clicks, color=False, first=protocol.first)
