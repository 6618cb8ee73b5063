"""Arrays in, masks out, without ROS: a click on an object of a cloud -> its points and its box.

    python examples/00_arrays.py
    python examples/00_arrays.py scan.pcd --on 0.1 0.05 0.8 --off 0.2 0.0 0.9

Reads .pcd, .ply, .npz, .npy, KITTI .bin and ROS 2 bags; without a file it generates a tabletop.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from pointsam_model import PointSamError, Predictor, Prompt, load_model
from pointsam_model.readers import read_cloud
from pointsam_model.scenes import SceneConfig, generate_scene


def main() -> int:
    """Clicks, and prints the object; 1 where there is none."""
    parser = argparse.ArgumentParser(description="Prints the object at a point of a cloud.")
    parser.add_argument("cloud", type=Path, nargs="?", help="a file; default: a generated scene")
    parser.add_argument(
        "--on",
        type=float,
        nargs=3,
        help="on the object, cloud's frame [m]; default: the point nearest to the sensor",
    )
    parser.add_argument("--off", type=float, nargs=3, help="where the mask is too large")
    parser.add_argument("--model", default="tiny", help="tiny, large, giant, or a JSON config")
    parser.add_argument("--weights", help=".safetensors; default: those that come with tiny")
    asked = parser.parse_args()
    try:
        source = read_cloud(asked.cloud) if asked.cloud else generate_scene(12, SceneConfig())
        predictor = Predictor(load_model(asked.model, asked.weights))
        embedding = predictor.embed(source.as_seen())  # once; your arrays: Cloud(xyz, rgb)
        on = asked.on or source.xyz[nearest(source.xyz)]
        (answer,) = predictor.segment(embedding, [Prompt([on])])  # as often as you like
        if asked.off:
            prompt = Prompt([on, asked.off], [1, 0], answer.best())
            (answer,) = predictor.segment(embedding, [prompt])
    except PointSamError as error:
        print(f"no object: {error}")
        return 1
    points = source.xyz[answer.masks[0]]  # (n,) bool, the best first
    print(f"{len(points)} of {len(source.xyz)} points, score {answer.scores[0]:.2f}")
    print("from", *(f"{value:.3f}" for value in points.min(axis=0)))
    print("to", *(f"{value:.3f}" for value in points.max(axis=0)))
    return 0


def nearest(xyz: np.ndarray) -> int:
    """The row of the point (n,3) nearest to the sensor; where it saw nothing is NaN or 0."""
    distance = np.linalg.norm(xyz, axis=1)
    return int(np.nanargmin(np.where(distance > 0, distance, np.nan)))


if __name__ == "__main__":
    sys.exit(main())
