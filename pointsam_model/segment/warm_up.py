"""What happens only once, done before the first cloud comes."""

from __future__ import annotations

import numpy as np

from pointsam_model.cloud.cloud import Cloud
from pointsam_model.config.settings import ReductionConfig
from pointsam_model.segment.predictor import Predictor
from pointsam_model.segment.prompt import Prompt

FEW = 256  # points that make a CPU's libraries start their threads and choose their kernels


def warm_up(predictor: Predictor) -> None:
    """Embeds a made-up cloud and answers clicks on it, so that the first real ones are not slow.

    With geometry that also reads the numbers that tell its edges and judge masks.

    On a GPU the cloud is as large as any that the network sees: kernels are compiled, and memory
    and algorithms chosen, for its shapes. On a CPU a small one does.
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
