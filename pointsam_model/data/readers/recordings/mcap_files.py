"""The clouds of MCAP files, of ROS 2 and others: what encodings are read, and how."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mcap.records import Channel, Schema

from pointsam_model.data.clouds import SensorCloud
from pointsam_model.data.readers.recordings import foxglove
from pointsam_model.data.readers.recordings.chunks import BoundedFile, Place
from pointsam_model.data.readers.recordings.mcap_index import MAGIC, McapIndex
from pointsam_model.data.readers.recordings.point_cloud2 import (
    POINT_CLOUD2,
    POINT_CLOUD2_ROS1,
    cloud_from_cdr,
    cloud_from_ros1,
)
from pointsam_model.data.readers.recordings.topics import CloudTopic, Progress
from pointsam_model.errors import CloudError

PROTOBUF = ("protobuf", foxglove.POINT_CLOUD)
# By a channel's message encoding and its schema's name.
_READERS: dict[tuple[str, str], Callable[[Any, str], SensorCloud]] = {
    ("cdr", POINT_CLOUD2): cloud_from_cdr,
    ("ros1", POINT_CLOUD2_ROS1): cloud_from_ros1,
    ("json", foxglove.POINT_CLOUD): foxglove.cloud_from_json,
}


class McapFile:
    """The clouds of an MCAP file; see `RecordedFile`.

    Raises:
        CloudError: not an MCAP file.
    """

    def __init__(self, path: Path, progress: Progress) -> None:
        self._file = BoundedFile(path)
        try:
            if self._file.size < len(MAGIC) or self._file.read(0, len(MAGIC)) != MAGIC:
                raise CloudError(f"{path} is no MCAP file: it does not begin as one")
            self._index = McapIndex(self._file, _is_cloud, progress)
        except BaseException:
            self._file.close()
            raise
        self.start_ns = self._index.start_ns
        self.damage = ""
        if self._index.damage:
            self.damage = (
                f"{path}: {self._index.damage}; what is whole is read, and `mcap recover "
                f"{path.name} -o recovered.mcap` writes it anew"
            )
        self.topics, self.others = self._sorted_out()

    def close(self) -> None:
        self._file.close()
        self._index.chunk.clear()

    def _sorted_out(self) -> tuple[list[CloudTopic], list[str]]:
        clouds: dict[str, list[int]] = {}  # several publishers of a topic have a channel each
        others: dict[str, None] = {}
        for number, channel in self._index.channels.items():
            schema = self._index.schemas.get(channel.schema_id)
            if _is_cloud(channel, schema):
                clouds.setdefault(channel.topic, []).append(number)
            else:
                kind = schema.name if schema else channel.message_encoding
                others[f"{channel.topic} ({kind})"] = None
        return [self._topic(name, channels) for name, channels in clouds.items()], list(others)

    def _topic(self, name: str, channels: list[int]) -> CloudTopic:
        places = self._index.places(channels)
        readers = {channel: self._reader(channel) for channel in channels}
        problem = "" if all(readers.values()) else foxglove.NEEDED

        def read(number: int, cloud_name: str) -> SensorCloud:
            place = Place(*places[number].tolist())
            reader = readers[place.channel]
            if reader is None:
                raise CloudError(foxglove.NEEDED)
            return reader(self._index.message(place), cloud_name)

        return CloudTopic(name, np.ascontiguousarray(places[:, 0]), read, problem)

    def _reader(self, number: int) -> Callable[[Any, str], SensorCloud] | None:
        """What makes clouds of a channel's messages; None: a library is missing."""
        channel = self._index.channels[number]
        schema = self._index.schemas[channel.schema_id]
        kind = channel.message_encoding, schema.name
        if kind == PROTOBUF:
            return None if foxglove.missing_library() else foxglove.protobuf_reader(schema)
        return _READERS[kind]


def _is_cloud(channel: Channel, schema: Schema | None) -> bool:
    return schema is not None and (channel.message_encoding, schema.name) in {*_READERS, PROTOBUF}
