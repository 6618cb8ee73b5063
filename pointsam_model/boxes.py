"""The tight oriented box around points, as a gripper or a planner reads an object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull, QhullError  # type: ignore[import-untyped]

Array = NDArray[np.float64]

FLAT = 1e-6  # thinner than this share of its length, or than its numbers resolve: a side of 0
FACES = 64  # faces of the hull that are tried as the box's, the largest ones
TURNS = 32  # of the box on each face, over a quarter turn, before the best ones are made exact
EXACT = 6  # faces on which the smallest rectangle is found exactly
EDGES = 64  # of an outline along which a rectangle is tried, the longest ones
ROUNDS = 8  # at most, of turning a box about its own axes
TURNED = 100  # more corners than these have faces enough: no turning
CORNERS = 200  # of a hull, for the coarse turns; rounder ones are thinned
FILTERED = 5000  # more points than these are thinned to the hull's candidates first


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


def oriented_box(points: ArrayLike, up: ArrayLike | None = None) -> OrientedBox:
    """The tight oriented box around points: the smallest of those tried.

    The faces of the convex hull, up to the 64 largest, and the principal planes are tried as the
    box's, with the smallest rectangle around the points as seen from each; the best are turned
    about their own axes until none gets smaller. The smallest box of all can touch with edges
    alone, and may be missed by a tenth around a handful of points, 1 or 2 % around many. The same
    points in the same order give the same box. Points in a plane, on a line, or in one place give
    sides of 0.

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
    columns = np.ascontiguousarray(given.T)  # reductions along rows of (k,3) are slow
    least, most = columns.min(1).astype(np.float64), columns.max(1).astype(np.float64)
    middle = (least + most) / 2
    if not np.isfinite(middle).all():
        raise ValueError("points for a box must be finite")
    resolved = _resolution(columns.dtype, np.maximum(np.abs(least), np.abs(most)))
    outer = _outer((columns - middle[:, None]).T)
    if up is not None:
        return _box(outer, middle, _upright_axes(outer, up, resolved), resolved, upright=True)
    return _box(outer, middle, _tight_axes(outer, resolved), resolved)


def _tight_axes(points: Array, resolved: float) -> Array:
    """(3,3) axes of the smallest box found, in columns, in any order."""
    spread, axes = _principal_axes(points)
    flat = max(resolved, FLAT * float(spread[0]))
    if spread[1] <= flat:
        return axes
    if spread[2] <= flat:
        return _on_face(points @ axes[:, :2], axes[:, 2], axes[:, :2])
    try:
        hull = ConvexHull(points)
    except QhullError:  # thin beyond Qhull's tolerance, though not beyond ours
        return _on_face(points @ axes[:, :2], axes[:, 2], axes[:, :2])
    corners = hull.points[hull.vertices]
    normals = np.concatenate((_face_normals(hull), axes.T))
    boxes = [_on_face(corners @ plane, normal, plane) for normal, plane in _best(corners, normals)]
    if len(corners) <= TURNED:
        boxes = [_turned(corners, box) for box in boxes]
    return min(boxes, key=lambda box: _volume(corners, box))


def _turned(corners: Array, axes: Array) -> Array:
    """The box turned about its own axes in turn, each time to the smallest, until none helps."""
    volume = _volume(corners, axes)
    for _ in range(ROUNDS):
        before = volume
        for axis in range(3):
            plane = np.delete(axes, axis, axis=1)
            tried = _on_face(corners @ plane, axes[:, axis], plane)
            smaller = _volume(corners, tried)
            if smaller < volume * (1 - 1e-9):
                axes, volume = tried, smaller
        if volume >= before * (1 - 1e-4):
            break
    return axes


def _volume(corners: Array, axes: Array) -> float:
    return float(np.prod(np.ptp(corners @ axes, axis=0)))


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
    if upright:
        order = np.append(np.argsort(-size[:2], kind="stable"), 2)
        x, z = _signed(axes[:, order[0]]), axes[:, 2]
        rotation = np.column_stack((x, np.cross(z, x), z))
    else:
        order = np.argsort(-size, kind="stable")
        x, y = _signed(axes[:, order[0]]), _signed(axes[:, order[1]])
        rotation = np.column_stack((x, y, np.cross(x, y)))
    return OrientedBox(center, rotation, size[order])


def _signed(axis: Array) -> Array:
    """The axis in the direction in which its largest component is positive."""
    return axis * np.sign(axis[np.argmax(np.abs(axis))])


