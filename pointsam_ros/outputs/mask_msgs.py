"""Converts instances to the messages that planners and RViz read."""

from __future__ import annotations

import array
import colorsys
import sys
from collections.abc import Sequence
from itertools import product

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from pointsam_interfaces.msg import Instance as InstanceMsg
from pointsam_interfaces.msg import InstanceArray
from pointsam_model import OrientedBox, flattened
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.outputs.found import Found

LINE_M = 0.003  # width of a box's edges
TEXT_M = 0.03  # height of a label's letters
MOST_IMAGE_ID = 65_535
GOLDEN_RATIO = 0.618034  # step in hue from id to id, so that neighbouring ids differ


def instance_array(header: Header, cloud_size: int, found: Sequence[Found]) -> InstanceArray:
    """The instances found in one cloud, in the given order."""
    messages = [_instance(each) for each in found]
    return InstanceArray(header=header, cloud_size=int(cloud_size), instances=messages)


def segmented_points(source: PointCloud2, found: Sequence[Found]) -> PointCloud2:
    """The source with its own fields and layout, plus instance_id uint32 and score float32.

    instance_id is that of `instance_array`, 0 for no instance; where instances overlap, the highest
    score wins, the first in a tie.
    """
    ids = np.array([0, *(each.id for each in found)], np.uint32)
    scores = np.array([0, *(clamped(each.instance.score) for each in found)], np.float32)
    numbers = _numbers(source, found)
    return cloud_msgs.with_fields(source, {"instance_id": ids[numbers], "score": scores[numbers]})


def instance_image(source: PointCloud2, found: Sequence[Found]) -> Image:
    """The instance ids of an organised cloud as an image, 16UC1; 0: no instance.

    Where instances overlap, the highest score wins. Ids above 65,535 wrap around to 1.
    """
    known = [0, *((each.id - 1) % MOST_IMAGE_ID + 1 for each in found)]
    ids = np.array(known, np.uint16)[_numbers(source, found)]
    return Image(
        header=source.header,
        height=source.height,
        width=source.width,
        encoding="16UC1",
        is_bigendian=sys.byteorder == "big",
        step=source.width * ids.itemsize,
        data=array.array("B", ids.tobytes()),
    )


def remaining_points(source: PointCloud2, found: Sequence[Found]) -> PointCloud2:
    """The source's points that are in no instance, in order, with all their fields."""
    return cloud_msgs.with_rows(source, np.flatnonzero(_numbers(source, found) == 0))


def markers(header: Header, found: Sequence[Found]) -> MarkerArray:
    """A box and a label for each instance, after a marker that deletes the previous ones."""
    shown = [Marker(header=header, action=Marker.DELETEALL)]
    for each in found:
        shown += [_box_marker(header, each), _text_marker(header, each)]
    return MarkerArray(markers=shown)


def quaternion(rotation: np.ndarray) -> Quaternion:
    """The unit quaternion of a right-handed rotation matrix (3,3), w >= 0."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = np.asarray(rotation, np.float64)
    # The eigenvector of the greatest eigenvalue: exact at every angle, no case distinction
    # (Bar-Itzhack, 2000).
    matrix = np.array(
        [
            [xx - yy - zz, xy + yx, xz + zx, zy - yz],
            [xy + yx, yy - xx - zz, yz + zy, xz - zx],
            [xz + zx, yz + zy, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    x, y, z, w = np.linalg.eigh(matrix)[1][:, -1]
    sign = -1.0 if w < 0 else 1.0
    return Quaternion(x=float(sign * x), y=float(sign * y), z=float(sign * z), w=float(sign * w))


def _numbers(source: PointCloud2, found: Sequence[Found]) -> np.ndarray:
    """(n,) index in `found`, from 1, of each source point's instance; 0: none."""
    return flattened([each.instance for each in found], source.width * source.height)


def _instance(found: Found) -> InstanceMsg:
    # int() and float() everywhere: a numpy scalar in a message aborts the process.
    instance = found.instance
    return InstanceMsg(
        id=int(found.id),
        object_id=int(found.object_id),
        score=clamped(instance.score),
        stability=float(instance.stability),
        indices=array.array("I", instance.indices.astype("<u4").tobytes()),
        centroid=_point(instance.centroid),
        box_pose=pose_of(instance.box),
        box_size=Vector3(**xyz_of(instance.box.size)),
    )


def _box_marker(header: Header, found: Found) -> Marker:
    """The twelve edges of the box, in the box's own coordinate frame."""
    half = found.instance.box.size / 2
    corners = [np.array(signs) for signs in product((-1, 1), repeat=3)]
    edges = [
        (one, other)
        for row, one in enumerate(corners)
        for other in corners[row + 1 :]
        if np.abs(one - other).sum() == 2
    ]
    marker = Marker(
        header=header,
        ns="boxes",
        id=int(found.id),
        type=Marker.LINE_LIST,
        action=Marker.ADD,
        pose=pose_of(found.instance.box),
        color=_color(found.id),
    )
    marker.scale.x = LINE_M
    marker.points = [_point(corner * half) for edge in edges for corner in edge]
    return marker


def _text_marker(header: Header, found: Found) -> Marker:
    whose = f" of object {found.object_id}" if found.object_id else ""
    marker = Marker(
        header=header,
        ns="labels",
        id=int(found.id),
        type=Marker.TEXT_VIEW_FACING,
        action=Marker.ADD,
        pose=Pose(position=_point(found.instance.centroid)),
        color=_color(found.id),
        text=f"{found.id}{whose}: {clamped(found.instance.score):.2f}",
    )
    marker.scale.z = TEXT_M
    return marker


def pose_of(box: OrientedBox) -> Pose:
    """Centre and orientation of a box."""
    return Pose(position=_point(box.center), orientation=quaternion(box.rotation))


def _point(values: np.ndarray) -> Point:
    return Point(**xyz_of(values))


def xyz_of(values: np.ndarray) -> dict[str, float]:
    """Three numbers as the fields of a point or a vector."""
    return {axis: float(value) for axis, value in zip("xyz", values, strict=True)}


def clamped(score: float) -> float:
    """A score limited to 0..1, as in messages."""
    return min(max(float(score), 0.0), 1.0)


def _color(number: int) -> ColorRGBA:
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN_RATIO % 1.0, 0.8, 1.0)
    return ColorRGBA(r=red, g=green, b=blue, a=1.0)
