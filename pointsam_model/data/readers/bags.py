"""PointCloud2 messages of ROS 2 bags (`.mcap`, `.db3`), read without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.typesys import Stores, get_typestore

from pointsam_model.cloud.cloud import Cloud, CloudLayout
from pointsam_model.data.clouds import SensorCloud
from pointsam_model.errors import CloudError

POINT_CLOUD = "sensor_msgs/msg/PointCloud2"


def read_bag(path: Path, topic: str = "") -> Iterator[SensorCloud]:
    """The clouds of one topic, in the order they were recorded.

    Args:
        path: a bag's folder, or a single `.mcap` or `.db3` file.
        topic: of which topic; empty: the first with PointCloud2 messages.

    Raises:
        CloudError: no readable bag, no such topic, no such message, or a malformed one.
    """
    # bags recorded before Iron do not carry their message definitions
    store = get_typestore(Stores.ROS2_HUMBLE)
    try:
        with AnyReader([path], default_typestore=store) as reader:
            connection = _connection(reader, topic, path)
            count = 0
            for _, _, data in reader.messages([connection]):
                message = reader.deserialize(data, connection.msgtype)
                yield _sensor_cloud(message, bytes(data), f"{connection.topic}[{count}]")
                count += 1
    except CloudError:
        raise
    except (AnyReaderError, OSError) as error:
        raise CloudError(f"cannot read {path} as a ROS 2 bag: {error}") from error
    except Exception as error:  # a broken file raises whatever its parsers meet
        raise CloudError(f"{path} is a broken bag: {type(error).__name__}: {error}") from error
    if count == 0:
        raise CloudError(f"{path} has no message on {connection.topic}")


def _connection(reader: AnyReader, topic: str, path: Path) -> Any:
    clouds = [item for item in reader.connections if item.msgtype == POINT_CLOUD]
    if not clouds:
        topics = ", ".join(f"{item.topic} ({item.msgtype})" for item in reader.connections)
        raise CloudError(f"{path} has no PointCloud2 topic; it has {topics or 'no topic'}")
    for item in clouds:
        if topic in ("", item.topic):
            return item
    names = ", ".join(item.topic for item in clouds)
    raise CloudError(f"{path} has no PointCloud2 topic {topic}; it has {names}")


def _sensor_cloud(message: Any, cdr: bytes, name: str) -> SensorCloud:
    cloud = Cloud.from_buffer(message.data, CloudLayout.of_message(message))
    stamp = message.header.stamp
    return SensorCloud(
        cloud.xyz,
        cloud.rgb,
        message.height,
        message.width,
        name,
        frame_id=message.header.frame_id,
        stamp_ns=stamp.sec * 1_000_000_000 + stamp.nanosec,
        cdr=cdr,
    )
