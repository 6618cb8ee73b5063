"""Clouds as drivers send them: the same points in the layouts that sensors have."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from pointsam_model.data.readers import READ, SensorCloud, read_cloud
from pointsam_model.errors import CloudError
from pointsam_model.scenes import SceneConfig, generate, generate_scene
from pointsam_ros.clouds import cloud_msgs

NOISE_M = 0.001  # standard deviation along each axis
DATATYPES = {np.dtype(kind): number for number, kind in cloud_msgs.TYPES.items()}


def generated_clouds(
    points: int, tables: int = 4, streets: int = 2, seed: int = 0
) -> list[SensorCloud]:
    """Tabletops of a depth camera of about `points` points, and streets of a LiDAR."""
    width = max(int((points * 4 / 3) ** 0.5), 8)
    config = SceneConfig(width=width, height=max(points // width, 6))
    scenes = [generate_scene(seed + number, config) for number in range(tables)]
    scenes += generate("street", list(range(seed, seed + streets))) if streets else []
    return [
        SensorCloud(scene.xyz, scene.rgb, scene.height, scene.width, "scene", "sensor")
        for scene in scenes
    ]


def recorded_clouds(path: Path) -> Iterator[SensorCloud]:
    """The clouds of a file, or the first of each file below a folder.

    Raises:
        CloudError: nothing below it can be read.
    """
    is_folder = path.is_dir() and not (path / "metadata.yaml").exists()
    found = False
    for file in sorted(path.rglob("*")) if is_folder else [path]:
        try:
            yield read_cloud(file)
            found = True
        except CloudError:
            if not is_folder:
                raise
    if not found:
        raise CloudError(f"no cloud is below {path}; read are {READ}")


def thinned(cloud: SensorCloud, points: int) -> SensorCloud:
    """The cloud with every k-th row and column, or point, so that about `points` are left."""
    rows, (height, width) = _thinning(cloud, points)
    rgb = None if cloud.rgb is None else cloud.rgb[rows]
    return SensorCloud(cloud.xyz[rows], rgb, height, width, cloud.name, cloud.frame_id)


def messages_of(cloud: SensorCloud, points: int) -> list[PointCloud2]:
    """About `points` points of a cloud in every layout; of a bag, also as they were recorded."""
    rows, _ = _thinning(cloud, points)
    messages = [written(thinned(cloud, points)) for written in LAYOUTS.values()]
    if cloud.cdr is not None:
        recorded = deserialize_message(cloud.cdr, PointCloud2)
        messages.append(cloud_msgs.with_rows(recorded, rows))
    return messages


def depth_camera(cloud: SensorCloud) -> PointCloud2:
    """Organised; PCL's padding to 16 and 32 bytes, colour packed into a float."""
    layout = {"x": ("<f4", 0), "y": ("<f4", 4), "z": ("<f4", 8), "rgb": ("<f4", 16)}
    return _message(cloud, layout, point_step=32)


def lidar(cloud: SensorCloud) -> PointCloud2:
    """Unorganised and packed: intensity, ring uint16 and time, 22 bytes a point."""
    layout = {
        "x": ("<f4", 0),
        "y": ("<f4", 4),
        "z": ("<f4", 8),
        "intensity": ("<f4", 12),
        "ring": ("<u2", 16),
        "time": ("<f4", 18),
    }
    return _message(cloud, layout, point_step=22, height=1)


def wide(cloud: SensorCloud) -> PointCloud2:
    """Coordinates float64, time first, colours one byte each."""
    layout = {"t": ("<u4", 0), "x": ("<f8", 8), "y": ("<f8", 16), "z": ("<f8", 24)}
    layout |= {"r": ("<u1", 32), "g": ("<u1", 33), "b": ("<u1", 34)}
    return _message(cloud, layout, point_step=40)


def big_endian(cloud: SensorCloud) -> PointCloud2:
    """As a machine of the other byte order sends it."""
    layout = {"x": (">f4", 0), "y": (">f4", 4), "z": (">f4", 8), "rgb": (">f4", 12)}
    return _message(cloud, layout, point_step=16)


