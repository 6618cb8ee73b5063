"""sensor_msgs/PointCloud2 as ROS 2 and ROS 1 serialize it.

Its definition is the same in all distributions, so the one that a recording carries is not needed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from rosbags.typesys import Stores, get_typestore

from pointsam_model.cloud.cloud import Cloud, CloudLayout
from pointsam_model.data.clouds import SensorCloud
from pointsam_model.data.readers.recordings.compression import ZSTD_MAGIC, decompress
from pointsam_model.errors import CloudError

POINT_CLOUD2 = "sensor_msgs/msg/PointCloud2"
POINT_CLOUD2_ROS1 = "sensor_msgs/PointCloud2"


@cache
def _types() -> Any:
    return get_typestore(Stores.ROS2_HUMBLE)


def cloud_from_cdr(data: Any, name: str) -> SensorCloud:
    """A cloud from a message of ROS 2, which may be compressed on its own (zstd).

    Raises:
        CloudError: malformed, empty, or without a valid point.
    """
    if bytes(data[:4]) == ZSTD_MAGIC:
        data = decompress(data, "zstd")
    try:
        message = _types().deserialize_cdr(data, POINT_CLOUD2)
    except Exception as error:  # a broken message raises whatever its parser meets
        raise CloudError(f"no PointCloud2 of ROS 2: {error}") from error
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
        cdr=bytes(data),
    )


def cloud_from_ros1(data: Any, name: str) -> SensorCloud:
    """A cloud from a message of ROS 1; its `cdr` is what ROS 2 would have sent.

    Raises:
        CloudError: malformed, empty, or without a valid point.
    """
    try:
        cdr = _types().ros1_to_cdr(data, POINT_CLOUD2)
    except Exception as error:  # a broken message raises whatever its parser meets
        raise CloudError(f"no PointCloud2 of ROS 1: {error}") from error
    return cloud_from_cdr(cdr, name)
