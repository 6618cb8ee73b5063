"""`cloud_msgs`: every legal PointCloud2 is read exactly, the rest is refused with a reason."""

from __future__ import annotations

import struct
import tracemalloc
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from pointsam_model.errors import CloudError
from pointsam_ros.clouds import cloud_msgs

FORMATS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 8: "d"}
COORDINATES = (7, 8)
COLORS = ("none", "rgb", "rgba", "separate")


@dataclass
class Written:
    """A legal message, and what was written into it value by value."""

    msg: PointCloud2
    xyz: np.ndarray
    rgb: np.ndarray | None


def number(datatype: int) -> st.SearchStrategy[Any]:
    if datatype == 7:
        return st.floats(width=32)
    if datatype == 8:
        return st.floats(width=64)
    bits = 8 * struct.calcsize(FORMATS[datatype])
    low = -(2 ** (bits - 1)) if datatype in (1, 3, 5) else 0
    return st.integers(low, low + 2**bits - 1)


@st.composite
def legal_messages(draw: st.DrawFn) -> Written:
    """Any field order, gaps, padding, types, byte order and shape; at least one valid point."""
    height, width = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    big = draw(st.booleans())
    order = ">" if big else "<"
    fields = [(axis, draw(st.sampled_from(COORDINATES)), 1) for axis in "xyz"]
    color = draw(st.sampled_from(COLORS))
    if color in ("rgb", "rgba"):
        fields.append((color, draw(st.sampled_from((6, 7))), 1))
    if color == "separate":
        fields += [(channel, 2, 1) for channel in "rgb"]
    for index in range(draw(st.integers(0, 3))):
        fields.append(
            (f"extra{index}", draw(st.sampled_from(list(FORMATS))), draw(st.integers(1, 3)))
        )
    fields = draw(st.permutations(fields))

    offset, described = 0, []
    for name, datatype, count in fields:
        offset += draw(st.integers(0, 5))
        described.append(PointField(name=name, offset=offset, datatype=datatype, count=count))
        offset += struct.calcsize(FORMATS[datatype]) * count
    point_step = offset + draw(st.integers(0, 5))
    row_step = width * point_step + draw(st.sampled_from((0, 0, 1, 7)))
    data = bytearray(draw(st.binary(min_size=height * row_step, max_size=height * row_step)))

    wide = any(datatype == 8 for name, datatype, _ in fields if name in "xyz")
    xyz = np.zeros((height * width, 3), np.float64 if wide else np.float32)
    rgb = None if color == "none" else np.zeros((height * width, 3), np.uint8)
    valid_at = draw(st.integers(0, height * width - 1))
    for point in range(height * width):
        start = point // width * row_step + point % width * point_step
        for field in described:
            at = start + field.offset
            form = order + FORMATS[field.datatype]
            if field.name in ("x", "y", "z"):
                value = 1.5 if point == valid_at else draw(number(field.datatype))
                struct.pack_into(form, data, at, value)
                xyz[point, "xyz".index(field.name)] = value
            elif field.name in ("rgb", "rgba"):
                color_bits = draw(st.integers(0, 2**32 - 1))
                struct.pack_into(order + "I", data, at, color_bits)
                rgb[point] = [color_bits >> shift & 255 for shift in (16, 8, 0)]
            elif field.name in ("r", "g", "b"):
                value = draw(st.integers(0, 255))
                data[at] = value
                rgb[point, "rgb".index(field.name)] = value
    msg = PointCloud2(
        height=height, width=width, point_step=point_step, row_step=row_step, is_bigendian=big
    )
    msg.fields = described
    msg.data = bytes(data)
    return Written(msg, xyz, rgb)


def copy_of(msg: PointCloud2) -> tuple:
    fields = [(f.name, f.offset, f.datatype, f.count) for f in msg.fields]
    return (
        msg.height, msg.width, msg.point_step, msg.row_step, msg.is_bigendian, fields,
        bytes(msg.data),
    )  # fmt: skip


