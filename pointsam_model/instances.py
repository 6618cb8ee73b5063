"""Instances: masks as a planner reads them, with their points, scores and a tight oriented box."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull, QhullError

if TYPE_CHECKING:
    from pointsam_model.prompt import Prediction

Array = NDArray[np.float64]

FLAT = 1e-6  # thinner than this share of its length, or than its numbers resolve: a side of 0
FACES = 64  # faces of the hull that are tried as the box's, the largest ones
TURNS = 48  # of the box on each face, over a quarter turn, before the best ones are made exact
EXACT = 8  # faces on which the smallest rectangle is found exactly
FILTERED = 2000  # more points than these are thinned to the hull's candidates first


@dataclass(frozen=True)
class OrientedBox:
    """A box anywhere in space.

    Attributes:
        center: (3,) float64 [m].
        rotation: (3,3) float64, right-handed; its columns are the box's axes x, y, z.
        size: (3,) float64 [m], sides along these axes.
    """

    center: Array
    rotation: Array
    size: Array


@dataclass(frozen=True)
class Instance:
    """One segmented object of a cloud.

    Attributes:
        indices: (k,) uint32 rows of the source cloud, ascending, at least one.
        score: predicted IoU, as the head gives it.
        stability: IoU of the mask at logit +1 and at logit -1, 0 to 1.
        centroid: (3,) float64 [m], mean of the points.
        box: the tight oriented box around them.
    """

    indices: NDArray[np.uint32]
    score: float
    stability: float
    centroid: Array
    box: OrientedBox


def instances_of(prediction: Prediction, up: ArrayLike | None = None) -> list[Instance]:
    """The masks of a prediction as instances, best first; empty masks give none.

    Args:
        prediction: of `Predictor.segment`; `prediction.best()` for its best mask alone.
        up: (3,) direction for boxes that only yaw, or None.
    """
    xyz = prediction.embedding.cloud.xyz
    found = []
    for mask, score, stability in zip(
        prediction.masks, prediction.scores, prediction.stability, strict=True
    ):
        rows = np.flatnonzero(mask)
        if len(rows) == 0:
            continue
        points = xyz[rows].astype(np.float64)
        found.append(
            Instance(
                rows.astype(np.uint32),
                float(score),
                float(stability),
                points.mean(0),
                oriented_box(points, up),
            )
        )
    return found


def oriented_box(points: ArrayLike, up: ArrayLike | None = None) -> OrientedBox:
    """The tight oriented box around points: the smallest found, of all that rest on a hull's face.

    Every face of the convex hull, up to the 64 largest, is tried as one of the box's, with the
    smallest rectangle around the points as seen from it (rotating calipers on an edge). The
    smallest box of all may touch with edges alone; this one was never 3 % larger in tests against
    Open3D's. The same points in the same order give the same box. Points in a plane, on a line, or
    in one place give sides of 0.

    Args:
        points: (k,3) finite floats [m], k at least 1.
        up: (3,) direction, any length: the box's z axis is this one, and it only yaws about it.

    Returns:
        Sides x >= y >= z; with `up`, x >= y, and z is the height.

    Raises:
        ValueError: no points, another shape, points that are not finite, or `up` of length 0.
    """
    given = np.asarray(points)
    if given.ndim != 2 or given.shape[1] != 3 or len(given) == 0:
        raise ValueError(f"points have the shape {given.shape}; they must be (k,3), k at least 1")
    middle = (given.min(0).astype(np.float64) + given.max(0)) / 2
    if not np.isfinite(middle).all():
        raise ValueError("points for a box must be finite")
    resolved = _resolution(given)
    centered = given.astype(np.float64) - middle
    if up is not None:
        return _box(centered, middle, _upright_axes(centered, up, resolved), resolved, upright=True)
    return _box(centered, middle, _tight_axes(centered, resolved), resolved)


def _tight_axes(points: Array, resolved: float) -> Array:
    """(3,3) axes of the smallest box found, in columns, in any order."""
    spread, axes = _principal_axes(points)
    flat = max(resolved, FLAT * float(spread[0]))
    if spread[1] <= flat:
        return axes
    if spread[2] <= flat:
        return _on_face(points @ axes[:, :2], axes[:, 2], axes[:, :2])
    try:
        hull = ConvexHull(_hull_candidates(points, axes))
    except QhullError:  # thin beyond Qhull's tolerance, though not beyond ours
        return _on_face(points @ axes[:, :2], axes[:, 2], axes[:, :2])
    corners = hull.points[hull.vertices]
    normals = np.concatenate((_face_normals(hull), axes.T))
    best: tuple[float, Array] | None = None
    for normal, plane in _promising(corners, normals):
        tried = _on_face(corners @ plane, normal, plane)
        volume = float(np.prod(np.ptp(corners @ tried, axis=0)))
        if best is None or volume < best[0] * (1 - 1e-9):
            best = volume, tried
    assert best is not None
    return best[1]


def _upright_axes(points: Array, up: ArrayLike, resolved: float) -> Array:
    z = np.asarray(up, np.float64).reshape(-1)
    length = float(np.linalg.norm(z))
    if z.shape != (3,) or not np.isfinite(length) or length == 0:
        raise ValueError(f"up is {up!r}; it must be a direction (3,) of a length above 0")
    z = z / length
    plane = _plane_axes(z[None])[0]
    seen = points @ plane
    spread, inside = _principal_axes(seen)
    if spread[1] <= max(resolved, FLAT * float(spread[0])):  # a wall, a pole, a point from above
        return np.column_stack((plane @ inside, z))
    return _on_face(seen, z, plane)


def _box(
    points: Array, middle: Array, axes: Array, resolved: float, *, upright: bool = False
) -> OrientedBox:
    """The box around points along these axes, in the order and with the signs of the contract."""
    along = points @ axes
    least, most = along.min(0), along.max(0)
    size = most - least
    size[size <= max(resolved, FLAT * float(size.max()))] = 0.0
    center = middle + axes @ ((least + most) / 2)
    order = np.argsort(-size[:2], kind="stable") if upright else np.argsort(-size, kind="stable")
    order = np.append(order, 2) if upright else order
    rotation, size = axes[:, order], size[order]
    kept = (0, 2) if upright else (0, 1)
    for axis in kept if not upright else kept[:1]:
        largest = np.argmax(np.abs(rotation[:, axis]))
        rotation[:, axis] *= np.sign(rotation[largest, axis])
    turned = 1 if upright else 2
    others = (rotation[:, 2], rotation[:, 0]) if upright else (rotation[:, 0], rotation[:, 1])
    rotation[:, turned] = np.cross(*others)
    return OrientedBox(center, rotation, size)


def _on_face(seen: Array, normal: Array, plane: Array) -> Array:
    """Axes (3,3) of the smallest box with a side along `normal`, of points seen in `plane`.

    Args:
        seen: (k,2), the points along the plane's axes; must not all lie on a line.
        normal: (3,).
        plane: (3,2), two axes at right angles to it.
    """
    try:
        outline = ConvexHull(seen)
        corners = seen[outline.vertices]
    except QhullError:
        corners = seen
    edges = np.roll(corners, -1, axis=0) - corners
    length = np.linalg.norm(edges, axis=1)
    edges = edges[length > 0] / length[length > 0, None]
    across = np.stack((-edges[:, 1], edges[:, 0]), axis=1)
    areas = np.ptp(corners @ edges.T, axis=0) * np.ptp(corners @ across.T, axis=0)
    best = int(np.argmin(areas))
    return np.column_stack((plane @ edges[best], plane @ across[best], normal))


def _promising(corners: Array, normals: Array) -> Iterator[tuple[Array, Array]]:
    """The normals (with axes of their planes) on which a coarse turn gives the smallest boxes."""
    planes = _plane_axes(normals)
    turns = np.arange(TURNS) * (np.pi / 2 / TURNS)
    cosine, sine = np.cos(turns), np.sin(turns)
    seen = corners @ planes.transpose(1, 0, 2).reshape(3, -1)
    seen = seen.reshape(len(corners), len(normals), 2).astype(np.float32)
    first = _extent(seen @ np.stack((cosine, sine)).astype(np.float32))
    second = _extent(seen @ np.stack((-sine, cosine)).astype(np.float32))
    volumes = (first * second).min(1) * _extent(corners @ normals.T)
    for face in np.argsort(volumes, kind="stable")[:EXACT]:
        yield normals[face], planes[face]


def _extent(along: NDArray[Any]) -> NDArray[Any]:
    return along.max(0) - along.min(0)


def _face_normals(hull: ConvexHull) -> Array:
    """(f,3) normals of the hull's largest faces; triangles in one plane are one face."""
    triangles = hull.points[hull.simplices]
    sides = triangles[:, 1:] - triangles[:, :1]
    area = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    normals = hull.equations[:, :3]
    sign = np.sign(normals[np.arange(len(normals)), np.argmax(np.abs(normals), axis=1)])
    _, first, face = np.unique(
        np.round(normals * sign[:, None], 4), axis=0, return_index=True, return_inverse=True
    )
    areas = np.bincount(face.reshape(-1), weights=area)
    return normals[first[np.argsort(-areas, kind="stable")[:FACES]]]


