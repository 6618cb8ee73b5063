"""Clouds: from arrays and sensors' bytes, and the way to the points the network sees and back."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from places import SHARED
from sensor_buffers import buffers, packed, random_cloud

from pointsam_model.cloud.cloud import Cloud, CloudLayout, PointField, ReducedCloud
from pointsam_model.config.settings import ReductionConfig
from pointsam_model.errors import CloudError
from pointsam_model.ops import decoding, naive
from pointsam_model.scenes import SceneConfig, generate_scene

CPU = torch.device("cpu")
DECODERS = pytest.mark.parametrize(
    "decode",
    [pytest.param(decoding.decode, id="cpu"), pytest.param(decoding.decode_on_device, id="gpu")],
)
EVERYTHING = ReductionConfig()


# Arrays.


def test_a_cloud_of_arrays_keeps_points_colours_and_their_order() -> None:
    xyz = random_cloud(10).astype(np.float32)
    rgb = np.arange(30, dtype=np.uint8).reshape(10, 3)
    cloud = Cloud(xyz, rgb)
    assert cloud.size == 10
    assert np.array_equal(cloud.xyz, xyz)
    assert np.array_equal(cloud.rgb, rgb)


def test_a_cloud_does_not_change_when_its_arrays_do() -> None:
    xyz = random_cloud(10)
    cloud = Cloud(xyz)
    before = cloud.xyz.copy()
    xyz[:] = 0
    assert np.array_equal(cloud.xyz, before)
    with pytest.raises(ValueError, match="read-only"):
        cloud.xyz[0] = 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_returns_of_every_kind_are_not_valid(dtype: type) -> None:
    xyz = np.ones((8, 3), dtype)
    xyz[1, 0] = np.nan
    xyz[2, 1] = np.inf
    xyz[3, 2] = -np.inf
    xyz[4] = 0
    xyz[5] = [0, 0, -0.0]
    xyz[6] = [0, 0, 1e-6]
    xyz[7] = np.finfo(np.float32).max
    assert Cloud(xyz).valid.tolist() == [True, False, False, False, False, False, True, False]


@pytest.mark.parametrize(
    ("xyz", "rgb", "message"),
    [
        (np.ones((4, 2)), None, r"shape \(4, 2\); it must be \(n,3\)"),
        (np.ones(3), None, r"must be \(n,3\)"),
        (np.ones((4, 3), int), None, "int64; it must be float32 or float64"),
        (np.ones((4, 3), np.float16), None, "float16; it must be"),
        (np.ones((4, 3), complex), None, "complex128; it must be"),
        (np.ones((0, 3)), None, "no points"),
        (np.ones((4, 3)), np.ones((3, 3), np.uint8), r"rgb has the shape \(3, 3\)"),
        (np.ones((4, 3)), np.full((4, 3), 2.0), "rgb is float64 with values from 2 to 2; floats"),
        (np.ones((4, 3)), np.full((4, 3), np.nan), "values from nan to nan"),
        (np.ones((4, 3)), np.ones((4, 3), int), "rgb is int64; it must be uint8"),
        (np.ones((2, 2, 3)), np.ones((4, 3), np.uint8), r"that of xyz, \(2, 2, 3\)"),
        (np.ones((2, 2, 4)), None, r"must be \(n,3\) or \(h,w,3\)"),
        (np.ones((1, 2, 2, 3)), None, r"must be \(n,3\) or \(h,w,3\)"),
        (np.full((4, 3), np.nan), None, "4 points is valid: 4 are NaN"),
        (np.zeros((4, 3)), None, r"4 are \(0,0,0\)"),
    ],
)
def test_arrays_that_are_no_cloud_are_refused(xyz: Any, rgb: Any, message: str) -> None:
    with pytest.raises(CloudError, match=message):
        Cloud(xyz, rgb)


def test_rows_and_columns_of_an_array_are_those_of_the_cloud() -> None:
    xyz, rgb = random_cloud(12), np.arange(36, dtype=np.uint8).reshape(12, 3)
    cloud = Cloud(xyz.reshape(3, 4, 3), rgb.reshape(3, 4, 3))
    assert np.array_equal(cloud.xyz, xyz) and np.array_equal(cloud.rgb, rgb)
    assert (cloud.size, cloud.width) == (12, 4)
    assert Cloud(xyz.reshape(1, 12, 3)).width is None, "one row is not organised"
    assert Cloud(xyz.reshape(3, 4, 3), width=4).width == 4
    with pytest.raises(CloudError, match="xyz has 4 columns, and width is 3"):
        Cloud(xyz.reshape(3, 4, 3), width=3)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_float_colours_from_0_to_1_are_those_of_bytes(kind: Any) -> None:
    rgb = np.arange(36, dtype=np.uint8).reshape(12, 3) * 7
    assert np.array_equal(Cloud(random_cloud(12), (rgb / 255).astype(kind)).rgb, rgb)


# Buffers.


@DECODERS
@settings(max_examples=200, deadline=None)
@given(buffers())
def test_every_legal_layout_decodes_as_point_by_point(
    decode: Any, buffer: tuple[bytes, CloudLayout]
) -> None:
    data, layout = buffer
    xyz, rgb = decode(data, layout, CPU)
    odd = layout.field("intensity") is not None
    expected, colors = naive.decode(data, layout)
    wide = any(f.name in "xyz" and f.datatype == 8 for f in layout.fields)
    assert xyz.dtype == (torch.float64 if wide else torch.float32)
    assert xyz.tolist() == torch.tensor(expected, dtype=xyz.dtype).tolist()
    if odd or colors is None:
        assert rgb is None
    else:
        assert rgb is not None
        assert rgb.dtype == torch.uint8
        assert rgb.tolist() == colors


@DECODERS
def test_decoding_neither_modifies_nor_keeps_the_buffer(decode: Any) -> None:
    data, layout = packed(random_cloud(20))
    held = bytearray(data)
    xyz, _ = decode(held, layout, CPU)
    assert held == data
    before = xyz.clone()
    held[:] = bytes(len(held))
    assert torch.equal(xyz, before)


@pytest.mark.parametrize(
    "kind",
    [bytes, bytearray, memoryview, lambda b: array.array("B", b), lambda b: np.frombuffer(b, "u1")],
)
def test_any_buffer_is_a_cloud(kind: Any) -> None:
    xyz = random_cloud(20)
    data, layout = packed(xyz)
    assert np.array_equal(Cloud.from_buffer(kind(data), layout).xyz, xyz.astype(np.float32))


def test_float64_coordinates_keep_their_millimetres_at_utm_coordinates() -> None:
    xyz = random_cloud(20) * 0.01 + [5.1e5, 5.4e6, 230]
    fields = tuple(PointField(name, 8 * i, 8) for i, name in enumerate("xyz"))
    cloud = Cloud.from_buffer(xyz.tobytes(), CloudLayout(fields, 4, 5, 24, 120))
    assert np.array_equal(cloud.xyz, xyz)
    reduced = cloud.reduce(EVERYTHING, 100)
    assert np.abs(reduced.points + reduced.origin - xyz).max() < 1e-5


@DECODERS
@pytest.mark.parametrize("missing", [1, 11, 500])
def test_data_shorter_than_its_layout_is_refused(decode: Any, missing: int) -> None:
    data, layout = packed(random_cloud(50))
    with pytest.raises(CloudError, match="600 bytes in all, but its data has"):
        decode(data[: len(data) - missing], layout, CPU)


@DECODERS
def test_what_is_no_buffer_of_bytes_is_refused(decode: Any) -> None:
    _, layout = packed(random_cloud(5))
    for data in ([1, 2, 3], np.zeros((60, 2), np.uint8)[:, 0], "text"):
        with pytest.raises(CloudError, match="not a contiguous byte buffer"):
            decode(data, layout, CPU)


@DECODERS
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((PointField("x", 0, 7), PointField("y", 4, 7)), "no field 'z'; its fields: x, y"),
        ((), "its fields: none"),
        ((PointField("x", 0, 5), PointField("y", 4, 7), PointField("z", 8, 7)), "FLOAT32"),
        ((PointField("x", 0, 7, 2), PointField("y", 8, 7), PointField("z", 12, 7)), "count 2"),
    ],
)
def test_a_layout_without_float_coordinates_is_refused(
    decode: Any, fields: tuple[PointField, ...], message: str
) -> None:
    with pytest.raises(CloudError, match=message):
        decode(bytes(160), CloudLayout(fields, 1, 10, 16, 160), CPU)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 0}, "height is 0; it must be above 0"),
        ({"width": -1}, "width is -1"),
        ({"point_step": 0}, "point_step is 0"),
        ({"row_step": 119}, "row_step is 119; it must be at least width \\* point_step, 120"),
        ({"width": 2**40}, "row_step"),
        ({"fields": (PointField("x", 9, 7),)}, "bytes 9 to 13 .* point_step of 12"),
        ({"fields": (PointField("x", -4, 7),)}, "bytes -4 to 0"),
        ({"fields": (PointField("x", 0, 7, 2**40),)}, "must lie within"),
        ({"fields": (PointField("x", 0, 9),)}, "datatype 9; it must be 1 to 8"),
        ({"fields": (PointField("x", 0, 7), PointField("x", 4, 7))}, "two fields 'x'"),
    ],
)
def test_a_layout_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    right = {"fields": (), "height": 1, "width": 10, "point_step": 12, "row_step": 120}
    with pytest.raises(CloudError, match=message):
        CloudLayout(**{**right, **changes})


# Reduction.


def oracle_nearest(cloud: Cloud, reduced: ReducedCloud, inside: np.ndarray) -> None:
    """Every point inside has a nearest kept point, and no other has one."""
    assert np.array_equal(reduced.nearest >= 0, inside)
    xyz = cloud.xyz[inside].astype(np.float64)
    kept = cloud.xyz[reduced.rows].astype(np.float64)
    least = np.linalg.norm(xyz[:, None] - kept[None], axis=2).min(1)
    found = np.linalg.norm(xyz - kept[reduced.nearest[inside]], axis=1)
    assert np.allclose(found, least, rtol=1e-6, atol=1e-6 * np.ptp(xyz, axis=0).max())


def test_nothing_to_drop_keeps_every_point_as_it_is() -> None:
    xyz = random_cloud(200).astype(np.float32)
    rgb = np.random.default_rng(0).integers(0, 256, (200, 3), np.uint8)
    reduced = Cloud(xyz, rgb).reduce(EVERYTHING, 200)
    assert np.array_equal(reduced.rows, np.arange(200))
    assert np.array_equal(reduced.nearest, np.arange(200))
    assert np.array_equal(reduced.points, xyz)
    assert np.array_equal(reduced.colors, rgb)
    assert np.array_equal(reduced.origin, np.zeros(3))
    assert (reduced.rows.dtype, reduced.nearest.dtype) == (np.int64, np.int32)


def test_invalid_points_are_dropped_and_belong_to_no_kept_point() -> None:
    xyz = random_cloud(200)
    xyz[::3], xyz[1], xyz[4, 2] = np.nan, 0, np.inf
    cloud = Cloud(xyz)
    reduced = cloud.reduce(EVERYTHING, 1000)
    assert np.array_equal(reduced.rows, np.flatnonzero(cloud.valid))
    oracle_nearest(cloud, reduced, cloud.valid)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(30, 300),
    most=st.integers(3, 320),
    voxel=st.sampled_from([0.0, 0.05, 0.4]),
    far=st.booleans(),
    duplicates=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_a_reduced_cloud_keeps_at_most_so_many_and_the_nearest_of_each(
    seed: int, n: int, most: int, voxel: float, far: bool, duplicates: bool, dtype: type
) -> None:
    rng = np.random.default_rng(seed)
    xyz = rng.normal(size=(n, 3)) * (30 if far else 1)
    if duplicates:
        xyz = xyz[rng.integers(0, 25, n)]
    xyz += [5e5, 5e6, 100] if far else [0, 0, 3]
    xyz[rng.random(n) < 0.2] = np.nan
    xyz[:4] = [[1, 1, 1], [2, 1, 1], [1, 2, 1], [1, 1, 9]] + (xyz[-1] if far else np.zeros(3))
    cloud = Cloud(np.nan_to_num(xyz, nan=0.0).astype(dtype))
    config = ReductionConfig(voxel_size_m=voxel)
    try:
        reduced = cloud.reduce(config, most)
    except CloudError as error:
        assert voxel or duplicates, error  # those may leave too few distinct points
        return
    assert 3 <= len(reduced.rows) <= most
    assert np.array_equal(reduced.rows, np.unique(reduced.rows))
    assert np.array_equal(reduced.nearest[reduced.rows], np.arange(len(reduced.rows)))
    shift = reduced.points + reduced.origin - cloud.xyz[reduced.rows]
    assert np.abs(shift).max() <= 1e-5
    oracle_nearest(cloud, reduced, cloud.valid)


def test_reducing_twice_gives_the_same() -> None:
    cloud = Cloud(random_cloud(5000))
    first, second = cloud.reduce(EVERYTHING, 300), cloud.reduce(EVERYTHING, 300)
    assert np.array_equal(first.rows, second.rows)
    assert np.array_equal(first.nearest, second.nearest)


def test_the_configs_number_of_points_wins_over_the_presets() -> None:
    assert len(Cloud(random_cloud(500)).reduce(ReductionConfig(max_points=40), 300).rows) == 40


def test_points_out_of_the_crop_box_or_range_are_dropped() -> None:
    cloud = Cloud(random_cloud(2000))
    config = ReductionConfig(
        crop_min_m=(-0.5, -1, 0),
        crop_max_m=(0.5, 0.25, 9),
        min_range_m=1.5,
        max_range_m=2.5,
    )
    reduced = cloud.reduce(config, 100)
    distance = np.linalg.norm(cloud.xyz, axis=1)
    x, y, _ = cloud.xyz.T
    inside = (np.abs(x) <= 0.5) & (y <= 0.25) & (distance >= 1.5) & (distance <= 2.5)
    assert 100 < inside.sum() < 2000
    oracle_nearest(cloud, reduced, inside)
    only_far = cloud.reduce(ReductionConfig(min_range_m=2.0), 5000)
    assert np.array_equal(only_far.rows, np.flatnonzero(distance >= 2.0))


def test_the_range_is_measured_from_the_viewpoint_that_is_given() -> None:
    xyz, place = random_cloud(2000), np.array([0.5, -1.0, 2.0])
    config = ReductionConfig(min_range_m=1.0, max_range_m=2.5)
    distance = np.linalg.norm(xyz - place, axis=1)
    inside = np.flatnonzero((distance >= 1.0) & (distance <= 2.5))
    assert 100 < len(inside) < 1900
    reduced = Cloud(xyz, viewpoint=place).reduce(config, 5000)
    assert np.array_equal(reduced.rows, inside)
    assert np.array_equal(Cloud(xyz).viewed_from(place).reduce(config, 5000).rows, inside)
    assert not np.array_equal(Cloud(xyz).reduce(config, 5000).rows, inside)


def test_the_range_does_not_jump_between_clouds_of_which_only_some_tell_their_sensor() -> None:
    scene = generate_scene(3, SceneConfig(width=160, height=120))
    moved = Cloud(scene.xyz.astype(np.float64) + np.array([0, 0, 1]), width=scene.width)
    assert moved.sensor == pytest.approx([0, 0, 1], abs=1e-2)
    distance = np.linalg.norm(moved.xyz, axis=1)
    most = float(np.median(distance[moved.valid]))
    inside = np.flatnonzero(moved.valid & (distance <= most))
    assert np.array_equal(moved.reduce(ReductionConfig(max_range_m=most), 10**6).rows, inside)


def test_too_few_points_are_refused_with_what_each_step_left() -> None:
    cloud = Cloud(random_cloud(100))
    config = ReductionConfig(crop_min_m=(5, 5, 5), max_range_m=50)
    left = "100 points, 100 of them valid, 0 in the crop box, 0 in range"
    with pytest.raises(CloudError, match=left):
        cloud.reduce(config, 50)
    with pytest.raises(CloudError, match="1 after voxels of 90 m"):
        Cloud(random_cloud(100) + 10).reduce(ReductionConfig(voxel_size_m=90), 50)


@pytest.mark.parametrize("distinct", [1, 2])
def test_fewer_than_three_distinct_points_are_refused(distinct: int) -> None:
    xyz = np.ones((50, 3))
    xyz[::2] += distinct - 1
    for most in (4, 100):
        with pytest.raises(CloudError, match="fewer than 3 distinct points"):
            Cloud(xyz).reduce(EVERYTHING, most)


def test_a_voxel_too_small_for_the_cloud_is_refused() -> None:
    with pytest.raises(CloudError, match="too small"):
        Cloud(random_cloud(100) * 1e6).reduce(ReductionConfig(voxel_size_m=1e-14), 50)


def test_float32_coordinates_far_from_the_origin_are_moved_exactly() -> None:
    xyz = (random_cloud(500) * 20 + [5.5e5, 5.4e5, 200]).astype(np.float32)
    reduced = Cloud(xyz).reduce(EVERYTHING, 100)
    assert np.abs(reduced.points[:, :2]).max() < 100
    assert np.array_equal(reduced.points + reduced.origin, xyz[reduced.rows].astype(np.float64))


# Clicks.


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]), st.booleans())
def test_the_nearest_source_point_is_valid_and_exact(seed: int, dtype: type, far: bool) -> None:
    rng = np.random.default_rng(seed)
    xyz = (rng.normal(size=(300, 3)) + (5e5 if far else 0)).astype(dtype)
    xyz[rng.random(300) < 0.3] = 0
    xyz[rng.random(300) < 0.3] = np.nan
    xyz[0] = 1
    cloud = Cloud(xyz)
    queries = rng.normal(size=(4, 3)) + (5e5 if far else 0)
    rows, distances = cloud.nearest(queries)
    valid = np.flatnonzero(cloud.valid)
    every = np.linalg.norm(queries[:, None] - cloud.xyz[valid].astype(np.float64), axis=2)
    assert (rows.dtype, distances.dtype) == (np.int64, np.float64)
    assert np.array_equal(rows, valid[every.argmin(1)])
    assert np.allclose(distances, every.min(1), rtol=1e-12, atol=0)


# Clouds of real sensors.


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared sensor clouds not here")
def test_a_real_depth_image_reduces_to_points_all_over_it() -> None:
    with np.load(SHARED / "data/tabletop/learn0.npz", allow_pickle=False) as file:
        cloud = Cloud(file["xyz"], file["rgb"])
    reduced = cloud.reduce(EVERYTHING, 8192)
    assert len(reduced.rows) == 8192
    assert np.array_equal(reduced.nearest >= 0, cloud.valid)
    assert np.array_equal(reduced.colors, cloud.rgb[reduced.rows])
    gap = np.linalg.norm(
        cloud.xyz[cloud.valid] - cloud.xyz[reduced.rows][reduced.nearest[cloud.valid]], axis=1
    )
    assert gap.max() < 0.02


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared sensor clouds not here")
def test_a_real_lidar_cloud_reduces() -> None:
    with np.load(SHARED / "data/lidar/seq00_000000.npz", allow_pickle=False) as file:
        cloud = Cloud(file["xyz"])
    reduced = cloud.reduce(ReductionConfig(voxel_size_m=0.1, max_range_m=40), 10_000)
    assert len(reduced.rows) == 10_000
    inside = cloud.valid & (np.linalg.norm(np.nan_to_num(cloud.xyz), axis=1) <= 40)
    assert abs(int((reduced.nearest >= 0).sum()) - int(inside.sum())) <= 2