def _on_face(seen: Array, normal: Array, plane: Array) -> Array:
    """Axes (3,3) of the smallest box with a side along `normal`, of points seen in `plane`.

    Args:
        seen: (k,2), the points along the plane's axes; must not all lie on a line.
        normal: (3,).
        plane: (3,2), two axes at right angles to it.
    """
    try:
        outline = ConvexHull(seen)
        corners = outline.points[outline.vertices]
    except QhullError:
        corners = seen
    edges = np.roll(corners, -1, axis=0) - corners
    length = np.linalg.norm(edges, axis=1)
    longest = np.argsort(-length, kind="stable")[:EDGES]
    longest = longest[length[longest] > 0]
    edges = edges[longest] / length[longest, None]
    across = np.stack((-edges[:, 1], edges[:, 0]), axis=1)
    areas = np.ptp(edges @ corners.T, axis=1) * np.ptp(across @ corners.T, axis=1)
    best = int(np.argmin(areas))
    return np.column_stack((plane @ edges[best], plane @ across[best], normal))


def _best(corners: Array, normals: Array) -> Iterator[tuple[Array, Array]]:
    """The normals (with axes of their planes) on which a coarse turn gives the smallest boxes."""
    planes = _plane_axes(normals)
    turns = np.arange(TURNS) * (np.pi / 2 / TURNS)
    cosine, sine = np.cos(turns)[:, None, None], np.sin(turns)[:, None, None]
    first = planes[:, :, 0] * cosine + planes[:, :, 1] * sine
    second = planes[:, :, 1] * cosine - planes[:, :, 0] * sine
    few = corners if len(corners) <= CORNERS else _extreme(corners, _directions(CORNERS))
    areas = _extent(few, first) * _extent(few, second)
    volumes = areas.min(0) * _extent(few, normals)
    for face in np.argsort(volumes, kind="stable")[:EXACT]:
        yield normals[face], planes[face]


def _extent(points: Array, directions: Array) -> NDArray[np.float32]:
    """How far points (k,3) reach along directions (..,3), in single precision: (..)."""
    along = directions.reshape(-1, 3).astype(np.float32) @ points.T.astype(np.float32)
    return np.ptp(along, axis=1).reshape(directions.shape[:-1])


def _extreme(points: Array, directions: Array) -> Array:
    """The points that reach farthest in some direction, each once."""
    return points[np.unique(np.argmax(directions @ points.T, axis=1))]


def _directions(count: int) -> Array:
    """(count,3) unit directions spread evenly, on a spiral from pole to pole."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - z**2)
    return np.column_stack((radius * np.cos(turn), radius * np.sin(turn), z))


def _face_normals(hull: ConvexHull) -> Array:
    """(f,3) normals of the hull's largest faces; triangles in one plane are one face."""
    triangles = hull.points[hull.simplices]
    sides = triangles[:, 1:] - triangles[:, :1]
    area = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    normals = hull.equations[:, :3]
    sign = np.sign(normals[np.arange(len(normals)), np.argmax(np.abs(normals), axis=1)])
    rounded = np.round(normals * sign[:, None] * 1e4).astype(np.int64) + 20_000
    key = (rounded[:, 0] * 50_000 + rounded[:, 1]) * 50_000 + rounded[:, 2]
    _, first, face = np.unique(key, return_index=True, return_inverse=True)
    areas = np.bincount(face, weights=area)
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


def _outer(points: Array) -> Array:
    """Points (k,3) without those well inside of a hull of a few extreme ones; same hull."""
    if len(points) <= FILTERED:
        return points
    columns = points.T.astype(np.float32)
    columns /= np.maximum(np.abs(columns).max(1, keepdims=True), np.finfo(np.float32).tiny)
    extreme = np.unique(np.argmax(_directions(16).astype(np.float32) @ columns, axis=1))
    try:
        inner = ConvexHull(columns[:, extreme].T)
    except QhullError:
        return points
    planes = inner.equations.astype(np.float32)
    return points[(planes[:, :3] @ columns + planes[:, 3:]).max(0) > -1e-4]


def _resolution(kind: np.dtype[Any], farthest: Array) -> float:
    """What numbers of this type resolve at these coordinates [m]: a few units in the last place."""
    single = kind == np.float32
    return 4 * float(np.finfo(np.float32 if single else np.float64).eps) * float(farthest.max())