def _plane_axes(normals: Array) -> Array:
    """(f,3,2): for each unit normal two unit axes at right angles to it and to each other."""
    helper = np.eye(3)[np.argmin(np.abs(normals), axis=1)]
    first = np.cross(normals, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack((first, np.cross(normals, first)), axis=2)


def _principal_axes(points: Array) -> tuple[Array, Array]:
    """Extents (d,) along the principal axes of points (k,d), largest first, and the axes (d,d)."""
    centered = points - points.mean(0)
    # Of a unit-sized copy: squares of tiny distances would vanish.
    unit = np.abs(centered).max() or 1.0
    _, axes = np.linalg.eigh((centered / unit).T @ (centered / unit))
    spread = np.ptp(points @ axes, axis=0)
    order = np.argsort(-spread, kind="stable")
    return spread[order], axes[:, order]


def _hull_candidates(points: Array, axes: Array) -> Array:
    """The points without those that lie well inside of a hull of a few extreme ones."""
    if len(points) <= FILTERED:
        return points
    directions = np.array(
        [(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) != (0, 0, 0)],
        np.float64,
    )
    along = points @ axes
    along /= np.ptp(along, axis=0)
    extreme = np.unique(np.argmax(along @ directions.T, axis=0))
    try:
        inner = ConvexHull(points[extreme])
    except QhullError:
        return points
    scale = float(np.abs(points).max())
    inside = np.ones(len(points), bool)
    for *normal, offset in inner.equations:
        inside &= points @ np.array(normal) + offset < -1e-9 * scale
    return points[~inside]


def _resolution(points: NDArray[Any]) -> float:
    """What the points' numbers resolve [m]: a few units in their last place."""
    kind = np.float32 if points.dtype == np.float32 else np.float64
    return 4 * float(np.finfo(kind).eps) * float(np.abs(points).max())
