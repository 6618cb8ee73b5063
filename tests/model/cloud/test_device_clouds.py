"""From a message's bytes to normalised points and from masks back to its rows, on every backend."""

from __future__ import annotations

import math
import struct
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from backends import EVERY_BACKEND, EXAMPLES, ON_A_GPU, Backend, clouds
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_buffers import buffers, packed, random_cloud

from pointsam_model import Cloud, Predictor, Prompt, ReductionConfig, load_model, ops
from pointsam_model.cloud.cloud import _DevicePoints
from pointsam_model.errors import CloudError
from pointsam_model.ops import naive
from pointsam_model.ops.layout import CloudLayout, PointField
from pointsam_model.segment.prediction import instances_of

FARTHEST = 1e9
NO_RETURNS = (math.nan, math.inf, -math.inf, 0.0, 2e9, -1e30)


@st.composite
def buffers_with_no_returns(draw: st.DrawFn) -> tuple[bytes, CloudLayout]:
    """Legal clouds in which some coordinates are of no point."""
    data, layout = draw(buffers())
    changed = bytearray(data)
    order = ">" if layout.big_endian else "<"
    for point in range(layout.height * layout.width):
        value = draw(st.sampled_from((None, *NO_RETURNS)))
        names = "xyz" if value == 0 else draw(st.sampled_from("xyz"))
        row, column = divmod(point, layout.width)
        for name in names if value is not None else "":
            field = layout.field(name)
            assert field is not None
            at = row * layout.row_step + column * layout.point_step + field.offset
            kind = "d" if field.datatype == 8 else "f"
            struct.pack_into(order + kind, changed, at, value)
    return bytes(changed), layout


@EVERY_BACKEND
@settings(max_examples=100, deadline=None)
@given(buffer=buffers_with_no_returns())
def test_every_legal_layout_decodes_and_keeps_its_valid_points(
    backend: Backend, buffer: tuple[bytes, CloudLayout]
) -> None:
    module, device = backend
    data, layout = buffer
    expected, colors = naive.decode(data, layout)
    if layout.field("intensity") is not None:
        colors = None  # an rgb of FLOAT64 is none
    valid = naive.valid_rows(expected, FARTHEST)

    whole, whole_rgb = module.decode(data, layout, torch.device(device))
    wide = any(f.name in "xyz" and f.datatype == 8 for f in layout.fields)
    assert whole.dtype == (torch.float64 if wide else torch.float32)
    right = torch.tensor(expected, dtype=torch.float64).to(whole.dtype)
    assert torch.equal(whole.cpu().nan_to_num(7, 8, 9), right.nan_to_num(7, 8, 9))
    assert (None if whole_rgb is None else whole_rgb.tolist()) == colors

    xyz, rgb, rows, places = module.decode_valid(data, layout, FARTHEST, torch.device(device))
    assert (rows.dtype, places.dtype) == (torch.int64, torch.int32)
    assert rows.tolist() == valid
    assert torch.equal(xyz.cpu(), right[valid])
    assert (None if rgb is None else rgb.tolist()) == (colors and [colors[row] for row in valid])
    assert places.tolist() == [
        valid.index(row) if row in valid else -1 for row in range(len(expected))
    ]


@EVERY_BACKEND
def test_a_cloud_of_many_blocks_is_compacted_in_order(backend: Backend) -> None:
    module, device = backend
    xyz = random_cloud(5000)
    xyz[torch.rand(5000, generator=torch.Generator().manual_seed(0)).numpy() < 0.4] = math.nan
    found, _, rows, places = module.decode_valid(*packed(xyz), FARTHEST, torch.device(device))
    right = torch.from_numpy(xyz).float()
    valid = right[:, 0].isfinite().nonzero()[:, 0]
    assert torch.equal(rows.cpu(), valid)
    assert torch.equal(found.cpu(), right[valid])
    assert torch.equal(places.cpu()[valid], torch.arange(len(valid), dtype=torch.int32))
    assert int((places >= 0).sum()) == len(valid)


@EVERY_BACKEND
def test_a_cloud_without_a_valid_point_has_no_rows(backend: Backend) -> None:
    module, device = backend
    xyz, rgb, rows, places = module.decode_valid(
        *packed(0 * random_cloud(40)), FARTHEST, torch.device(device)
    )
    assert (xyz.shape, rgb, rows.shape) == ((0, 3), None, (0,))
    assert places.tolist() == [-1] * 40


@EVERY_BACKEND
def test_a_buffer_shorter_than_its_layout_is_refused(backend: Backend) -> None:
    module, device = backend
    data, layout = packed(random_cloud(4))
    with pytest.raises(CloudError, match="its data has"):
        module.decode_valid(data[:-1], layout, FARTHEST, torch.device(device))


