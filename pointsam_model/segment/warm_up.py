"""Warm-up: work that only the first cloud and click would need, done in advance."""

from __future__ import annotations

import numpy as np

from pointsam_model.cloud.cloud import Cloud
from pointsam_model.config.settings import ReductionConfig
from pointsam_model.segment.predictor import Predictor
from pointsam_model.segment.prompt import Prompt

FEW = 256  # points that suffice for a CPU's libraries to start threads and choose kernels


def warm_up(predictor: Predictor) -> None:
    """Embeds a made-up cloud and answers clicks on it, so that the first real ones are not slow.

    With geometry this also loads the weights of the edge and quality models.

    On a GPU the cloud has as many points as the network may see: kernels are compiled, memory
    allocated and algorithms chosen for these shapes. On a CPU a small cloud suffices.
    """
    model = predictor.model
    most = predictor.reduction.max_points or model.config.max_points_gpu
    count = FEW if model.device.type == "cpu" else 2 * most
    points = np.random.default_rng(0).uniform(0.5, 1.5, (count, 3)).astype(np.float32)
    no_crop = ReductionConfig(max_points=predictor.reduction.max_points)
    quality = predictor.quality if predictor.config.geometry else None
    warming = Predictor(model, predictor.config, no_crop, quality)
    embedding = warming.embed(Cloud(points, np.zeros(points.shape, np.uint8)))
    (first,) = warming.segment(embedding, [Prompt(points[:1])])
    warming.segment(embedding, [Prompt(points[:2], [1, 0], first.best())])
