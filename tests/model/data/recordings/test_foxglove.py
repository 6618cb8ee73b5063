"""MCAP files that are not of ROS 2 alone: JSON, protobuf, and Foxglove's point clouds."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from recorded import ROS1, Mcap, cdr, foxglove_json, points

from pointsam_model.data.readers import read_cloud
from pointsam_model.data.readers.recordings import foxglove
from pointsam_model.errors import CloudError

NAME = foxglove.POINT_CLOUD


def of_json(path: Path, *messages: bytes) -> Path:
    file = Mcap(path, profile="")
    channel = file.channel("/cloud", "json", NAME, "jsonschema", b"{}")
    for number, data in enumerate(messages):
        file.write(channel, number, data)
    return file.finish()


def file_set() -> FileDescriptorSet:
    """Foxglove's definition of a point cloud, as its SDK puts it into a schema record."""
    kinds = FieldDescriptorProto
    files = FileDescriptorSet()
    time = files.file.add(name="google/protobuf/timestamp.proto", package="google.protobuf")
    file = files.file.add(
        name="foxglove/PointCloud.proto",
        package="foxglove",
        syntax="proto3",
        dependency=[time.name],
    )

    def message(owner: Any, name: str, *fields: tuple[str, Any, bool]) -> Any:
        made = owner.message_type.add(name=name)
        for number, (field, kind, repeated) in enumerate(fields, start=1):
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            if isinstance(kind, str):
                whole = {"type": kinds.TYPE_MESSAGE, "type_name": kind}
            else:
                whole = {"type": kind}
            made.field.add(name=field, number=number, label=label, **whole)
        return made

    one = False
    message(time, "Timestamp", ("seconds", kinds.TYPE_INT64, one), ("nanos", kinds.TYPE_INT32, one))
    double = kinds.TYPE_DOUBLE
    message(file, "Vector3", *[(axis, double, one) for axis in "xyz"])
    message(file, "Quaternion", *[(axis, double, one) for axis in "xyzw"])
    message(
        file,
        "Pose",
        ("position", ".foxglove.Vector3", one),
        ("orientation", ".foxglove.Quaternion", one),
    )
    message(
        file,
        "PackedElementField",
        ("name", kinds.TYPE_STRING, one),
        ("offset", kinds.TYPE_FIXED32, one),
        ("type", kinds.TYPE_INT32, one),
    )
    message(
        file,
        "PointCloud",
        ("timestamp", ".google.protobuf.Timestamp", one),
        ("frame_id", kinds.TYPE_STRING, one),
        ("pose", ".foxglove.Pose", one),
        ("point_stride", kinds.TYPE_FIXED32, one),
        ("fields", ".foxglove.PackedElementField", True),
        ("data", kinds.TYPE_BYTES, one),
    )
    return files


def of_protobuf(path: Path, **pose: Any) -> Path:
    files, pool = file_set(), DescriptorPool()
    for each in files.file:
        pool.Add(each)
    message: Any = GetMessageClass(pool.FindMessageTypeByName(NAME))()
    message.timestamp.seconds, message.timestamp.nanos = 7, 5
    message.frame_id, message.point_stride = "lidar", 12
    for at, axis in enumerate("xyz"):
        message.fields.add(name=axis, offset=4 * at, type=7)
    message.data = points(2).tobytes()
    for part, values in pose.items():
        for axis, value in values.items():
            setattr(getattr(message.pose, part), axis, value)
    file = Mcap(path, profile="")
    channel = file.channel("/cloud", "protobuf", NAME, "protobuf", files.SerializeToString())
    file.write(channel, 1, message.SerializeToString())
    return file.finish()


def test_clouds_of_ros2_are_read_beside_channels_of_json_and_protobuf(tmp_path: Path) -> None:
    file = Mcap(tmp_path / "a.mcap", profile="")
    log = file.channel("/log", "json", "foxglove.Log", "jsonschema", b"{}")
    file.write(log, 0, b"{}")
    binary = file.channel("/binary", "protobuf", "a.B", "protobuf", b"")
    file.write(binary, 0, b"")
    file.write(file.channel("/points"), 1, cdr(points(3)))
    cloud = read_cloud(file.finish())
    assert cloud.name == "/points[0]"
    np.testing.assert_array_equal(cloud.xyz, points(3))


def test_what_a_file_without_clouds_has_is_told(tmp_path: Path) -> None:
    file = Mcap(tmp_path / "a.mcap", profile="")
    file.write(file.channel("/log", "json", "foxglove.Log", "jsonschema", b"{}"), 0, b"{}")
    with pytest.raises(CloudError, match=r"no PointCloud2 topic; it has /log \(foxglove\.Log\)"):
        read_cloud(file.finish())


