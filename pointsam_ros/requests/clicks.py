"""Parses and checks a request, before any cloud is involved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from sensor_msgs.msg import PointCloud2

from pointsam_interfaces.msg import ObjectBox
from pointsam_interfaces.srv import SegmentPrompts
from pointsam_model import Box, PromptError
from pointsam_ros.clouds.cloud_store import stamp_ns
from pointsam_ros.codes import Code
from pointsam_ros.config import LimitSettings
from pointsam_ros.refusal import Refusal


@dataclass(frozen=True)
class Clicks:
    """A checked request.

    Attributes:
        points: (q,3) float64 [m], in the coordinate frame `frame_id`, the cloud's if that is empty;
            q may be 0 if there are boxes.
        labels: (q,) int64, 1 on the object, 0 off it.
        object_ids: (q,) int64, the object of each click.
        stamp_ns: time of the clicks [ns]; 0: not given.
        cloud: the attached cloud; None: use a retained one.
        multimask: whether all masks of an object with one click are returned.
        return_points: whether the points of each instance are returned as well.
        session: name of the session; empty: none.
        follow: whether the objects are followed from cloud to cloud.
        boxes: by object_id, in the coordinate frame of the points.
    """

    points: np.ndarray
    labels: np.ndarray
    object_ids: np.ndarray
    frame_id: str
    stamp_ns: int
    cloud: PointCloud2 | None
    multimask: bool
    return_points: bool
    session: str
    follow: bool
    boxes: Mapping[int, Box] = field(default_factory=dict)


def parse(request: SegmentPrompts.Request, limits: LimitSettings) -> Clicks:
    """Checks a request.

    Raises:
        Refusal: BAD_REQUEST; no or too many points and boxes, points that are not finite, lengths
            that do not match, labels other than 0 and 1, an object id of 0, malformed boxes, or a
            name that is too long.
    """
    if not len(request.points) and not len(request.boxes):
        raise _bad("points is empty, and so is boxes; a request needs at least one click or box")
    for name, what, given in (
        ("points", "clicks", request.points),
        ("boxes", "boxes", request.boxes),
    ):
        if len(given) > limits.max_prompts:
            raise _bad(
                f"{name} has {len(given)} {what}; at most {limits.max_prompts} are taken "
                "(parameter limits.max_prompts)"
            )
    for name, text in (("session", request.session), ("frame_id", request.header.frame_id)):
        if len(text) > limits.max_name_length:
            raise _bad(
                f"{name} has {len(text)} characters; at most {limits.max_name_length} are taken "
                "(parameter limits.max_name_length)"
            )
    points = np.array([(point.x, point.y, point.z) for point in request.points], np.float64)
    points = points.reshape(-1, 3)
    for row in np.flatnonzero(~np.isfinite(points).all(axis=1)):
        raise _bad(
            f"click {row + 1}, points[{row}], is {tuple(points[row].tolist())}; it must be "
            "finite [m]"
        )
    labels = _one_each("labels", request.labels, len(points))
    for row in np.flatnonzero(labels > 1):
        raise _bad(
            f"labels[{row}] is {labels[row]}, of click {row + 1}; it must be 1 (on the object) or "
            "0 (off it)"
        )
    object_ids = _one_each("object_ids", request.object_ids, len(points))
    for row in np.flatnonzero(object_ids == 0):
        raise _bad(f"object_ids[{row}] is 0, of click {row + 1}; objects are numbered from 1")
    return Clicks(
        points=points,
        labels=labels,
        object_ids=object_ids,
        frame_id=str(request.header.frame_id),
        stamp_ns=stamp_ns(request.header.stamp),
        cloud=attached(request.cloud),
        multimask=bool(request.multimask),
        return_points=bool(request.return_points),
        session=str(request.session),
        follow=bool(request.follow),
        boxes=_boxes(request.boxes),
    )


def attached(cloud: PointCloud2) -> PointCloud2 | None:
    """The cloud attached to a request; None: it is empty, and a retained one is used."""
    empty = not (len(cloud.data) or len(cloud.fields) or cloud.width or cloud.height)
    return None if empty else cloud


def _boxes(messages: Sequence[ObjectBox]) -> dict[int, Box]:
    """Boxes by object_id, in the request's coordinate frame."""
    boxes: dict[int, Box] = {}
    for row, message in enumerate(messages):
        object_id = int(message.object_id)
        if object_id == 0:
            raise _bad(f"boxes[{row}].object_id is 0; objects are numbered from 1")
        if object_id in boxes:
            raise _bad(
                f"boxes[{row}] is a second box of object {object_id}; an object has one at most"
            )
        center, size, turn = message.pose.position, message.size, message.pose.orientation
        try:
            boxes[object_id] = Box(
                (center.x, center.y, center.z),
                (size.x, size.y, size.z),
                (turn.x, turn.y, turn.z, turn.w),
            )
        except PromptError as error:
            raise _bad(f"boxes[{row}], of object {object_id}: {error}") from error
    return boxes


def _one_each(name: str, values: Sequence[int], count: int) -> np.ndarray:
    """(count,) int64: one value per click, all 1 if none are given."""
    if len(values) not in (0, count):
        raise _bad(f"{name} has {len(values)} values for {count} points; give {count}, or none")
    given = np.asarray(values, np.int64)
    return given if len(given) else np.ones(count, np.int64)


def _bad(message: str) -> Refusal:
    return Refusal(Code.BAD_REQUEST, message)
