"""What the demonstration segments: a cloud, a click on each of some objects, the truth if known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from pointsam_model.data.clicks import first_click
from pointsam_model.data.clouds import LabelledCloud
from pointsam_model.data.readers import SensorCloud, read_cloud
from pointsam_model.scenes import SceneConfig, generate_scene

VOXELS = 100  # of the cloud's radius, when objects are searched
PLANE_TRIES = 300
LEAST_CLUSTER = 10  # voxels


@dataclass(frozen=True)
class Target:
    """One object to segment.

    Attributes:
        object_id: its number in the requests, from 1.
        row: row of the first click.
        truth: (n,) its points, or None where nobody knows.
    """

    object_id: int
    row: int
    truth: np.ndarray | None


def generated(seed: int) -> LabelledCloud:
    """A tabletop scene as a 640 x 480 depth camera sees it, labelled."""
    scene = generate_scene(seed, SceneConfig(width=640, height=480))
    name = f"generated scene {seed}"
    return replace(scene, name=name, frame_id="camera_depth_optical_frame")


def load(
    path: Path, topic: str, index: int | None = None, time: float | None = None
) -> SensorCloud:
    """A cloud from a file.

    Raises:
        CloudError: it cannot be read.
    """
    return read_cloud(path, topic, index=index, time=time)


def targets_of(cloud: SensorCloud, count: int) -> list[Target]:
    """The largest labelled objects; without labels, what stands out of the largest plane."""
    if isinstance(cloud, LabelledCloud):
        objects = cloud.objects()
        if objects:
            return _labelled_targets(cloud, objects, count)
    rows = _standing_out(cloud, count)
    return [Target(number + 1, int(row), None) for number, row in enumerate(rows)]


def counted(cloud: SensorCloud) -> np.ndarray:
    """(n,) points whose truth is known."""
    return cloud.counted if isinstance(cloud, LabelledCloud) else cloud.valid


def _labelled_targets(cloud: LabelledCloud, objects: list[int], count: int) -> list[Target]:
    known = cloud.counted
    objects = sorted(
        objects, key=lambda label: -np.count_nonzero(known & (cloud.instance == label))
    )
    targets: list[Target] = []
    for label in sorted(objects[:count]):
        truth = (cloud.instance == label) & known
        row = first_click(cloud.xyz, truth, known)
        if row is not None:
            targets.append(Target(len(targets) + 1, row, truth))
    return targets


def _standing_out(cloud: SensorCloud, count: int) -> np.ndarray:
    """Rows of a point in the middle of each of the largest things that no plane explains."""
    valid = np.flatnonzero(cloud.valid)
    xyz = cloud.xyz[valid].astype(np.float64)
    xyz -= np.median(xyz, axis=0)
    distance = np.linalg.norm(xyz, axis=1)
    radius = max(float(np.quantile(distance, 0.8)), 1e-9)
    voxel = radius / VOXELS
    near = np.flatnonzero(distance < 1.5 * radius)
    _, first = np.unique(np.floor(xyz[near] / voxel).astype(np.int64), axis=0, return_index=True)
    rows = near[first]
    off_plane = rows[~_largest_plane(xyz[rows], 2 * voxel)]
    if len(off_plane) < count:
        off_plane = rows
    group = _clusters(xyz[off_plane], 3 * voxel)
    sizes = np.bincount(group)
    chosen: list[int] = []
    for label in np.argsort(-sizes, kind="stable"):
        members = off_plane[group == label]
        extent = np.ptp(xyz[members], axis=0).max()
        if sizes[label] >= LEAST_CLUSTER and extent < radius and len(chosen) < count:
            middle = np.linalg.norm(xyz[members] - xyz[members].mean(axis=0), axis=1)
            chosen.append(int(members[np.argmin(middle)]))
    chosen += _spread(xyz, off_plane, chosen, count - len(chosen))
    return valid[chosen]


def _largest_plane(points: np.ndarray, thickness: float) -> np.ndarray:
    """(m,) points within `thickness` of the plane through three points that holds most (RANSAC)."""
    rng = np.random.default_rng(0)
    best = np.zeros(len(points), dtype=bool)
    if len(points) < 3:
        return best
    sample = points[rng.choice(len(points), min(len(points), 4000), replace=False)]
    most, plane = 0, None
    for _ in range(PLANE_TRIES):
        corner, side, other = sample[rng.choice(len(sample), 3, replace=False)]
        normal = np.cross(side - corner, other - corner)
        length = np.linalg.norm(normal)
        if length == 0:
            continue
        normal /= length
        held = int(np.count_nonzero(np.abs((sample - corner) @ normal) < thickness))
        if held > most:
            most, plane = held, (corner, normal)
    if plane is None:
        return best
    return np.asarray(np.abs((points - plane[0]) @ plane[1]) < thickness)


def _clusters(points: np.ndarray, reach: float) -> np.ndarray:
    """(m,) number of the connected set of each point; neighbours within `reach` are connected."""
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(points),) * 2)
    return np.asarray(connected_components(links, directed=False)[1])


def _spread(xyz: np.ndarray, rows: np.ndarray, chosen: list[int], count: int) -> list[int]:
    """`count` more rows, each farthest from all that are chosen already."""
    more: list[int] = []
    distance = np.full(len(rows), np.inf)
    for row in chosen:
        distance = np.minimum(distance, np.linalg.norm(xyz[rows] - xyz[row], axis=1))
    for _ in range(min(count, len(rows))):
        row = int(rows[np.argmax(distance)])
        more.append(row)
        distance = np.minimum(distance, np.linalg.norm(xyz[rows] - xyz[row], axis=1))
    return more