def test_messages_of_ros1_in_an_mcap_are_read(tmp_path: Path) -> None:
    file = Mcap(tmp_path / "a.mcap", profile="ros1")
    channel = file.channel("/points", "ros1", "sensor_msgs/PointCloud2", "ros1msg")
    file.write(channel, 1, cdr(points(3), ROS1))
    np.testing.assert_array_equal(read_cloud(file.finish()).xyz, points(3))


@pytest.mark.parametrize("form", ["json", "protobuf"])
def test_foxglove_point_clouds_are_read(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.mcap"
    cloud = read_cloud(
        of_json(path, foxglove_json(points(2))) if form == "json" else of_protobuf(path)
    )
    np.testing.assert_array_equal(cloud.xyz, points(2))
    assert (cloud.frame_id, cloud.stamp_ns) == ("lidar", 7_000_000_005)
    assert (cloud.height, cloud.width, cloud.cdr) == (1, 4, None)


QUARTER = {"z": 0.5**0.5, "w": 0.5**0.5}  # about z: x becomes y


@pytest.mark.parametrize("form", ["json", "protobuf"])
def test_a_pose_moves_the_points(tmp_path: Path, form: str) -> None:
    path, place = tmp_path / "a.mcap", {"x": 1000.0, "y": 0.0, "z": -1.0}
    pose = {"position": place, "orientation": QUARTER}
    if form == "json":
        message = foxglove_json(points(2), pose=pose)
        cloud = read_cloud(of_json(path, message))
    else:
        cloud = read_cloud(of_protobuf(path, **pose))
    x, y, z = points(2).astype(float).T
    np.testing.assert_allclose(cloud.xyz, np.column_stack([1000 - y, x, z - 1]))


def test_a_pose_makes_no_point_of_what_the_sensor_did_not_see(tmp_path: Path) -> None:
    xyz = points(2)
    xyz[1] = 0
    pose = {"position": {"x": 5, "y": 0, "z": 0}, "orientation": {"x": 0, "y": 0, "z": 0, "w": 1}}
    cloud = read_cloud(of_json(tmp_path / "a.mcap", foxglove_json(xyz, pose=pose)))
    assert cloud.valid.tolist() == [True, False, True, True]


def test_numeric_types_are_foxgloves_and_colours_are_read(tmp_path: Path) -> None:
    rows = np.zeros(2, [("xyz", "<f8", 3), ("rgb", "u1", 3), ("alpha", "u1"), ("ring", "<u2")])
    rows["xyz"], rows["rgb"] = [[1, 2, 3], [4, 5, 6]], [[10, 20, 30], [40, 50, 60]]
    fields = [{"name": axis, "offset": 8 * at, "type": 8} for at, axis in enumerate("xyz")]
    names = ("red", "green", "blue", "alpha")
    fields += [{"name": name, "offset": 24 + at, "type": 1} for at, name in enumerate(names)]
    fields += [{"name": "ring", "offset": 28, "type": 3}]
    message = foxglove_json(rows, fields=fields, point_stride=30)
    cloud = read_cloud(of_json(tmp_path / "a.mcap", message))
    assert cloud.xyz.dtype == np.float64
    np.testing.assert_array_equal(cloud.xyz, rows["xyz"])
    np.testing.assert_array_equal(cloud.rgb, rows["rgb"])


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"{", "no foxglove.PointCloud in JSON"),
        (b"[]", "no foxglove.PointCloud in JSON"),
        (foxglove_json(points(0), data="%%"), "no foxglove.PointCloud in JSON"),
        (foxglove_json(points(0), point_stride=7), "point_stride is 7; it must divide the 48"),
        (foxglove_json(points(0), point_stride=0), "point_stride is 0"),
        (foxglove_json(points(0), fields=[{"name": "x", "offset": 0, "type": 9}]), r"x \(9\)"),
        (foxglove_json(points(0), fields=[{"name": "x", "offset": 0, "type": 7}]), "no field 'y'"),
        (foxglove_json(points(0)[:0]), "width is 0"),
        (foxglove_json(points(0), pose={"position": {"x": float("nan")}}), "must be finite"),
    ],
)
def test_a_malformed_foxglove_cloud_is_refused(tmp_path: Path, message: bytes, reason: str) -> None:
    with pytest.raises(CloudError, match=reason):
        read_cloud(of_json(tmp_path / "a.mcap", message))


def test_without_the_library_for_protobuf_its_name_is_told_and_other_topics_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = of_protobuf(tmp_path / "a.mcap")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        foxglove, "find_spec", lambda name: None if name == "mcap_protobuf" else find(name)
    )
    with pytest.raises(CloudError, match="pip install mcap-protobuf-support"):
        read_cloud(path)
    file = Mcap(tmp_path / "b.mcap", profile="")
    packed = file.channel("/cloud", "protobuf", NAME, "protobuf", b"")
    file.write(packed, 0, b"")
    file.write(file.channel("/points"), 1, cdr(points(3)))
    assert read_cloud(file.finish()).name == "/points[0]"
