"""Recordings as recorders write them, with small clouds whose values are known."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from numpy.typing import NDArray
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

POINT_CLOUD2 = "sensor_msgs/msg/PointCloud2"
ROS2, ROS1 = get_typestore(Stores.ROS2_JAZZY), get_typestore(Stores.ROS1_NOETIC)
SECOND = 1_000_000_000
FIELDS = [{"name": name, "offset": 4 * at, "type": 7} for at, name in enumerate("xyz")]


def points(number: int) -> NDArray[np.float32]:
    """(4,3) points of the cloud of this number: no two clouds share one."""
    return (np.arange(12, dtype=np.float32).reshape(4, 3) + 1) + 100 * number


EMPTY = np.zeros((0, 3), np.float32)
UNSEEN = np.full((4, 3), np.nan, np.float32)


def cdr(xyz: NDArray[np.float32], store: Any = ROS2, declared: int | None = None) -> bytes:
    """A serialized PointCloud2; `declared`: how many points it says it has."""
    types, count = store.types, len(xyz) if declared is None else declared
    header = types["std_msgs/msg/Header"]
    time = types["builtin_interfaces/msg/Time"](sec=7, nanosec=5)
    field = types["sensor_msgs/msg/PointField"]
    message = types[POINT_CLOUD2](
        header=header(seq=3, stamp=time, frame_id="lidar")
        if store is ROS1
        else header(stamp=time, frame_id="lidar"),
        height=1,
        width=count,
        fields=[field(name=n, offset=4 * at, datatype=7, count=1) for at, n in enumerate("xyz")],
        is_bigendian=False,
        point_step=12,
        row_step=12 * count,
        data=np.ascontiguousarray(xyz).view(np.uint8).ravel(),
        is_dense=True,
    )
    serialize = store.serialize_ros1 if store is ROS1 else store.serialize_cdr
    return bytes(serialize(message, POINT_CLOUD2))


def bag(
    folder: Path,
    messages: Iterable[tuple[str, float, bytes]],
    storage: StoragePlugin = StoragePlugin.SQLITE3,
    topics: Sequence[str] = ("/points",),
    compressed: CompressionMode = CompressionMode.NONE,
) -> Path:
    """A ROS 2 bag of messages (topic, seconds, bytes), with its metadata."""
    writer = Writer(folder, version=9, storage_plugin=storage)
    if compressed is not CompressionMode.NONE:
        writer.set_compression(compressed, CompressionFormat.ZSTD)
    with writer:
        channels = {
            topic: writer.add_connection(topic, POINT_CLOUD2, typestore=ROS2) for topic in topics
        }
        for topic, seconds, data in messages:
            writer.write(channels[topic], round(seconds * SECOND), data)
    return folder


def ros1_bag(path: Path, messages: Iterable[tuple[float, bytes]], compression: str = "") -> Path:
    """A ROS 1 bag with a topic of something else beside the clouds, several chunks long."""
    writer = Ros1Writer(path)
    writer.chunk_threshold = 300
    if compression:
        writer.set_compression(Ros1Writer.CompressionFormat[compression])
    with writer:
        text = writer.add_connection("/chatter", "std_msgs/msg/String", typestore=ROS1)
        data = ROS1.serialize_ros1(ROS1.types["std_msgs/msg/String"]("hello"), text.msgtype)
        writer.write(text, 0, data)
        clouds = writer.add_connection("/points", POINT_CLOUD2, typestore=ROS1)
        for seconds, message in messages:
            writer.write(clouds, round(seconds * SECOND), message)
    return path


class Mcap:
    """An MCAP file of any channels; a chunk for every message."""

    def __init__(self, path: Path, profile: str = "ros2", **options: Any) -> None:
        self.path = path
        self._out = path.open("wb")
        self._writer = McapWriter(self._out, **{"chunk_size": 1, **options})
        self._writer.start(profile, "a test")

    def channel(
        self,
        topic: str,
        encoding: str = "cdr",
        name: str = POINT_CLOUD2,
        schema_encoding: str = "ros2msg",
        schema: bytes = b"",
    ) -> int:
        number = self._writer.register_schema(name, schema_encoding, schema)
        return self._writer.register_channel(topic, encoding, number)

    def write(self, channel: int, seconds: float, data: bytes) -> None:
        time = round(seconds * SECOND)
        self._writer.add_message(channel, time, data, time)

    def finish(self) -> Path:
        self._writer.finish()
        self._out.close()
        return self.path


def mcap(path: Path, clouds: Iterable[bytes], **options: Any) -> Path:
    """An MCAP file of ROS 2 with a cloud every second on /points."""
    file = Mcap(path, **options)
    channel = file.channel("/points")
    for number, data in enumerate(clouds):
        file.write(channel, 10 + number, data)
    return file.finish()


COMPRESSIONS = [CompressionType.NONE, CompressionType.LZ4, CompressionType.ZSTD]


def foxglove_json(xyz: NDArray[np.float32], **other: Any) -> bytes:
    """A foxglove.PointCloud in JSON."""
    message = {
        "timestamp": {"sec": 7, "nsec": 5},
        "frame_id": "lidar",
        "point_stride": 12,
        "fields": FIELDS,
        "data": base64.b64encode(xyz.tobytes()).decode(),
        **other,
    }
    return json.dumps(message).encode()
