"""What is written with instances is read again, by us and by other libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData

from pointsam_model import Instance, flattened
from pointsam_model.data.readers import SensorCloud, read_cloud
from pointsam_model.data.writers import write_instances
from pointsam_model.errors import CloudError

XYZ = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
XYZ[5] = np.nan
RGB = np.arange(36, dtype=np.uint8).reshape(12, 3) * 7
NUMBERS = [0, 1, 1, 2, 2, 0, 0, 0, 2, 0, 0, 0]
SCORES = np.array([0.0, 0.9, 0.25], np.float32)[NUMBERS]


def instance(rows: list[int], score: float) -> Instance:
    return Instance(np.array(rows, np.uint32), score, 1.0, XYZ[rows])


def two() -> list[Instance]:
    """They share point 2."""
    return [instance([1, 2], 0.9), instance([2, 3, 4, 8], 0.25)]


def cloud(dtype: type = np.float32, rgb: bool = True) -> SensorCloud:
    viewpoint = np.array([1.0, -2.0, 0.5])
    colors = RGB if rgb else None
    return SensorCloud(XYZ.astype(dtype), colors, 3, 4, "cloud", viewpoint=viewpoint)


def test_where_instances_overlap_the_best_has_the_point_and_the_first_of_equals() -> None:
    first, second = two()
    assert flattened([first, second], 12).tolist() == NUMBERS
    assert flattened([second, first], 12).tolist() == [0, 2, 2, 1, 1, 0, 0, 0, 1, 0, 0, 0]
    equal = [instance([2, 3], 0.5), instance([3, 4], 0.5)]
    assert flattened(equal, 6).tolist() == [0, 0, 1, 1, 2, 0]
    assert flattened([], 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize("suffix", [".npz", ".ply", ".pcd", ".PCD"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rgb", [True, False])
def test_a_written_cloud_is_read_back_point_by_point(
    tmp_path: Path, suffix: str, dtype: type, rgb: bool
) -> None:
    path = tmp_path / "new" / f"a{suffix}"
    write_instances(path, cloud(dtype, rgb), two())
    again = read_cloud(path)
    np.testing.assert_array_equal(again.xyz, XYZ.astype(dtype))
    assert again.xyz.dtype == dtype
    if rgb:
        np.testing.assert_array_equal(again.rgb, RGB)
    else:
        assert again.rgb is None
    rows = (3, 4) if suffix != ".ply" else (1, 12)  # a PLY has no rows and columns
    assert (again.height, again.width) == rows


def test_an_npz_has_the_masks_with_their_overlaps(tmp_path: Path) -> None:
    write_instances(tmp_path / "a.npz", cloud(), two())
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["instance_id"].tolist() == NUMBERS
        np.testing.assert_array_equal(arrays["score"], SCORES)
        assert arrays["masks"].sum(1).tolist() == [2, 4]
        np.testing.assert_allclose(arrays["scores"], [0.9, 0.25])


def test_ply_and_pcd_have_ids_and_scores_as_fields(tmp_path: Path) -> None:
    write_instances(tmp_path / "a.ply", cloud(), two())
    vertices = PlyData.read(str(tmp_path / "a.ply"))["vertex"]
    assert vertices["instance_id"].tolist() == NUMBERS
    np.testing.assert_array_equal(vertices["score"], SCORES)

    write_instances(tmp_path / "a.pcd", cloud(), two())
    data = (tmp_path / "a.pcd").read_bytes()
    header, body = data.split(b"DATA binary\n")
    assert b"FIELDS x y z rgb instance_id score\n" in header
    assert b"TYPE F F F F I F\n" in header and b"VIEWPOINT 1 -2 0.5 1 0 0 0\n" in header
    table = np.frombuffer(
        body, [("xyz", "<f4", 3), ("rgb", "<u4"), ("id", "<i4"), ("score", "<f4")]
    )
    assert table["id"].tolist() == NUMBERS
    np.testing.assert_array_equal(table["score"], SCORES)


def test_open3d_reads_what_is_written(tmp_path: Path) -> None:
    open3d = pytest.importorskip("open3d")
    for suffix in (".ply", ".pcd"):
        path = tmp_path / f"a{suffix}"
        write_instances(path, cloud(), two())
        points = open3d.t.io.read_point_cloud(str(path)).point
        np.testing.assert_array_equal(points.positions.numpy(), XYZ)
        np.testing.assert_array_equal(points["instance_id"].numpy()[:, 0], NUMBERS)


def test_another_suffix_and_a_place_that_takes_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match=r"\.xyz is not written; give \.npz, \.ply or \.pcd"):
        write_instances(tmp_path / "a.xyz", cloud(), two())
    (tmp_path / "file").touch()
    with pytest.raises(CloudError, match=r"cannot write .*a\.npz"):
        write_instances(tmp_path / "file" / "a.npz", cloud(), two())
