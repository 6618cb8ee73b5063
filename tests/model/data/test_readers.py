"""Every kind of file keeps its points, their order, rows and columns, colours and labels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import lzf
import numpy as np
import pytest
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from pointsam_model.data.readers import read_cloud, read_clouds
from pointsam_model.errors import CloudError

NAN = float("nan")
XYZ = np.array([[1.5, -2, 3], [NAN, NAN, NAN], [0.25, 5, -6], [7, 8, 9]], dtype=np.float32)
RGB = np.array([[16, 32, 48], [0, 0, 0], [255, 254, 1], [7, 200, 90]], dtype=np.uint8)
PACKED = (RGB.astype(np.uint32) * [65536, 256, 1]).sum(axis=1).astype(np.uint32)


def pcd_header(encoding: str, color: str = "F", width: int = 2, height: int = 2) -> bytes:
    return (
        "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z rgb\n"
        f"SIZE 4 4 4 4\nTYPE F F F {color}\nCOUNT 1 1 1 1\nWIDTH {width}\nHEIGHT {height}\n"
        f"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS {width * height}\nDATA {encoding}\n"
    ).encode()


def table() -> NDArray[Any]:
    """The points and packed colours as PCD keeps them in binary."""
    rows = np.zeros(4, dtype=[("xyz", "<f4", 3), ("rgb", "<u4")])
    rows["xyz"], rows["rgb"] = XYZ, PACKED
    return rows


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def assert_is_the_cloud(path: Path, height: int = 2, width: int = 2) -> None:
    cloud = read_cloud(path)
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    np.testing.assert_array_equal(cloud.rgb, RGB)
    assert (cloud.height, cloud.width) == (height, width)
    assert cloud.valid.tolist() == [True, False, True, True]


def test_binary_pcd_keeps_order_rows_and_colour(tmp_path: Path) -> None:
    assert_is_the_cloud(write(tmp_path / "a.pcd", pcd_header("binary") + table().tobytes()))


def compressed(repeats: int) -> bytes:
    """The points so many times, field by field, as compressed PCD keeps them, with its sizes."""
    fields = b"".join(np.tile(XYZ[:, axis], repeats).tobytes() for axis in range(3))
    fields += np.tile(PACKED, repeats).tobytes()
    packed = lzf.compress(fields)
    return np.array([len(packed), len(fields)], dtype="<u4").tobytes() + packed


def test_compressed_pcd_keeps_order_rows_and_colour(tmp_path: Path) -> None:
    header = pcd_header("binary_compressed", width=10, height=4)
    cloud = read_cloud(write(tmp_path / "a.pcd", header + compressed(10)))
    np.testing.assert_array_equal(cloud.xyz, np.tile(XYZ, (10, 1)))
    np.testing.assert_array_equal(cloud.rgb, np.tile(RGB, (10, 1)))
    assert (cloud.height, cloud.width) == (4, 10)


@pytest.mark.parametrize("color", ["F", "U"])
def test_ascii_pcd_takes_any_spaces_nan_and_both_kinds_of_colour(
    tmp_path: Path, color: str
) -> None:
    colors = PACKED.view(np.float32) if color == "F" else PACKED
    lines = [
        f"{x!s}   {y!s}\t{z!s} {value.item()!r}"
        for (x, y, z), value in zip(XYZ, colors, strict=True)
    ]
    data = pcd_header("ascii", color) + "\n".join(lines).encode() + b"\n"
    assert_is_the_cloud(write(tmp_path / "a.pcd", data))


def ascii_pcd(colors: list[str]) -> bytes:
    lines = [f"{number} 1 2 {color}" for number, color in enumerate(colors)]
    return pcd_header("ascii", width=len(colors), height=1) + "\n".join(lines).encode() + b"\n"


@pytest.mark.parametrize("word", ["nan", "-nan", "NaN", "-nan(ind)", "-1.#IND", "1.#QNAN"])
def test_a_colour_that_is_no_number_is_none_however_it_is_written(
    tmp_path: Path, word: str
) -> None:
    assert read_cloud(write(tmp_path / "all.pcd", ascii_pcd([word] * 3))).rgb is None
    white = repr(np.uint32(0x00FFFFFF).view(np.float32).item())
    cloud = read_cloud(write(tmp_path / "some.pcd", ascii_pcd([white, word])))
    assert cloud.rgb is not None and cloud.rgb.tolist() == [[255, 255, 255], [0, 0, 0]]


def test_an_opaque_colour_is_one_although_its_bits_are_no_number(tmp_path: Path) -> None:
    rows = table()
    rows["rgb"] |= 0xFF000000
    assert np.isnan(rows["rgb"].copy().view(np.float32)[2])
    assert_is_the_cloud(write(tmp_path / "a.pcd", pcd_header("binary") + rows.tobytes()))


@pytest.mark.parametrize("word", ["nan(ind)", "-nan(ind)", "-1.#IND", "1.#INF", "-1.#INF00"])
def test_coordinates_as_c_libraries_write_what_is_no_number(tmp_path: Path, word: str) -> None:
    data = pcd_header("ascii", width=2, height=1) + f"1 2 3 0\n4 {word} 6 0\n".encode()
    assert read_cloud(write(tmp_path / "a.pcd", data)).valid.tolist() == [True, False]
    header = ply_header("ascii", count=2)
    body = f"1 2 3 0 9 9 9\n4 {word} 6 0 9 9 9\n".encode()
    assert read_cloud(write(tmp_path / "a.ply", header + body)).valid.tolist() == [True, False]


def test_double_coordinates_stay_double(tmp_path: Path) -> None:
    far = np.array([[551157.4375, 249120.7188, 1831.0814]], dtype="<f8")
    header = (
        b"VERSION .7\nFIELDS x y z\nSIZE 8 8 8\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 1\nHEIGHT 1\n"
        b"POINTS 1\nDATA binary\n"
    )
    cloud = read_cloud(write(tmp_path / "far.pcd", header + far.tobytes()))
    assert cloud.xyz.dtype == np.float64
    np.testing.assert_array_equal(cloud.xyz, far)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"VIEWPOINT 1.5 -2 0.5 1 0 0 0\n", [1.5, -2, 0.5]),
        (b"VIEWPOINT 0 0 0 1 0 0 0\n", None),  # what is written where nobody knows
        (b"VIEWPOINT 0 nan 3 1 0 0 0\n", None),
        (b"VIEWPOINT somewhere\n", None),
        (b"", None),
    ],
)
def test_a_pcd_tells_where_its_sensor_stood(
    tmp_path: Path, line: bytes, expected: list[float] | None
) -> None:
    data = pcd_header("binary").replace(b"VIEWPOINT 0 0 0 1 0 0 0\n", line) + table().tobytes()
    place = read_cloud(write(tmp_path / "a.pcd", data)).viewpoint
    assert (None if place is None else place.tolist()) == expected


def test_pcd_fields_of_several_values_and_padding_are_stepped_over(tmp_path: Path) -> None:
    header = (
        b"VERSION .7\nFIELDS normal _ x y z _ intensity\nSIZE 4 1 4 4 4 1 2\n"
        b"TYPE F U F F F U U\nCOUNT 3 3 1 1 1 2 1\nWIDTH 4\nHEIGHT 1\nPOINTS 4\nDATA binary\n"
    )
    rows = np.zeros(
        4,
        dtype=[
            ("n", "<f4", 3), ("p", "u1", 3), ("xyz", "<f4", 3), ("q", "u1", 2), ("i", "<u2"),
        ],
    )  # fmt: skip
    rows["xyz"], rows["i"] = XYZ, [1, 2, 3, 4]
    cloud = read_cloud(write(tmp_path / "a.pcd", header + rows.tobytes()))
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    np.testing.assert_array_equal(cloud.intensity, [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no DATA line"),
        (b"hello\n" * 50, "no DATA line"),
        (pcd_header("binary") + table().tobytes()[:-1], "truncated"),
        (pcd_header("binary", width=2_000_000_000) + table().tobytes(), "truncated"),
        (pcd_header("binary_compressed") + b"123", "truncated"),
        (pcd_header("binary_compressed") + bytes(8), "truncated"),
        (pcd_header("binary_compressed", width=10, height=4) + compressed(11), "its header says"),
        (pcd_header("binary_compressed", width=10, height=4) + compressed(10)[:-9], "truncated"),
        (pcd_header("ascii") + b"1 2 3 4\n", "its header says"),
        (pcd_header("ascii") + b"1 2 3 4\n1 2 3\n", "columns"),
        (pcd_header("ascii") + b"a b c d\n", "could not convert"),
        (pcd_header("zip") + table().tobytes(), "known: ascii"),
        (pcd_header("binary").replace(b"FIELDS x", b"FIELDS a") + table().tobytes(), "has no x"),
        (pcd_header("binary").replace(b"TYPE F", b"TYPE I") + table().tobytes(), "must be a float"),
        (pcd_header("binary").replace(b"SIZE 4", b"SIZE 3") + table().tobytes(), "size 3"),
        (pcd_header("binary").replace(b"x y", b"x x") + table().tobytes(), "broken PCD header"),
        (pcd_header("binary").replace(b"POINTS 4", b"POINTS 9") + table().tobytes(), "9 points"),
        (pcd_header("binary").replace(b"SIZE 4 4 4 4", b"SIZE 4"), "differ"),
        (pcd_header("binary").replace(b"WIDTH 2", b"WIDTH x"), "broken PCD header"),
    ],
)
def test_a_broken_pcd_is_refused_with_the_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(CloudError, match=reason):
        read_cloud(write(tmp_path / "broken.pcd", data))


def ply_header(encoding: str, kind: str = "float", count: int = 4) -> bytes:
    return (
        f"ply\nformat {encoding} 1.0\ncomment made by a test\nelement vertex {count}\n"
        f"property {kind} x\nproperty {kind} y\nproperty {kind} z\nproperty float scalar_GpsTime\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n"
    ).encode()


@pytest.mark.parametrize(("encoding", "order"), [("little", "<"), ("big", ">")])
def test_binary_ply_keeps_order_and_colour(tmp_path: Path, encoding: str, order: str) -> None:
    rows = np.zeros(4, dtype=[("xyz", f"{order}f4", 3), ("t", f"{order}f4"), ("rgb", "u1", 3)])
    rows["xyz"], rows["rgb"] = XYZ, RGB
    data = ply_header(f"binary_{encoding}_endian") + rows.tobytes()
    assert_is_the_cloud(write(tmp_path / "a.ply", data), height=1, width=4)
    assert read_cloud(tmp_path / "a.ply").xyz.dtype.isnative


def test_ascii_ply_with_double_coordinates_stays_double(tmp_path: Path) -> None:
    lines = "".join(
        f"{x} {y} {z} 0 {r} {g} {b}\n"
        for (x, y, z), (r, g, b) in zip(XYZ.astype(float), RGB, strict=True)
    )
    path = write(tmp_path / "a.ply", ply_header("ascii", "double") + lines.encode())
    assert_is_the_cloud(path, height=1, width=4)
    assert read_cloud(path).xyz.dtype == np.float64


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "as PLY"),
        (b"\xff\xfe garbage", "as PLY"),
        (ply_header("binary_little_endian") + bytes(30), "early end-of-file"),
        (ply_header("ascii") + b"1 2 3", "early end-of"),
        (ply_header("ascii", count=0), "no points"),
        (b"ply\nformat ascii 1.0\nend_header\n", "no vertices"),
        (ply_header("ascii", "int") + b"1 2 3 0 4 5 6\n" * 4, "must be a float"),
    ],
)
def test_a_broken_ply_is_refused_with_the_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(CloudError, match=reason):
        read_cloud(write(tmp_path / "broken.ply", data))


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian"])
def test_ply_comments_may_be_in_any_language(tmp_path: Path, encoding: str) -> None:
    comment = "comment März, données, 点群".encode()
    header = ply_header(encoding).replace(b"comment made by a test", comment)
    rows = np.zeros(4, dtype=[("xyz", "<f4", 3), ("t", "<f4"), ("rgb", "u1", 3)])
    rows["xyz"], rows["rgb"] = XYZ, RGB
    lines = "".join(
        f"{x} {y} {z} 0 {r} {g} {b}\n" for (x, y, z), (r, g, b) in zip(XYZ, RGB, strict=True)
    )
    body = lines.encode() if encoding == "ascii" else rows.tobytes()
    assert_is_the_cloud(write(tmp_path / "a.ply", header + body), height=1, width=4)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("ushort", [65535, 32896, 0], [255, 128, 0]),
        ("ushort", [255, 128, 0], [255, 128, 0]),  # bytes in a wider type
        ("int", [255, 1, 0], [255, 1, 0]),
        ("float", [1.0, 0.5, 0.0], [255, 128, 0]),
        ("float", [255.0, 128.0, 0.0], [255, 128, 0]),
        ("double", [65535.0, 32896.0, 0.0], [255, 128, 0]),
    ],
)
def test_ply_colours_of_any_type_become_bytes(
    tmp_path: Path, kind: str, values: list[float], expected: list[int]
) -> None:
    header = ply_header("ascii", count=1).replace(b"uchar", kind.encode())
    row = f"1 2 3 0 {' '.join(str(value) for value in values)}\n"
    cloud = read_cloud(write(tmp_path / "a.ply", header + row.encode()))
    assert cloud.rgb is not None and cloud.rgb.tolist() == [expected]


def test_an_npz_of_open3d_is_read_by_its_own_names(tmp_path: Path) -> None:
    labels = np.array([[1], [0], [2], [2]])
    intensity = np.array([[0.5], [1], [2], [3]], np.float32)
    for colors in (RGB, RGB / np.float32(255)):
        np.savez(
            tmp_path / "a.npz", positions=XYZ, colors=colors, labels=labels, intensity=intensity
        )
        assert_is_the_cloud(tmp_path / "a.npz", height=1, width=4)
    cloud = read_cloud(tmp_path / "a.npz")
    np.testing.assert_array_equal(cloud.instance, labels[:, 0])
    np.testing.assert_array_equal(cloud.intensity, intensity[:, 0])


def test_npz_keeps_rows_labels_and_intensity(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    label, intensity = np.array([1, -1, 0, 2]), np.array([0.5, 0, 1, 2])
    np.savez(path, xyz=XYZ, rgb=RGB, label=label, intensity=intensity, hw=np.array([2, 2]))
    assert_is_the_cloud(path)
    cloud = read_cloud(path)
    np.testing.assert_array_equal(cloud.instance, label)
    np.testing.assert_array_equal(cloud.intensity, intensity)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"points": XYZ}, "has the arrays points"),
        ({"xyz": XYZ.T}, "float \\(n, 3\\)"),
        ({"xyz": np.ones((4, 3), dtype=np.int32)}, "float \\(n, 3\\)"),
        ({"xyz": XYZ[:0]}, "no points"),
        ({"xyz": XYZ, "hw": np.array([3, 2])}, "3 rows of 2"),
        ({"xyz": XYZ, "hw": np.array([4])}, "rows, columns"),
        ({"xyz": XYZ, "rgb": RGB / 255}, "must be uint8"),
        ({"xyz": XYZ, "rgb": RGB[:2]}, "must have \\(4, 3\\)"),
        ({"xyz": XYZ, "label": np.zeros(4)}, "whole numbers"),
        ({"xyz": XYZ, "label": np.zeros(3, dtype=int)}, "must have \\(4,\\)"),
    ],
)
def test_an_npz_of_another_form_is_refused_with_the_form(
    tmp_path: Path, arrays: dict[str, Any], reason: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(CloudError, match=reason):
        read_cloud(tmp_path / "a.npz")


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_a_pickle_is_never_loaded(tmp_path: Path, suffix: str) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    array = np.array([[Trap()] * 3], dtype=object)
    if suffix == ".npz":
        np.savez(tmp_path / "a.npz", xyz=array)
    else:
        np.save(tmp_path / "a.npy", array)
    with pytest.raises(CloudError):
        read_cloud(tmp_path / f"a{suffix}")
    assert not (tmp_path / "sprung").exists()


def test_npy_takes_points_points_with_intensity_and_points_with_colour(tmp_path: Path) -> None:
    np.save(tmp_path / "xyz.npy", XYZ)
    np.save(tmp_path / "i.npy", np.column_stack([XYZ, [1, 2, 3, 4]]))
    np.save(tmp_path / "ring.npy", np.column_stack([XYZ, [1, 2, 3, 4], [0, 1, 0, 1]]))
    np.save(tmp_path / "byte.npy", np.column_stack([XYZ, RGB]))
    np.save(tmp_path / "unit.npy", np.column_stack([XYZ.astype(float), RGB / 255]))
    np.testing.assert_array_equal(read_cloud(tmp_path / "xyz.npy").xyz, XYZ)
    np.testing.assert_array_equal(read_cloud(tmp_path / "i.npy").intensity, [1, 2, 3, 4])
    np.testing.assert_array_equal(read_cloud(tmp_path / "ring.npy").intensity, [1, 2, 3, 4])
    assert_is_the_cloud(tmp_path / "byte.npy", height=1, width=4)
    assert_is_the_cloud(tmp_path / "unit.npy", height=1, width=4)


def test_npy_of_another_shape_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 7)))
    with pytest.raises(CloudError, match=r"\(n,3\), \(n,4\) with intensity, \(n,5\)"):
        read_cloud(tmp_path / "a.npy")


def test_kitti_bin_is_four_floats_a_point(tmp_path: Path) -> None:
    values = np.column_stack([XYZ, [0.1, 0.2, 0.3, 0.4]]).astype("<f4")
    cloud = read_cloud(write(tmp_path / "a.bin", values.tobytes()))
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    np.testing.assert_array_equal(cloud.intensity, values[:, 3])


def sweep(columns: int, points: int = 60) -> NDArray[np.float32]:
    """Points all around a LiDAR, an intensity up to 255, a ring, and whatever else."""
    rng = np.random.default_rng(columns)
    others = [rng.integers(0, 256, points), rng.integers(0, 32, points), rng.random(points)]
    values = np.column_stack([rng.normal(0, 10, (points, 3)), *others])
    return np.ascontiguousarray(values[:, :columns], "<f4")


@pytest.mark.parametrize("columns", [3, 4, 5, 6])
def test_a_bin_of_any_size_is_read_by_what_its_numbers_can_be(tmp_path: Path, columns: int) -> None:
    values = sweep(columns)  # 60 points: their bytes divide by 12, 16, 20 and 24
    cloud = read_cloud(write(tmp_path / "a.bin", values.tobytes()))
    np.testing.assert_array_equal(cloud.xyz, values[:, :3])
    if columns > 3:
        np.testing.assert_array_equal(cloud.intensity, values[:, 3])
    else:
        assert cloud.intensity is None


def test_a_pcd_bin_has_the_five_columns_of_nuscenes(tmp_path: Path) -> None:
    values = np.arange(40, dtype="<f4").reshape(8, 5)
    cloud = read_cloud(write(tmp_path / "a.pcd.bin", values.tobytes()))
    np.testing.assert_array_equal(cloud.xyz, values[:, :3])


def test_a_bin_that_may_be_read_in_two_ways_is_refused_with_the_option_that_settles_it(
    tmp_path: Path,
) -> None:
    values = np.arange(40, dtype="<f4").reshape(8, 5)
    values[:, 4] = 1
    path = write(tmp_path / "a.bin", values.tobytes())
    with pytest.raises(CloudError, match=r"4 or 5 are possible.*--columns 4"):
        read_cloud(path)
    assert read_cloud(path, columns=4).size == 10
    assert read_cloud(path, columns=5).size == 8
    np.testing.assert_array_equal(read_cloud(path, columns=10).xyz, values.reshape(4, 10)[:, :3])


def test_a_bin_whose_numbers_are_no_points_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=50).astype("<f4")
    path = write(tmp_path / "a.bin", noise.tobytes())  # 200 bytes: 5 columns alone fit
    with pytest.raises(CloudError, match=r"size of points of 5 numbers.*--columns 5"):
        read_cloud(path)
    assert read_cloud(path, columns=5).size == 10


@pytest.mark.parametrize(
    ("columns", "reason"),
    [(2, "columns is 2.* has 3 "), (-1, "columns is -1"), (7, "with 7 columns .* multiple of 28")],
)
def test_columns_that_do_not_fit_are_refused(tmp_path: Path, columns: int, reason: str) -> None:
    path = write(tmp_path / "a.bin", sweep(4).tobytes()[:-16])
    with pytest.raises(CloudError, match=reason):
        read_cloud(path, columns=columns)


@pytest.mark.parametrize("data", [b"", bytes(17)])
def test_a_bin_of_another_size_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CloudError, match=r"has (0|17) bytes; a .bin has 4 per number"):
        read_cloud(write(tmp_path / "a.bin", data))


# --- bags


def record(folder: Path, storage: StoragePlugin, topics: dict[str, int]) -> Path:
    """A bag with so many clouds on each topic, and something else beside them."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types
    message_type = "sensor_msgs/msg/PointCloud2"
    field, header = types["sensor_msgs/msg/PointField"], types["std_msgs/msg/Header"]
    time, text = types["builtin_interfaces/msg/Time"], types["std_msgs/msg/String"]
    with Writer(folder, version=9, storage_plugin=storage) as writer:
        other = writer.add_connection("/chatter", "std_msgs/msg/String", typestore=store)
        data = store.serialize_cdr(text("hello"), "std_msgs/msg/String")
        writer.write(other, 1, data)
        for topic, count in topics.items():
            connection = writer.add_connection(topic, message_type, typestore=store)
            for number in range(count):
                message = types[message_type](
                    header=header(stamp=time(sec=7, nanosec=number), frame_id=f"lidar{topic}"),
                    height=2,
                    width=2,
                    fields=[
                        field(name=name, offset=4 * index, datatype=7, count=1)
                        for index, name in enumerate(["x", "y", "z", "rgb"])
                    ],
                    is_bigendian=False,
                    point_step=16,
                    row_step=32,
                    data=table().view(np.uint8),
                    is_dense=False,
                )
                writer.write(connection, number, store.serialize_cdr(message, message_type))
    return folder


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_bag_gives_its_clouds_with_frame_stamp_and_the_message_itself(
    tmp_path: Path, storage: StoragePlugin
) -> None:
    bag = record(tmp_path / "bag", storage, {"/front": 2, "/back": 1})
    assert_is_the_cloud(bag)
    clouds = list(read_clouds(bag))
    assert [cloud.name for cloud in clouds] == ["/front[0]", "/front[1]"]
    assert [cloud.stamp_ns for cloud in clouds] == [7_000_000_000, 7_000_000_001]
    assert clouds[0].frame_id == "lidar/front"
    store = get_typestore(Stores.ROS2_JAZZY)
    assert clouds[1].cdr is not None
    message: Any = store.deserialize_cdr(clouds[1].cdr, "sensor_msgs/msg/PointCloud2")
    assert message.header.stamp.nanosec == 1 and message.point_step == 16
    assert read_cloud(bag, "/back").frame_id == "lidar/back"


