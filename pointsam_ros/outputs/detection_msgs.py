"""Instances as vision_msgs 4.x, as in Humble and later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from geometry_msgs.msg import PoseWithCovariance, Vector3
from std_msgs.msg import Header

from pointsam_ros.outputs.found import Found
from pointsam_ros.outputs.mask_msgs import clamped, pose_of, xyz_of

CLASS = "object"  # masks have no class


def message_type() -> Any | None:
    """vision_msgs/Detection3DArray; None if vision_msgs is not installed."""
    try:
        from vision_msgs.msg import Detection3DArray
    except ImportError:
        return None
    return Detection3DArray


def detection_array(header: Header, found: Sequence[Found]) -> Any:
    """The box, the score and the id of each instance, in the given order."""
    from vision_msgs.msg import Detection3DArray

    return Detection3DArray(header=header, detections=[_detection(header, each) for each in found])


def _detection(header: Header, found: Found) -> Any:
    from vision_msgs.msg import (
        BoundingBox3D,
        Detection3D,
        ObjectHypothesis,
        ObjectHypothesisWithPose,
    )

    box = found.instance.box
    hypothesis = ObjectHypothesis(class_id=CLASS, score=clamped(found.instance.score))
    pose = PoseWithCovariance(pose=pose_of(box))
    return Detection3D(
        header=header,
        results=[ObjectHypothesisWithPose(hypothesis=hypothesis, pose=pose)],
        bbox=BoundingBox3D(center=pose_of(box), size=Vector3(**xyz_of(box.size))),
        id=str(found.id),
    )