@given(legal_messages())
@settings(max_examples=200, deadline=None)
def test_a_legal_message_is_read_value_by_value_and_left_as_it_was(written: Written) -> None:
    before = copy_of(written.msg)
    cloud = cloud_msgs.read(written.msg)
    np.testing.assert_array_equal(cloud.xyz, written.xyz)
    assert cloud.xyz.dtype == written.xyz.dtype
    if written.rgb is None:
        assert cloud.rgb is None
    else:
        np.testing.assert_array_equal(cloud.rgb, written.rgb)
    assert copy_of(written.msg) == before


@given(legal_messages())
@settings(max_examples=50, deadline=None)
def test_a_row_step_of_zero_is_repaired(written: Written) -> None:
    msg = written.msg
    if msg.row_step != msg.width * msg.point_step:
        return
    msg.row_step = 0
    np.testing.assert_array_equal(cloud_msgs.read(msg).xyz, written.xyz)
    assert msg.row_step == 0


@given(legal_messages(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_message_with_any_header_number_changed_is_read_within_its_data_or_refused(
    written: Written, data: st.DataObject
) -> None:
    msg = written.msg
    for name in data.draw(st.sets(st.sampled_from(("height", "width", "point_step", "row_step")))):
        setattr(msg, name, data.draw(st.integers(0, 40) | st.integers(0, 2**32 - 1)))
    field = data.draw(st.sampled_from(list(msg.fields)))
    if data.draw(st.booleans()):
        field.offset = data.draw(st.integers(0, 60) | st.integers(0, 2**32 - 1))
    if data.draw(st.booleans()):
        field.count = data.draw(st.integers(0, 9) | st.integers(0, 2**32 - 1))
    if data.draw(st.booleans()):
        field.datatype = data.draw(st.integers(0, 255))
    before = copy_of(msg)
    try:
        cloud = cloud_msgs.read(msg)
    except CloudError as error:
        assert str(error)
    else:
        row_step = msg.row_step or msg.width * msg.point_step
        assert cloud.size == msg.width * msg.height
        assert msg.height * row_step == len(msg.data)
    assert copy_of(msg) == before


def good(points: int = 6, **shape: int) -> PointCloud2:
    xyz = np.arange(3 * points, dtype=np.float32).reshape(-1, 3) + 1
    return cloud_msgs.write(Header(frame_id="camera"), xyz, **shape)


def without(name: str) -> PointCloud2:
    msg = good()
    msg.fields = [field for field in msg.fields if field.name != name]
    return msg


def changed(field: int | None = None, **values: Any) -> PointCloud2:
    msg = good()
    for name, value in values.items():
        setattr(msg if field is None else msg.fields[field], name, value)
    return msg


def with_data(data: bytes) -> PointCloud2:
    return changed(data=data)


def doubled() -> PointCloud2:
    msg = good()
    msg.fields.append(PointField(name="x", offset=0, datatype=7, count=1))
    return msg


def all_at(value: float) -> PointCloud2:
    return cloud_msgs.write(Header(), np.full((4, 3), value, np.float32))


BROKEN = {
    "no points: width": (changed(width=0, row_step=0, data=b""), "width is 0"),
    "no points: height": (changed(height=0, data=b""), "height is 0"),
    "no fields": (changed(fields=[]), "no field 'x'"),
    "no z": (without("z"), "no field 'z'.*x, y"),
    "integer y": (changed(1, datatype=PointField.INT32), "'y' is 1 x int32.*float32 or float64"),
    "x three times": (changed(0, count=3), "'x' is 3 x float32"),
    "unknown type": (changed(0, datatype=9), "datatype 9.*1 to 8"),
    "two fields x": (doubled(), "two fields 'x'"),
    "point_step 0": (changed(point_step=0, row_step=0), "point_step is 0"),
    "field beyond point_step": (changed(2, offset=9), "'z' takes bytes 9 to 13.*12"),
    "count overflows": (changed(2, count=2**32 - 1), "'z' takes bytes"),
    "offset overflows": (changed(2, offset=2**32 - 1), "'z' takes bytes"),
    "row_step too small": (changed(row_step=71), "row_step is 71.*72"),
    "data shorter": (with_data(bytes(71)), "71 bytes, fewer.*72"),
    "data longer": (with_data(bytes(73)), "73 bytes, more.*72"),
    "data empty": (with_data(b""), "0 bytes, fewer.*72"),
    "size overflows": (
        changed(width=2**32 - 1, height=2**32 - 1, row_step=0),
        "72 bytes, fewer",
    ),
    "all NaN": (all_at(np.nan), "none of the cloud's 4 points is valid"),
    "all infinite": (all_at(np.inf), "none of the cloud's 4 points is valid"),
    "all zero": (all_at(0.0), "none of the cloud's 4 points is valid"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_message_is_refused_with_its_reason(case: str) -> None:
    msg, reason = BROKEN[case]
    before = copy_of(msg)
    with pytest.raises(CloudError, match=reason):
        cloud_msgs.read(msg)
    assert copy_of(msg) == before


def test_nothing_of_a_declared_size_is_allocated_before_it_is_checked() -> None:
    msg = changed(width=2**31, height=2**31, row_step=2**32 - 1)
    tracemalloc.start()
    try:
        with pytest.raises(CloudError):
            cloud_msgs.read(msg)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_padding_fields_may_share_a_name() -> None:
    msg = good()
    msg.fields += [PointField(name="_", offset=at, datatype=2, count=4) for at in (0, 8)]
    assert np.array_equal(cloud_msgs.read(msg).xyz, cloud_msgs.read(good()).xyz)


@pytest.mark.parametrize("names", ["r g b", "red green blue"])
def test_separate_colours_of_a_byte_each_are_read(names: str) -> None:
    xyz = np.arange(18, dtype=np.float32).reshape(-1, 3) + 1
    rgb = np.arange(18, dtype=np.uint8).reshape(-1, 3) * 9
    fields = dict(zip(names.split(), rgb.T.copy(), strict=True))
    cloud = cloud_msgs.read(cloud_msgs.write(Header(), xyz, **fields))
    assert np.array_equal(cloud.rgb, rgb)


def test_a_field_count_of_zero_means_one() -> None:
    assert cloud_msgs.read(changed(0, count=0)).size == 6


def test_received_data_is_viewed_not_copied() -> None:
    msg = good()
    view = cloud_msgs.data_of(msg)
    assert not view.flags.writeable
    assert np.shares_memory(view, np.frombuffer(msg.data, np.uint8))


def test_a_written_cloud_is_read_back() -> None:
    rng = np.random.default_rng(0)
    xyz = rng.normal(size=(12, 3)).astype(np.float32)
    rgb = rng.integers(0, 256, (12, 3), np.uint8)
    ring = np.arange(12, dtype=np.uint16)
    msg = cloud_msgs.write(Header(frame_id="lidar"), xyz, rgb, height=3, ring=ring)
    assert (msg.height, msg.width, msg.header.frame_id, msg.is_dense) == (3, 4, "lidar", True)
    cloud = cloud_msgs.read(msg)
    np.testing.assert_array_equal(cloud.xyz, xyz)
    np.testing.assert_array_equal(cloud.rgb, rgb)
    assert [field.name for field in msg.fields] == ["x", "y", "z", "rgb", "ring"]


def test_writing_refuses_what_does_not_fit() -> None:
    xyz = np.ones((6, 3), np.float32)
    with pytest.raises(CloudError, match="do not fill 4 rows"):
        cloud_msgs.write(Header(), xyz, height=4)
    with pytest.raises(CloudError, match="'ring' has shape"):
        cloud_msgs.write(Header(), xyz, ring=np.zeros(5, np.uint8))
    with pytest.raises(CloudError, match="int64"):
        cloud_msgs.write(Header(), xyz, ring=np.zeros(6, np.int64))


def value_of(msg: PointCloud2, name: str, point: int) -> Any:
    """The slow way: one value straight out of the bytes."""
    (field,) = (field for field in msg.fields if field.name == name)
    row_step = msg.row_step or msg.width * msg.point_step
    start = point // msg.width * row_step + point % msg.width * msg.point_step
    form = (">" if msg.is_bigendian else "<") + FORMATS[field.datatype]
    return struct.unpack_from(form, bytes(msg.data), start + field.offset)[0]


def bits_of(msg: PointCloud2, point: int) -> list[bytes]:
    """The bytes of each of the source's fields of a point."""
    row_step = msg.row_step or msg.width * msg.point_step
    start = point // msg.width * row_step + point % msg.width * msg.point_step
    sizes = [struct.calcsize(FORMATS[f.datatype]) * f.count for f in msg.fields]
    data = bytes(msg.data)
    return [
        data[start + f.offset : start + f.offset + size]
        for f, size in zip(msg.fields, sizes, strict=True)
    ]


@given(legal_messages())
@settings(max_examples=60, deadline=None)
def test_appended_fields_leave_every_field_of_the_source_as_it_was(written: Written) -> None:
    msg, size = written.msg, written.msg.width * written.msg.height
    ids = np.arange(size, dtype=np.uint32) + 7
    scores = np.linspace(0, 1, size, dtype=np.float32)
    new = cloud_msgs.with_fields(msg, {"instance_id": ids, "score": scores})
    np.testing.assert_array_equal(cloud_msgs.read(new).xyz, written.xyz)
    assert (new.height, new.width, new.is_bigendian) == (msg.height, msg.width, msg.is_bigendian)
    assert [f.name for f in new.fields] == [f.name for f in msg.fields] + ["instance_id", "score"]
    for point in range(size):
        assert bits_of(new, point)[:-2] == bits_of(msg, point)
        assert value_of(new, "instance_id", point) == ids[point]
        assert value_of(new, "score", point) == scores[point]


def test_an_appended_field_hides_one_of_its_name() -> None:
    msg = cloud_msgs.write(Header(), np.ones((4, 3), np.float32), score=np.zeros(4, np.uint8))
    new = cloud_msgs.with_fields(msg, {"score": np.full(4, 0.5, np.float32)})
    assert [field.name for field in new.fields] == ["x", "y", "z", "score"]
    assert value_of(new, "score", 3) == 0.5


@given(legal_messages(), st.data())
@settings(max_examples=60, deadline=None)
def test_chosen_points_keep_all_their_fields(written: Written, data: st.DataObject) -> None:
    size = written.msg.width * written.msg.height
    rows = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1)))
    new = cloud_msgs.with_rows(written.msg, np.array(rows))
    assert (new.height, new.width) == (1, len(rows))
    assert new.row_step * new.height == len(new.data)
    for point, row in enumerate(rows):
        assert bits_of(new, point) == bits_of(written.msg, row)


@given(legal_messages())
@settings(max_examples=60, deadline=None)
def test_coordinates_are_those_that_sensor_msgs_py_reads(written: Written) -> None:
    point_cloud2 = pytest.importorskip(
        "sensor_msgs_py.point_cloud2", reason="sensor_msgs_py comes with a ROS distribution only"
    )
    if written.msg.row_step != written.msg.width * written.msg.point_step:
        return  # sensor_msgs_py does not look at row_step
    theirs = point_cloud2.read_points(written.msg, field_names=["x", "y", "z"])
    ours = cloud_msgs.read(written.msg).xyz
    for axis, name in enumerate("xyz"):
        np.testing.assert_array_equal(ours[:, axis], theirs[name].reshape(-1))
