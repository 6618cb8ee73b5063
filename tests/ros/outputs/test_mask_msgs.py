"""`mask_msgs`: instances as planners and RViz read them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from pointsam_interfaces.msg import InstanceArray
from pointsam_model import Instance
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.outputs import mask_msgs
from pointsam_ros.outputs.found import Found

XYZ = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
HEADER = Header(frame_id="camera")


def found(known: int, object_id: int, rows: list[int], score: float) -> Found:
    instance = Instance(np.array(rows, np.uint32), score, 0.75, XYZ[rows])
    return Found(known, object_id, instance)


TWO = [found(7, 5, [1, 2, 3, 8], 1.25), found(2, 9, [3, 4, 5, 8, 19], 0.5)]


def over_the_wire(msg: object) -> object:
    """What the middleware makes of it; a numpy scalar in a field would abort the process here."""
    return deserialize_message(serialize_message(msg), type(msg))


def test_an_instance_array_tells_ids_scores_points_and_boxes() -> None:
    array = over_the_wire(mask_msgs.instance_array(HEADER, 20, TWO))
    assert isinstance(array, InstanceArray)
    assert (array.header, array.cloud_size) == (HEADER, 20)
    assert [(each.id, each.object_id) for each in array.instances] == [(7, 5), (2, 9)]
    first = array.instances[0]
    assert first.indices.tolist() == [1, 2, 3, 8]
    assert first.score == 1.0, "scores are clamped to 0..1"
    assert first.stability == 0.75
    centroid = [first.centroid.x, first.centroid.y, first.centroid.z]
    np.testing.assert_allclose(centroid, XYZ[[1, 2, 3, 8]].mean(0), atol=1e-6)


def test_the_box_of_an_instance_holds_its_points_tightly() -> None:
    array = mask_msgs.instance_array(HEADER, 20, TWO)
    for message, each in zip(array.instances, TWO, strict=True):
        pose, size = message.box_pose, message.box_size
        turn = Rotation.from_quat(
            [pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w]
        )
        center = [pose.position.x, pose.position.y, pose.position.z]
        local = turn.inv().apply(XYZ[each.instance.indices] - np.array(center))
        np.testing.assert_allclose(np.ptp(local, axis=0), [size.x, size.y, size.z], atol=1e-5)
        np.testing.assert_allclose(local.max(0), -local.min(0), atol=1e-5)


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_quaternions_stand_for_their_rotation(values: list[float]) -> None:
    wanted = Rotation.from_quat(values)
    got = mask_msgs.quaternion(wanted.as_matrix())
    assert got.w >= 0
    again = Rotation.from_quat([got.x, got.y, got.z, got.w])
    assert (again.inv() * wanted).magnitude() < 1e-6


def test_segmented_points_carry_id_and_score_and_the_highest_score_wins() -> None:
    source = cloud_msgs.write(HEADER, XYZ, ring=np.arange(20, dtype=np.uint16))
    cloud = over_the_wire(mask_msgs.segmented_points(source, list(reversed(TWO))))
    names = [field.name for field in cloud.fields]
    assert names == ["x", "y", "z", "ring", "instance_id", "score"]
    values = np.frombuffer(cloud.data, np.uint8).reshape(20, cloud.point_step)
    offset = cloud.fields[-2].offset
    ids = values[:, offset : offset + 4].copy().view("<u4")[:, 0]
    scores = values[:, offset + 4 : offset + 8].copy().view("<f4")[:, 0]
    wanted = np.zeros(20, np.uint32)
    wanted[[3, 4, 5, 8, 19]] = 2
    wanted[[1, 2, 3, 8]] = 7
    np.testing.assert_array_equal(ids, wanted)
    np.testing.assert_array_equal(scores, np.select([wanted == 2, wanted == 7], [0.5, 1.0]))


@pytest.mark.parametrize("big_id", [7, 65_535, 65_536, 2**32 - 1])
def test_an_instance_image_has_the_ids_in_the_rows_and_columns_of_the_cloud(big_id: int) -> None:
    source = cloud_msgs.write(HEADER, XYZ, height=4)
    first, second = TWO
    image = over_the_wire(mask_msgs.instance_image(source, [second, replace(first, id=big_id)]))
    assert isinstance(image, Image)
    assert (image.header, image.encoding) == (HEADER, "16UC1")
    assert (image.height, image.width, image.step) == (4, 5, 10)
    wanted = np.zeros(20, np.uint16)
    wanted[[3, 4, 5, 8, 19]] = 2
    wanted[[1, 2, 3, 8]] = (big_id - 1) % 65_535 + 1
    np.testing.assert_array_equal(np.frombuffer(image.data, np.uint16), wanted)
    assert not np.frombuffer(mask_msgs.instance_image(source, []).data, np.uint16).any()


def test_remaining_points_are_those_of_no_instance_with_their_own_fields() -> None:
    rings = np.arange(20, dtype=np.uint16)
    source = cloud_msgs.write(HEADER, XYZ, ring=rings, height=4)
    remains = np.setdiff1d(rings, [1, 2, 3, 4, 5, 8, 19])
    cloud = over_the_wire(mask_msgs.remaining_points(source, TWO))
    assert isinstance(cloud, PointCloud2)
    assert (cloud.header, cloud.height, cloud.width) == (HEADER, 1, len(remains))
    assert cloud.fields == source.fields and cloud.point_step == source.point_step
    points = np.frombuffer(cloud.data, np.uint8).reshape(len(remains), -1)
    np.testing.assert_array_equal(
        points, np.frombuffer(source.data, np.uint8).reshape(20, -1)[remains]
    )


def test_markers_delete_the_old_ones_then_draw_box_and_label_of_each_instance() -> None:
    array = over_the_wire(mask_msgs.markers(HEADER, TWO))
    assert isinstance(array, MarkerArray)
    first, *drawn = array.markers
    assert first.action == Marker.DELETEALL
    assert [marker.type for marker in drawn] == [Marker.LINE_LIST, Marker.TEXT_VIEW_FACING] * 2
    assert len({(marker.ns, marker.id) for marker in drawn}) == 4
    assert all(marker.header == HEADER for marker in array.markers)
    box = drawn[0]
    assert len(box.points) == 24, "twelve edges"
    ends = np.array([[p.x, p.y, p.z] for p in box.points]).reshape(12, 2, 3)
    lengths = np.sort(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1))
    np.testing.assert_allclose(lengths, np.sort(np.repeat(TWO[0].instance.box.size, 4)), atol=1e-9)
    assert [marker.id for marker in drawn] == [7, 7, 2, 2]
    assert drawn[1].text == "7 of object 5: 1.00"


def test_nothing_found_is_an_empty_array_and_a_cloud_of_zeros() -> None:
    assert mask_msgs.instance_array(HEADER, 20, []).instances == []
    cloud = mask_msgs.segmented_points(cloud_msgs.write(HEADER, XYZ), [])
    assert not np.frombuffer(cloud.data, np.uint8).reshape(20, -1)[:, 12:].any()
    assert len(mask_msgs.markers(HEADER, []).markers) == 1


@pytest.mark.parametrize("score", [-0.5, 0.25, 7.0])
def test_scores_stay_between_0_and_1(score: float) -> None:
    array = mask_msgs.instance_array(HEADER, 20, [found(1, 1, [0, 1], score)])
    assert array.instances[0].score == min(max(score, 0.0), 1.0)
