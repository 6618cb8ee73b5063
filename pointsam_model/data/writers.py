"""Clouds with an instance and a score for each point, as files that other programs read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsam_model.data.clouds import SensorCloud
from pointsam_model.errors import CloudError
from pointsam_model.instances.flat import flattened
from pointsam_model.instances.instance import Instance

WRITTEN = ".npz, .ply or .pcd"


def write_instances(path: Path, cloud: SensorCloud, instances: Sequence[Instance]) -> None:
    """Writes a cloud, all points in their order, each with `instance_id` and `score`.

    `instance_id` (int32) is the number of the point's instance in the given order, from 1; 0 is
    none. Where instances overlap the one with the highest score has the point. An .npz also has
    `masks` (k,n) bool and `scores` (k,), overlaps and all.

    Args:
        path: what its suffix says is written: WRITTEN. The folder is made where it is missing.
        cloud: what the instances are of.
        instances: in the order of their numbers.

    Raises:
        CloudError: another suffix, or the file cannot be written.
    """
    write = writer_of(path)
    numbers = flattened(instances, cloud.size)
    scores = np.array([0.0, *(instance.score for instance in instances)], np.float32)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, cloud, instances, {"instance_id": numbers, "score": scores[numbers]})
    except OSError as error:
        raise CloudError(f"cannot write {path}: {error}") from error


def writer_of(path: Path) -> Callable[..., None]:
    """What writes a file of this suffix.

    Raises:
        CloudError: nothing does.
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise CloudError(f"{path}: {path.suffix or 'no suffix'} is not written; give {WRITTEN}")
    return write


def _write_npz(
    path: Path, cloud: SensorCloud, instances: Sequence[Instance], added: dict[str, NDArray[Any]]
) -> None:
    masks = np.zeros((len(instances), cloud.size), bool)
    for row, instance in enumerate(instances):
        masks[row, instance.indices] = True
    scores = np.array([instance.score for instance in instances], np.float32)
    arrays: dict[str, Any] = {"xyz": cloud.xyz, "masks": masks, "scores": scores, **added}
    if cloud.rgb is not None:
        arrays["rgb"] = cloud.rgb
    if cloud.organised:
        arrays["hw"] = np.array([cloud.height, cloud.width])
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _write_ply(
    path: Path, cloud: SensorCloud, _: Sequence[Instance], added: dict[str, NDArray[Any]]
) -> None:
    from plyfile import PlyData, PlyElement

    columns = _coordinates(cloud)
    if cloud.rgb is not None:
        columns |= dict(zip(("red", "green", "blue"), cloud.rgb.T, strict=True))
    table = _table({**columns, **added})
    PlyData([PlyElement.describe(table, "vertex")], byte_order="<").write(str(path))


def _write_pcd(
    path: Path, cloud: SensorCloud, _: Sequence[Instance], added: dict[str, NDArray[Any]]
) -> None:
    columns = _coordinates(cloud)
    if cloud.rgb is not None:
        red, green, blue = cloud.rgb.astype("<u4").T
        columns["rgb"] = (red << 16 | green << 8 | blue).view("<f4")  # as PCL keeps them
    table = _table({**columns, **added})
    kinds = [table.dtype[name] for name in table.dtype.names or ()]
    place = np.zeros(3) if cloud.viewpoint is None else cloud.viewpoint
    header = "\n".join(
        (
            "# .PCD v0.7 - Point Cloud Data file format",
            "VERSION 0.7",
            f"FIELDS {' '.join(table.dtype.names or ())}",
            f"SIZE {' '.join(str(kind.itemsize) for kind in kinds)}",
            f"TYPE {' '.join(kind.kind.upper() for kind in kinds)}",
            f"COUNT {' '.join('1' for _ in kinds)}",
            f"WIDTH {cloud.width}",
            f"HEIGHT {cloud.height}",
            f"VIEWPOINT {' '.join(f'{at:.9g}' for at in place)} 1 0 0 0",
            f"POINTS {cloud.size}",
            "DATA binary\n",
        )
    )
    path.write_bytes(header.encode() + table.tobytes())


def _coordinates(cloud: SensorCloud) -> dict[str, NDArray[Any]]:
    return dict(zip("xyz", cloud.xyz.T, strict=True))


def _table(columns: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """(n,) structured, without gaps and little-endian."""
    kind = np.dtype([(name, column.dtype.newbyteorder("<")) for name, column in columns.items()])
    table = np.empty(len(next(iter(columns.values()))), kind)
    for name, column in columns.items():
        table[name] = column
    return table


_WRITERS: dict[str, Callable[..., None]] = {
    ".npz": _write_npz,
    ".ply": _write_ply,
    ".pcd": _write_pcd,
}
