"""Fits the probability that an edge of a surface is one between two objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pointsam_model.cloud.reduction import Ball
from pointsam_model.config.settings import ReductionConfig
from pointsam_model.fitting.estimating import fit_estimator
from pointsam_model.fitting.scenes import fitting_scenes, seen_from, shown
from pointsam_model.geometry.partition import graph_of
from pointsam_model.nn.estimator import Estimator
from pointsam_model.scenes import Scene

POINTS = 8_192  # of each look, as in use
LOOKS = {"street": (4.0, 14.0), "room": (0.7, 3.0), "parts": (0.02, 0.3), "bin": (0.2, 1.0)}  # [m]
LOOKS_A_SCENE = 2
WHOLE = 0.3  # share of looks at all of a scene
UNKNOWN_SENSOR = 0.12  # share of looks shown without the sensor's place
BETWEEN, WITHIN = 2_000, 5_000  # edges of a look, at most
TURNED = 0.35  # background that turns more than this is told apart by nobody: wall and floor
TURN = 1  # the feature that says so
WIDTH, STEPS = 32, 8_000


def fit_cuts(
    examples: Sequence[tuple[NDArray[np.float32], NDArray[np.bool_]]],
) -> Estimator:
    """The estimator of edges between objects that fits examples best (`cut_examples`)."""
    features = np.concatenate([of_edges for of_edges, _ in examples])
    between = np.concatenate([truth for _, truth in examples]).astype(np.float32)
    about = {"fitted": "cuts of surfaces of generated scenes", "edges": str(len(features))}
    return fit_estimator(features, between[:, None], width=WIDTH, steps=STEPS, about=about)


def cut_examples(
    numbers: Sequence[int], told: Callable[[int], None] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Features (e,f) of edges of looks at generated scenes, and whether they join two objects."""
    features, between = [], []
    for done, (number, scene) in enumerate(fitting_scenes(numbers)):
        rng = np.random.default_rng(number)
        for _ in range(LOOKS_A_SCENE):
            of_look, truth = _of_look(scene, rng)
            features.append(of_look)
            between.append(truth)
        if told:
            told(done + 1)
    return np.concatenate(features), np.concatenate(between)


def _of_look(
    scene: Scene, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    cloud = shown(scene, rng)
    region = None
    objects = np.flatnonzero(scene.instance > 0)
    if scene.kind in LOOKS and len(objects) and rng.random() >= WHOLE:
        low, high = np.log(LOOKS[scene.kind])
        center = scene.xyz[rng.choice(objects)].astype(float).tolist()
        region = Ball((center[0], center[1], center[2]), float(np.exp(rng.uniform(low, high))))
        if region.holds(scene.xyz).sum() < 100:
            region = None
    kept = cloud.reduce(ReductionConfig(), POINTS, region=region)
    sensor = None if rng.random() < UNKNOWN_SENSOR else seen_from(scene)
    seen = kept.nearest >= 0
    source = torch.from_numpy(cloud.xyz[seen].astype(np.float32))
    cells = torch.from_numpy(kept.nearest[seen].astype(np.int64))
    graph = graph_of(kept.kept.points, source, sensor, cells)
    label = scene.instance[kept.rows]
    one, other = label[graph.start.numpy()], label[graph.end.numpy()]
    features = graph.features.numpy()
    nothing = (one == 0) & (other == 0) & (features[:, TURN] > TURNED)
    known = (one >= 0) & (other >= 0) & ~nothing
    rows = [
        rng.permutation(np.flatnonzero(known & which))[:most]
        for which, most in ((one != other, BETWEEN), (one == other, WITHIN))
    ]
    chosen = np.concatenate(rows)
    return features[chosen], (one != other)[chosen]
