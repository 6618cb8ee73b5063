"""What robots segment tabletops with today, measured by the same clicks: `pointsam evaluate` beside
voxels, a RANSAC plane and DBSCAN (Open3D).

    python -m benchmarks.classical FOLDER
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import open3d
import typer
from rich.console import Console
from rich.progress import track
from scipy.spatial import cKDTree

from pointsam_model import Cloud, Prompt
from pointsam_model.evaluation import evaluate_cloud, find_labelled, read_labelled, summarise

VOXEL_M = 0.005
PLANE_M = 0.012  # a point so near to the support plane belongs to it
NEIGHBOUR_M, FEWEST = 0.01, 10  # of DBSCAN
RANSAC_ROUNDS = 1000
PLANE = -1


@dataclass(frozen=True)
class Clusters:
    """A segmented cloud: (n, 3) points [m] and (n,) cluster numbers, PLANE for no object."""

    xyz: np.ndarray
    cluster: np.ndarray


@dataclass(frozen=True)
class ClusterMask:
    """An answer in the form that the evaluation reads."""

    masks: np.ndarray
    scores: np.ndarray

    def best(self) -> ClusterMask:
        """Itself: there is one."""
        return self


class ClassicalPredictor:
    """Clusters a cloud once; the mask of a click is the cluster that holds it."""

    def embed(self, cloud: Cloud) -> Clusters:
        """Clusters what is left without the largest plane."""
        valid = np.flatnonzero(cloud.valid)
        xyz = np.asarray(cloud.xyz, np.float64)
        points = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(xyz[valid]))
        points = points.voxel_down_sample(VOXEL_M)
        open3d.utility.random.seed(0)
        _, plane = points.segment_plane(PLANE_M, 3, RANSAC_ROUNDS)
        voxels = np.asarray(points.points)
        off_plane = np.setdiff1d(np.arange(len(voxels)), plane).tolist()
        cluster = np.full(len(voxels), PLANE)
        cluster[off_plane] = points.select_by_index(off_plane).cluster_dbscan(NEIGHBOUR_M, FEWEST)
        of_points = np.full(len(xyz), PLANE)
        of_points[valid] = cluster[cKDTree(voxels).query(xyz[valid])[1]]
        return Clusters(xyz, of_points)

    def segment(self, clusters: Clusters, prompts: Sequence[Prompt]) -> list[Any]:
        """The cluster of each prompt's first click; empty on the plane."""
        return [self._mask(clusters, np.asarray(prompt.points)[0]) for prompt in prompts]

    def _mask(self, clusters: Clusters, click: np.ndarray) -> ClusterMask:
        row = np.nanargmin(((clusters.xyz - click) ** 2).sum(1))
        number = clusters.cluster[row]
        mask = (clusters.cluster == number) & (number != PLANE)
        return ClusterMask(mask[None], np.ones(1, np.float32))


def main(
    data: Annotated[Path, typer.Argument(help="a labelled .npz cloud, or a folder of them")],
) -> None:
    """Prints the mean IoU of the classical pipeline after one click."""
    predictor = ClassicalPredictor()
    results = []
    for path in track(find_labelled(data), "clouds"):
        results += evaluate_cloud(predictor, read_labelled(path), 1)
    Console().print(summarise(results).table(f"{data.name}, classical: mean IoU [%]"))


if __name__ == "__main__":
    typer.run(main)