@EVERY_BACKEND
@EXAMPLES
@given(
    numbers=st.integers(0, 2**32 - 1),
    masks=st.integers(0, 5),
    kept=st.integers(1, 9),
    source=st.sampled_from([0, 1, 31, 33, 1025, 2300]),
)
def test_rows_of_all_masks_are_ascending_and_complete(
    backend: Backend, numbers: int, masks: int, kept: int, source: int
) -> None:
    module, device = backend
    random_numbers = torch.Generator().manual_seed(numbers)
    inside = torch.rand(masks, kept, generator=random_numbers) < 0.4
    nearest = torch.randint(-1, kept, (source,), generator=random_numbers, dtype=torch.int32)
    rows, starts = module.mask_rows(inside.to(device), nearest.to(device))
    assert (rows.dtype, starts.dtype, starts.shape) == (torch.int32, torch.int64, (masks + 1,))
    ends = starts.tolist()
    found = [rows[a:b].tolist() for a, b in pairwise(ends)]
    assert found == naive.mask_rows(inside, nearest)
    assert len(rows) == ends[-1]


@pytest.mark.parametrize(
    ("masks", "nearest", "message"),
    [
        (torch.ones(2, 3), torch.zeros(4, dtype=torch.int32), r"they take \(c,m\) bool"),
        (torch.ones(3, dtype=torch.bool), torch.zeros(4, dtype=torch.int32), r"\(c,m\) bool"),
        (torch.ones(2, 3, dtype=torch.bool), torch.zeros(4), r"it takes \(n,\) int32"),
    ],
)
def test_what_are_no_masks_is_refused(masks: Any, nearest: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.mask_rows(masks, nearest)


@EVERY_BACKEND
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@EXAMPLES
@given(data=st.data())
def test_clouds_of_every_kind_are_normalised(
    backend: Backend, dtype: torch.dtype, data: st.DataObject
) -> None:
    module, device = backend
    points = data.draw(clouds()).to(dtype)
    coords, center, scale = module.normalise(points.to(device))
    assert (coords.dtype, center.dtype, scale.dtype) == (
        torch.float32,
        torch.float64,
        torch.float64,
    )
    assert (coords.shape, center.shape, scale.shape) == (points.shape, (3,), ())
    right, right_center, right_scale = naive.normalise(points)
    close = {"rtol": 1e-9, "atol": 1e-9 * max(float(points.abs().max()), 1e-3)}
    torch.testing.assert_close(center.cpu(), right_center, **close)
    if len(points.unique(dim=0)) > 1:
        torch.testing.assert_close(scale.cpu(), right_scale, **close)
        torch.testing.assert_close(coords.cpu().double(), right, rtol=1e-6, atol=1e-6)
    assert torch.isfinite(coords).all()


@EVERY_BACKEND
def test_coinciding_points_are_zeros_of_scale_one(backend: Backend) -> None:
    module, device = backend
    points = torch.tensor([[4.9e5, 5e6, 0.1]]).expand(100, 3)
    coords, center, scale = module.normalise(points.to(device))
    assert float(scale) == 1
    assert (coords == 0).all()
    assert torch.equal(center.cpu(), points[0].double())


@EVERY_BACKEND
def test_large_clouds_of_a_batch_are_normalised_each_by_itself(backend: Backend) -> None:
    module, device = backend
    points = torch.randn(2, 20_000, 3, generator=torch.Generator().manual_seed(0))
    points = points * torch.tensor([1.0, 30.0])[:, None, None] + 5e3
    coords, center, scale = module.normalise(points.to(device))
    for b in range(2):
        right, right_center, right_scale = naive.normalise(points[b])
        torch.testing.assert_close(coords[b].cpu().double(), right, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(center[b].cpu(), right_center)
        torch.testing.assert_close(scale[b].cpu(), right_scale)


# Clouds whose points a GPU has; on a CPU in the same way, through plain PyTorch.

WHERE = pytest.mark.parametrize(
    "device", [torch.device("cpu"), pytest.param(torch.device("cuda"), marks=ON_A_GPU)]
)


def both(data: bytes, layout: CloudLayout, device: torch.device) -> tuple[Cloud, Cloud]:
    """A cloud on the host, and the same as a GPU has it."""
    there = Cloud.__new__(Cloud)
    there._points = _DevicePoints(data, layout, device)
    return Cloud.from_buffer(data, layout), there


def colored(n: int, seed: int = 0) -> tuple[bytes, CloudLayout]:
    """A cloud with packed colours of which a third is no return."""
    rng = np.random.default_rng(seed)
    points = np.empty((n, 4), np.float32)
    points[:, :3] = random_cloud(n, seed)
    points[rng.random(n) < 0.2, 1] = np.nan
    points[rng.random(n) < 0.2, :3] = 0
    points.view(np.uint8)[:, 12:] = rng.integers(0, 256, (n, 4))
    points[:3, :3] = [[0, 0, 1], [1, 0, 2], [0, 1, 3]]
    fields = tuple(PointField(name, 4 * i, 7) for i, name in enumerate(("x", "y", "z", "rgb")))
    return points.tobytes(), CloudLayout(fields, 1, n, 16, 16 * n)


@WHERE
@pytest.mark.parametrize(
    "config",
    [
        ReductionConfig(),
        ReductionConfig(voxel_size_m=0.3),
        ReductionConfig(crop_min_m=(-0.5, -1.0, 0.0), min_range_m=1.2, max_range_m=2.5),
        ReductionConfig(max_points=100_000),
    ],
)
def test_a_cloud_on_the_device_is_reduced_as_on_the_host(
    device: torch.device, config: ReductionConfig
) -> None:
    here, there = both(*colored(4000), device)
    right, reduced = here.reduce(config, 300), there.reduce(config, 300, device)
    assert reduced.kept.points.device.type == device.type
    if device.type == "cpu":
        assert np.array_equal(reduced.rows, right.rows)
        assert np.array_equal(reduced.nearest, right.nearest)
    assert len(reduced) == len(right)
    assert np.array_equal(reduced.nearest >= 0, right.nearest >= 0)
    assert np.array_equal(reduced.points, here.xyz[reduced.rows])
    assert here.rgb is not None
    assert np.array_equal(reduced.colors, here.rgb[reduced.rows])
    assert np.array_equal(reduced.low, right.low)
    assert np.array_equal(reduced.high, right.high)


@WHERE
def test_a_cloud_on_the_device_was_seen_from_where_it_was_on_the_host(device: torch.device) -> None:
    around = np.random.default_rng(0).normal(size=(3000, 3))
    around[:, 2] = np.abs(around[:, 2]) + 2
    wall = around / around[:, 2:] * 2  # a plane before the sensor
    for xyz, known in ((wall, True), (wall - [0, 0, 2.0], False)):
        fields = tuple(PointField(name, 4 * i, 7) for i, name in enumerate("xyz"))
        layout = CloudLayout(fields, 1, len(xyz), 12, 12 * len(xyz))
        here, there = both(xyz.astype("<f4").tobytes(), layout, device)
        assert (here.sensor is not None) == (there.sensor is not None) == known


@WHERE
def test_a_cloud_on_the_device_knows_its_nearest_points_and_their_places(
    device: torch.device,
) -> None:
    here, there = both(*colored(2000, seed=3), device)
    queries = random_cloud(5, seed=4)
    for found, right in zip(there.nearest(queries), here.nearest(queries), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-14)
    for found, right in zip(there.snap(queries), here.snap(queries), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-14)
    places, _ = here.snap(queries)
    np.testing.assert_allclose(there.spacing(places), here.spacing(places), rtol=1e-12)
    rows = np.flatnonzero(here.valid)[::7].astype(np.int32)
    gathered = there.points_at(torch.from_numpy(rows).to(device))
    assert np.array_equal(gathered.cpu().numpy(), here.xyz[rows])


@WHERE
def test_the_host_gets_a_device_clouds_points_when_it_asks(device: torch.device) -> None:
    here, there = both(*colored(500), device)
    assert there.size == here.size == 500
    assert there.device_bytes > 12 * np.count_nonzero(here.valid)
    np.testing.assert_array_equal(there.xyz, here.xyz)
    np.testing.assert_array_equal(there.rgb, here.rgb)
    np.testing.assert_array_equal(there.valid, here.valid)


@WHERE
def test_a_device_cloud_without_a_valid_point_is_refused(device: torch.device) -> None:
    with pytest.raises(CloudError, match=r"none of the cloud's 40 points .* 40 are \(0,0,0\)"):
        both(*packed(0 * random_cloud(40)), device)


@WHERE
def test_a_device_cloud_is_segmented_as_one_on_the_host(device: torch.device) -> None:
    here, there = both(*colored(3000, seed=5), device)
    predictor = Predictor(load_model("tiny", device=str(device)))
    click = here.xyz[np.flatnonzero(here.valid)[[100]]].astype(np.float64)
    (right,) = predictor.segment(predictor.embed(here), [Prompt(click)])
    (found,) = predictor.segment(predictor.embed(there), [Prompt(click)])
    assert right.masks.any()
    np.testing.assert_array_equal(found.masks, right.masks)
    for instance, expected in zip(instances_of(found), instances_of(right), strict=True):
        np.testing.assert_array_equal(instance.points, expected.points)
        np.testing.assert_array_equal(instance.points, here.xyz[instance.indices])