def padded_rows(cloud: SensorCloud) -> PointCloud2:
    """Each row ends with bytes that mean nothing."""
    layout = {"x": ("<f4", 0), "y": ("<f4", 4), "z": ("<f4", 8)}
    return _message(cloud, layout, point_step=12, row_padding=20)


LAYOUTS: dict[str, Callable[[SensorCloud], PointCloud2]] = {
    "depth camera": depth_camera,
    "LiDAR": lidar,
    "float64": wide,
    "big endian": big_endian,
    "padded rows": padded_rows,
}


def noisy(cloud: SensorCloud, count: int) -> list[PointCloud2]:
    """What a depth camera sends of a scene that stands still: other noise in each cloud."""
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(count):
        noise = NOISE_M * rng.standard_normal(cloud.xyz.shape)
        xyz = np.where(cloud.valid[:, None], cloud.xyz + noise, cloud.xyz)
        messages.append(depth_camera(replace(cloud, xyz=xyz.astype(np.float32))))
    return messages


def clicks_on(msg: PointCloud2, count: int, seed: int = 0) -> np.ndarray:
    """(count,3) float64 [m]: valid points of a message, chosen at random."""
    xyz = cloud_msgs.read(msg).xyz
    valid = np.flatnonzero(np.isfinite(xyz).all(1) & (xyz != 0).any(1))
    rng = np.random.default_rng(seed)
    return xyz[rng.choice(valid, count)].astype(np.float64)


def _thinning(cloud: SensorCloud, points: int) -> tuple[np.ndarray, tuple[int, int]]:
    """(k,) rows of the points that are left, and how many rows and columns they make."""
    grid = np.arange(cloud.size).reshape(cloud.height, cloud.width)
    step = max(cloud.size / points, 1.0)
    if cloud.height > 1:
        step = int(np.ceil(step**0.5))
        grid = grid[::step, ::step]
    else:
        grid = grid[:, :: int(np.ceil(step))]
    height, width = grid.shape
    return grid.reshape(-1), (height, width)


def _message(
    cloud: SensorCloud,
    layout: dict[str, tuple[str, int]],
    point_step: int,
    height: int | None = None,
    row_padding: int = 0,
) -> PointCloud2:
    height = height or cloud.height
    width = cloud.size // height
    kinds = {name: np.dtype(kind) for name, (kind, _) in layout.items()}
    points = np.zeros(
        cloud.size,
        np.dtype(
            {
                "names": list(layout),
                "formats": list(kinds.values()),
                "offsets": [offset for _, offset in layout.values()],
                "itemsize": point_step,
            }
        ),
    )
    for name, values in _columns(cloud).items():
        if name in layout:
            points[name] = values
    rows = np.zeros((height, width * point_step + row_padding), np.uint8)
    rows[:, : width * point_step] = points.view(np.uint8).reshape(height, -1)
    msg = PointCloud2(
        header=Header(frame_id="sensor"),
        height=int(height),
        width=int(width),
        point_step=point_step,
        row_step=int(rows.shape[1]),
        is_bigendian=any(kind.startswith(">") for kind, _ in layout.values()),
    )
    msg.fields = [
        PointField(
            name=name, offset=offset, datatype=DATATYPES[kinds[name].newbyteorder("<")], count=1
        )
        for name, (_, offset) in layout.items()
    ]
    msg.data = array.array("B", rows.tobytes())
    return msg


def _columns(cloud: SensorCloud) -> dict[str, np.ndarray]:
    """What any layout may want of a cloud, by the field's name."""
    number = np.arange(cloud.size)
    rgb = np.full((cloud.size, 3), 128, np.uint8) if cloud.rgb is None else cloud.rgb
    columns: dict[str, np.ndarray] = {axis: cloud.xyz[:, row] for row, axis in enumerate("xyz")}
    columns |= {channel: rgb[:, row] for row, channel in enumerate("rgb")}
    return {
        **columns,
        "rgb": cloud_msgs.pack_rgb(rgb),
        "intensity": number % 255,
        "ring": number % 16,
        "time": number * 1e-6,
        "t": number * 1000,
    }