def test_a_single_bag_file_is_read_without_its_folder(tmp_path: Path) -> None:
    bag = record(tmp_path / "bag", StoragePlugin.MCAP, {"/front": 1})
    (file,) = bag.glob("*.mcap")
    assert_is_the_cloud(file.rename(tmp_path / "alone.mcap"))


def test_a_missing_topic_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    bag = record(tmp_path / "bag", StoragePlugin.MCAP, {"/front": 1})
    with pytest.raises(CloudError, match="no PointCloud2 topic /up; it has /front"):
        read_cloud(bag, "/up")


def test_a_bag_without_clouds_is_refused_with_what_it_has(tmp_path: Path) -> None:
    bag = record(tmp_path / "bag", StoragePlugin.MCAP, {})
    with pytest.raises(CloudError, match=r"/chatter \(std_msgs/msg/String\)"):
        read_cloud(bag)


@pytest.mark.parametrize("keep", [0, 5, 200])
@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_broken_bag_is_refused(tmp_path: Path, storage: StoragePlugin, keep: int) -> None:
    bag = record(tmp_path / "bag", storage, {"/front": 1})
    (file,) = [item for item in bag.iterdir() if item.suffix != ".yaml"]
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(CloudError):
        read_cloud(bag)


def test_only_recordings_need_the_libraries_of_recordings() -> None:
    names = {"rosbags", "mcap", "zstandard", "lz4", "mcap_protobuf"}
    code = f"import sys, pointsam_model.readers; print({names} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# --- which file is which


def test_an_unknown_suffix_is_refused_with_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match=r"\.las is not supported; supported: \.pcd, \.ply"):
        read_cloud(write(tmp_path / "a.las", b"LASF"))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="does not exist"):
        read_cloud(tmp_path / "nothing.pcd")


def test_a_folder_that_is_no_bag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="not a bag"):
        read_cloud(tmp_path)


def test_a_suffix_in_capitals_is_read(tmp_path: Path) -> None:
    assert_is_the_cloud(write(tmp_path / "A.PCD", pcd_header("binary") + table().tobytes()))
