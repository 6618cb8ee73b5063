"""`~/detections`, with stand-ins for vision_msgs 4.x that take its fields and types only."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from geometry_msgs.msg import Pose, PoseWithCovariance, Vector3
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from pointsam_model import Instance
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.clouds.cloud_store import StoredCloud
from pointsam_ros.config import LimitSettings, OutputQosSettings
from pointsam_ros.health.tally import Tally
from pointsam_ros.outputs import detection_msgs, outputs
from pointsam_ros.outputs.answers import Answer
from pointsam_ros.outputs.found import Found

XYZ = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
HEADER = Header(frame_id="camera")
TWO = [
    Found(7, 5, Instance(np.array([1, 2, 3, 8], np.uint32), 1.25, 0.75, XYZ[[1, 2, 3, 8]])),
    Found(2, 0, Instance(np.array([4, 5, 9], np.uint32), 0.5, 0.75, XYZ[[4, 5, 9]])),
]


class Message:
    """A message with these fields and no other, each of its type and no other."""

    fields: ClassVar[dict[str, type | list[type]]]

    def __init__(self, **values: Any) -> None:
        for name, kind in self.fields.items():
            setattr(self, name, values.pop(name, [] if isinstance(kind, list) else kind()))
        assert not values, f"{type(self).__name__} has no {', '.join(values)}"

    def __setattr__(self, name: str, value: Any) -> None:
        kind = self.fields[name]
        if isinstance(kind, list):
            assert type(value) is list and all(type(each) is kind[0] for each in value), name
        else:
            assert type(value) is kind, f"{name} is {type(value)}"
        super().__setattr__(name, value)


class ObjectHypothesis(Message):
    fields: ClassVar = {"class_id": str, "score": float}


class ObjectHypothesisWithPose(Message):
    fields: ClassVar = {"hypothesis": ObjectHypothesis, "pose": PoseWithCovariance}


class BoundingBox3D(Message):
    fields: ClassVar = {"center": Pose, "size": Vector3}


class Detection3D(Message):
    fields: ClassVar = {
        "header": Header,
        "results": [ObjectHypothesisWithPose],
        "bbox": BoundingBox3D,
        "id": str,
    }


class Detection3DArray(Message):
    fields: ClassVar = {"header": Header, "detections": [Detection3D]}


@pytest.fixture
def vision_msgs(monkeypatch: pytest.MonkeyPatch) -> None:
    package, messages = ModuleType("vision_msgs"), ModuleType("vision_msgs.msg")
    for kind in Message.__subclasses__():
        setattr(messages, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "vision_msgs", package)
    monkeypatch.setitem(sys.modules, "vision_msgs.msg", messages)


def test_a_detection_has_the_instances_id_score_and_box(vision_msgs: None) -> None:
    array = detection_msgs.detection_array(HEADER, TWO)
    assert array.header == HEADER
    assert [each.id for each in array.detections] == ["7", "2"]
    assert all(each.header == HEADER for each in array.detections)
    for detection, wanted, score in zip(array.detections, TWO, (1.0, 0.5), strict=True):
        (result,) = detection.results
        assert (result.hypothesis.class_id, result.hypothesis.score) == ("object", score)
        center, size = detection.bbox.center.position, detection.bbox.size
        box = wanted.instance.box
        np.testing.assert_allclose([center.x, center.y, center.z], box.center)
        np.testing.assert_allclose([size.x, size.y, size.z], box.size)
        assert result.pose.pose == detection.bbox.center


class Publisher:
    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.published: list[Any] = []

    def get_subscription_count(self) -> int:
        return int(self.topic == "~/detections")

    def publish(self, message: Any) -> None:
        self.published.append(message)


def published(found: list[Found]) -> list[Publisher]:
    """The publishers of a node's outputs after an answer, to which only `~/detections` is heard."""
    publishers: list[Publisher] = []

    def create(kind: type, name: str, *_: Any, **__: Any) -> Publisher:
        publishers.append(Publisher(name))
        return publishers[-1]

    node = SimpleNamespace(resolve_topic_name=str, create_lifecycle_publisher=create)
    source: PointCloud2 = cloud_msgs.write(HEADER, XYZ)
    cloud = StoredCloud.from_msg(source, 0, LimitSettings())
    topics = outputs.Outputs(node, OutputQosSettings(), Tally())  # type: ignore[arg-type]
    if topics.wanted():
        topics.publish(Answer(cloud, found, []))
    return publishers


def test_detections_are_published_beside_the_instances_where_vision_msgs_is_installed(
    vision_msgs: None,
) -> None:
    *others, detections = published(TWO)
    assert [each.id for each in detections.published[0].detections] == ["7", "2"]
    assert not any(other.published for other in others)


def test_there_is_no_such_topic_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vision_msgs", None)
    assert [each.topic for each in published(TWO)] == [
        "~/instances",
        "~/segmented_points",
        "~/remaining_points",
        "~/instance_image",
        "~/markers",
    ]
