"""What robots segment tabletops with today, measured beside the network: voxels, a RANSAC plane and
DBSCAN (Open3D, imported when the baseline is made)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pointsam_model import Cloud, Prompt

VOXEL_M = 0.005
PLANE_M = 0.012  # a point so near to the support plane belongs to it
NEIGHBOUR_M, FEWEST = 0.01, 10  # of DBSCAN
RANSAC_ROUNDS = 1000
NO_CLUSTER = -1  # the plane, noise, and points that the sensor did not see
MISSING = (
    "the classical baseline needs Open3D: pip install 'pointsam_ros[evaluation]', or leave it out "
    "with --no-classical"
)


@dataclass(frozen=True)
class Clusters:
    """A segmented cloud: (n,3) points [m] and (n,) cluster numbers, NO_CLUSTER for no object."""

    xyz: NDArray[np.float64]
    number: NDArray[np.int64]


@dataclass(frozen=True)
class ClusterMask:
    """An answer in the form that the protocol reads: (1,n) mask and its (1,) score."""

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]

    def best(self) -> ClusterMask:
        """Itself: there is one."""
        return self


@dataclass(frozen=True)
class Cluster:
    """A proposal: (k,) rows of the cloud."""

    indices: NDArray[np.uint32]


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

    def embed(self, cloud: Cloud) -> Clusters:
        """Clusters what is left without the largest plane."""
        geometry, random = self._open3d.geometry, self._open3d.utility.random
        seen = np.flatnonzero(cloud.valid)
        xyz = np.asarray(cloud.xyz, np.float64)
        points = geometry.PointCloud(self._open3d.utility.Vector3dVector(xyz[seen]))
        points = points.voxel_down_sample(VOXEL_M)
        random.seed(0)
        _, plane = points.segment_plane(PLANE_M, 3, RANSAC_ROUNDS)
        voxels = np.asarray(points.points)
        off_plane = np.setdiff1d(np.arange(len(voxels)), plane).tolist()
        of_voxels = np.full(len(voxels), NO_CLUSTER)
        of_voxels[off_plane] = points.select_by_index(off_plane).cluster_dbscan(NEIGHBOUR_M, FEWEST)
        number = np.full(len(xyz), NO_CLUSTER)
        number[seen] = of_voxels[cKDTree(voxels).query(xyz[seen])[1]]
        return Clusters(xyz, number)

    def segment(self, clusters: Clusters, prompts: Sequence[Prompt]) -> list[Any]:
        """The cluster of each prompt's first click; empty on the plane."""
        return [_mask(clusters, np.asarray(prompt.points)[0]) for prompt in prompts]

    def generate(self, cloud: Cloud) -> list[Cluster]:
        """Every cluster, the largest first."""
        number = self.embed(cloud).number
        rows = np.argsort(number, kind="stable").astype(np.uint32)
        sizes = np.bincount(number + 1)  # of no cluster, then of each
        clusters = [Cluster(part) for part in np.split(rows, np.cumsum(sizes)[:-1])[1:]]
        return sorted(clusters, key=lambda cluster: len(cluster.indices), reverse=True)


def _mask(clusters: Clusters, click: NDArray[np.floating]) -> ClusterMask:
    row = np.nanargmin(((clusters.xyz - click) ** 2).sum(1))
    number = clusters.number[row]
    mask = (clusters.number == number) & (number != NO_CLUSTER)
    return ClusterMask(mask[None], np.ones(1, np.float32))
