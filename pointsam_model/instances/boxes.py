"""Tight oriented bounding boxes, for grasping and planning."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull, QhullError  # type: ignore[import-untyped]

Array = NDArray[np.float64]

FLAT = 1e-6  # a side shorter than this share of the longest, or than rounding, becomes 0
MANY = 400  # above this number, only the outermost points are searched
DIRECTIONS = 96  # and their opposites, in which the outermost points are found
BLOCK = 800  # points per matrix product: small enough not to wake the BLAS's thread pool
FACES = 7  # largest faces of the hull that are tried as faces of the box
TURNED = 60  # most corners times boxes that are refined by turning
ROUNDS = 3  # most rounds of turning


@dataclass(frozen=True)
class OrientedBox:
    """An oriented box.

    Attributes:
        center: (3,) float64 [m].
        rotation: (3,3) float64, right-handed; its columns are the box's axes x, y, z.
        size: (3,) float64 [m], side lengths along these axes.
    """

    center: Array
    rotation: Array
    size: Array


def oriented_box(points: ArrayLike, up: ArrayLike | None = None) -> OrientedBox:
    """Computes a tight oriented bounding box: the smallest of those tried.

    The largest faces of the convex hull and the principal planes are tried as faces of the box,
    each with the smallest rectangle around the projected points; the best boxes are refined by
    turning them about their own axes. The search uses some 200 outermost points if there are many,
    but the box contains all. It may be larger than the minimum by a tenth for a handful of points,
    by 1 to 3 % for many. The same points in the same order give the same box. Points in a plane, on
    a line, or in one place give sides of 0.

    Args:
        points: (k,3) finite floats [m], k at least 1.
        up: (3,) direction of any length: the box's z axis, about which it only yaws; None: the box
            turns freely.

    Returns:
        A box with sides x >= y >= z; with `up`, x >= y, and z is the height.

    Raises:
        ValueError: no points, a wrong shape, points that are not finite, or `up` of length 0.
    """
    given = np.asarray(points)
    if given.ndim != 2 or given.shape[1] != 3 or len(given) == 0:
        raise ValueError(f"points have the shape {given.shape}; they must be (k,3), k at least 1")
    columns = np.array(given.T, dtype=np.float64, order="C")  # a copy, changed below
    least, most = columns.min(1), columns.max(1)
    middle = (least + most) / 2
    if not np.isfinite(middle).all():
        raise ValueError("points for a box must be finite")
    columns -= middle[:, None]
    # A few units in the last place of the input.
    kind = given.dtype if given.dtype.kind == "f" else columns.dtype
    resolved = 4 * float(np.finfo(kind).eps) * float(np.maximum(-least, most).max())
    if up is None:
        return _box(columns, middle, _tight_axes(_outermost(columns), resolved), resolved)
    plane, z = _level_plane(up)
    seen, inside, thick = _principal(_outermost(_along(columns, plane)), resolved)
    turn = _rectangle(seen) if thick == 2 else np.eye(2)
    axes = np.column_stack((plane @ inside @ turn, z))
    return _box(columns, middle, axes, resolved, upright=True)


def _tight_axes(points: Array, resolved: float) -> Array:
    """Axes (3,3), in columns and in any order, of the smallest box found around points (k,3)."""
    seen, principal, thick = _principal(points, resolved)
    if thick <= 1:
        return principal
    if thick == 3:
        with contextlib.suppress(QhullError):  # too thin for Qhull
            hull = ConvexHull(seen)
            return principal @ _smallest(seen[hull.vertices], _face_normals(hull))
    return principal @ _on_face(seen, np.eye(3)[2], np.eye(3)[:, :2])


def _smallest(corners: Array, normals: Array) -> Array:
    """Axes (3,3) of the smallest box found around a hull's corners (k,3), given its normals."""
    normals = np.concatenate((normals, np.eye(3)))
    boxes = [_on_face(corners, *face) for face in zip(normals, _planes(normals), strict=True)]
    boxes.sort(key=partial(_volume, corners))
    few = boxes[: TURNED // len(corners)]
    return min(boxes[:1] + [_turned(corners, box) for box in few], key=partial(_volume, corners))


def _turned(corners: Array, axes: Array) -> Array:
    """Turns a box about each of its axes to the smallest box, until that no longer helps."""
    volume = _volume(corners, axes)
    for _ in range(ROUNDS):
        before = volume
        for axis in range(3):
            tried = _on_face(corners, axes[:, axis], np.delete(axes, axis, axis=1))
            smaller = _volume(corners, tried)
            if smaller < volume:
                axes, volume = tried, smaller
        if volume >= before * (1 - 1e-3):
            break
    return axes


def _volume(corners: Array, axes: Array) -> float:
    return float(np.prod(np.ptp(corners @ axes, axis=0)))


def _on_face(corners: Array, normal: Array, plane: Array) -> Array:
    """Axes (3,3) of the smallest box with one along `normal`; `plane`: (3,2) axes across it."""
    return np.column_stack((plane @ _rectangle(corners @ plane), normal))


def _rectangle(seen: Array) -> Array:
    """Axes (2,2), in columns, of the smallest rectangle around points (k,2), not all on a line."""
    with contextlib.suppress(QhullError):
        seen = seen[ConvexHull(seen).vertices]
    edges = np.roll(seen, -1, axis=0) - seen
    length = np.hypot(edges[:, 0], edges[:, 1])
    edges = edges[length > 0] / length[length > 0, None]
    across = np.stack((-edges[:, 1], edges[:, 0]), axis=1)
    areas = np.ptp(edges @ seen.T, axis=1) * np.ptp(across @ seen.T, axis=1)
    best = int(np.argmin(areas))
    return np.column_stack((edges[best], across[best]))


def _box(
    columns: Array, middle: Array, axes: Array, resolved: float, *, upright: bool = False
) -> OrientedBox:
    """The box around all points along these axes, with axes ordered and signed as documented."""
    along = _along(columns, axes)
    least, most = along.min(1), along.max(1)
    size = most - least
    size[size <= max(resolved, FLAT * float(size.max()))] = 0.0
    center = middle + axes @ ((least + most) / 2)
    order = np.argsort(-size[:2] if upright else -size, kind="stable")
    x = _signed(axes[:, order[0]])
    if upright:
        order, z = np.append(order, 2), axes[:, 2]
        rotation = np.column_stack((x, np.cross(z, x), z))
    else:
        y = _signed(axes[:, order[1]])
        rotation = np.column_stack((x, y, np.cross(x, y)))
    return OrientedBox(center, rotation, size[order])


def _signed(axis: Array) -> Array:
    """The axis, negated if its largest component is negative."""
    return axis * np.sign(axis[np.argmax(np.abs(axis))])


def _level_plane(up: ArrayLike) -> tuple[Array, Array]:
    """Two axes (3,2) across `up`, and its unit direction (3,)."""
    z = np.asarray(up, np.float64).reshape(-1)
    length = float(np.linalg.norm(z))
    if z.shape != (3,) or not np.isfinite(length) or length == 0:
        raise ValueError(f"up is {up!r}; it must be a direction (3,) of a length above 0")
    z = z / length
    return _planes(z[None])[0], z


def _planes(normals: Array) -> Array:
    """(f,3,2): for each unit normal, two unit axes orthogonal to it and to each other."""
    helper = np.eye(3)[np.argmin(np.abs(normals), axis=1)]
    first = np.cross(normals, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack((first, np.cross(normals, first)), axis=2)


def _face_normals(hull: ConvexHull) -> Array:
    """Normals (f,3) of the hull's largest faces; triangles in one plane are one face."""
    triangles = hull.points[hull.simplices]
    sides = triangles[:, 1:] - triangles[:, :1]
    area = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    normals = hull.equations[:, :3]
    largest = normals[np.arange(len(normals)), np.argmax(np.abs(normals), axis=1)]
    rounded = np.round(normals * np.sign(largest)[:, None] * 1e4)
    key = rounded @ [1e10, 1e5, 1]  # a distinct number for each direction
    _, first, face = np.unique(key, return_index=True, return_inverse=True)
    areas = np.bincount(face, weights=area)
    return normals[first[np.argsort(-areas, kind="stable")[:FACES]]]


def _principal(points: Array, resolved: float) -> tuple[Array, Array, int]:
    """Points (k,d) along their principal axes, the axes (d,d), and how many are not flat."""
    unit = points / (float(np.abs(points).max()) or 1.0)  # or squares of tiny distances underflow
    _, axes = np.linalg.eigh(np.cov(unit, rowvar=False, bias=True))
    along = points @ axes
    spread = np.ptp(along, axis=0)
    order = np.argsort(-spread, kind="stable")
    thick = int(np.count_nonzero(spread > max(resolved, FLAT * float(spread.max()))))
    return along[:, order], axes[:, order], thick


def _along(columns: Array, axes: Array) -> Array:
    """Projects columns (d,k) of points onto axes (d,e): (e,k), without waking a thread pool."""
    along = np.empty((axes.shape[1], columns.shape[1]))
    for axis, row in zip(axes.T, along, strict=True):
        np.einsum("d,dk->k", axis, columns, out=row)
    return along


def _outermost(columns: Array) -> Array:
    """The points (j,d), of columns (d,k), that are outermost in some direction; all if few.

    Directions are spread evenly after scaling the principal axes to equal length, so that thin
    sides count as well.
    """
    dimensions, count = columns.shape
    farthest = float(np.abs(columns).max())
    if count <= MANY or farthest == 0:
        return columns.T
    unit = (columns / farthest).astype(np.float32)
    mean = unit.mean(1, dtype=np.float64)
    variance, axes = np.linalg.eigh(
        np.einsum("ik,jk->ij", unit, unit) / count - np.outer(mean, mean)
    )
    length = np.sqrt(np.maximum(variance, 1e-8 * variance.max()))
    directions = (_directions(dimensions) / length @ axes.T).astype(np.float32)
    found = []
    for start in range(0, count, BLOCK):
        reach = directions @ unit[:, start : start + BLOCK]
        found.append(start + np.stack((reach.argmax(1), reach.argmin(1))))
    rows = np.stack(found)  # (blocks,2,directions)
    reach = np.einsum("jd,dbsj->bsj", directions, unit[:, rows])
    reach[:, 1] *= -1
    best = np.take_along_axis(rows, reach.argmax(0)[None], axis=0)
    return columns[:, np.unique(best)].T


def _directions(dimensions: int) -> Array:
    """(96,d) evenly spread unit directions, no two of them opposite."""
    count = np.arange(DIRECTIONS)
    if dimensions == 2:
        turn = (count + 0.5) * (np.pi / DIRECTIONS)
        return np.column_stack((np.cos(turn), np.sin(turn)))
    z = (count + 0.5) / DIRECTIONS  # a spiral over the upper half of the sphere
    turn = np.pi * (3 - np.sqrt(5)) * count
    radius = np.sqrt(1 - z**2)
    return np.column_stack((radius * np.cos(turn), radius * np.sin(turn), z))
