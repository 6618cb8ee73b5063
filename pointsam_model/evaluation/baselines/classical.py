"""What robots segment tabletops with today, measured beside the network: voxels, a RANSAC plane and
DBSCAN (Open3D, imported when the baseline is made)."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from pointsam_model import Cloud, Prompt
from pointsam_model.evaluation.baselines.segments import NO_SEGMENT, Segment, Segments

VOXEL_M = 0.005
PLANE_M = 0.012  # a point so near to the support plane belongs to it
NEIGHBOUR_M, FEWEST = 0.01, 10  # of DBSCAN
RANSAC_ROUNDS = 1000
MISSING = (
    "the classical baseline needs Open3D: pip install 'pointsam_ros[evaluation]', or leave it out "
    "with --no-classical"
)


class ClassicalPipeline:
    """Clusters a cloud; the mask of a click is the cluster that holds it, and every cluster is a
    proposal.

    Raises:
        ImportError: Open3D is not installed, or a library that it loads is not; says what to do.
    """

    def __init__(self) -> None:
        try:
            import open3d
        except (ImportError, OSError) as error:
            raise ImportError(f"{MISSING} ({error})") from error
        self._open3d: ModuleType = open3d

    def embed(self, cloud: Cloud) -> Segments:
        """Clusters what is left without the largest plane, which is in no segment."""
        geometry, random = self._open3d.geometry, self._open3d.utility.random
        seen = np.flatnonzero(cloud.valid)
        xyz = np.asarray(cloud.xyz, np.float64)
        points = geometry.PointCloud(self._open3d.utility.Vector3dVector(xyz[seen]))
        points = points.voxel_down_sample(VOXEL_M)
        random.seed(0)
        _, plane = points.segment_plane(PLANE_M, 3, RANSAC_ROUNDS)
        voxels = np.asarray(points.points)
        off_plane = np.setdiff1d(np.arange(len(voxels)), plane).tolist()
        of_voxels = np.full(len(voxels), NO_SEGMENT)
        of_voxels[off_plane] = points.select_by_index(off_plane).cluster_dbscan(NEIGHBOUR_M, FEWEST)
        number = np.full(len(xyz), NO_SEGMENT)
        number[seen] = of_voxels[cKDTree(voxels).query(xyz[seen])[1]]
        return Segments(xyz, number)

    def segment(self, clusters: Segments, prompts: Sequence[Prompt]) -> list[Any]:
        """The cluster of each prompt's first click; empty on the plane."""
        return clusters.answer(prompts)

    def generate(self, cloud: Cloud) -> list[Segment]:
        """Every cluster, the largest first."""
        return self.embed(cloud).all()
