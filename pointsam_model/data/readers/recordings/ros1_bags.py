"""Bags of ROS 1 (https://wiki.ros.org/Bags/Format/2.0), found by a scan of their chunks.

The scan needs no index at the file's end, so bags whose recorder died are read like others.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pointsam_model.data.clouds import SensorCloud
from pointsam_model.data.readers.recordings.chunks import (
    LOOSE,
    BoundedFile,
    ChunkCache,
    MessageIndex,
    Place,
)
from pointsam_model.data.readers.recordings.compression import decompress
from pointsam_model.data.readers.recordings.point_cloud2 import POINT_CLOUD2_ROS1, cloud_from_ros1
from pointsam_model.data.readers.recordings.topics import CloudTopic, Progress
from pointsam_model.errors import CloudError

_MAGIC = b"#ROSBAG V2.0\n"
_MESSAGE, _HEADER, _INDEX, _CHUNK, _CHUNK_INFO, _CONNECTION = 2, 3, 4, 5, 6, 7  # op of a record
_SIZE = struct.Struct("<I")
_ENTRY = np.dtype([("sec", "<u4"), ("nsec", "<u4"), ("offset", "<u4")])  # of an index

_Fields = dict[str, bytes]


class Ros1Bag:
    """The clouds of a ROS 1 bag; see `RecordedFile`.

    Raises:
        CloudError: no bag of format 2.0.
    """

    def __init__(self, path: Path, progress: Progress) -> None:
        self._file = BoundedFile(path)
        self._index = MessageIndex()
        self._connections: dict[int, tuple[str, str]] = {}  # topic and type
        self._chunk = ChunkCache(self._unpacked)
        self._cut_off = LOOSE
        self.start_ns: int | None = None
        self.damage = ""
        try:
            begin = self._file.read(0, min(len(_MAGIC), self._file.size))
            if begin != _MAGIC:
                raise CloudError(
                    f"{path} is no bag of ROS 1: it begins with {begin!r}, not {_MAGIC!r}"
                )
            self._scan(progress)
        except BaseException:
            self._file.close()
            raise
        self.topics, self.others = self._sorted_out()

    def close(self) -> None:
        self._file.close()
        self._chunk.clear()

    def _sorted_out(self) -> tuple[list[CloudTopic], list[str]]:
        clouds: dict[str, list[int]] = {}
        others: dict[str, None] = {}
        for number, (topic, kind) in self._connections.items():
            if kind == POINT_CLOUD2_ROS1:
                clouds.setdefault(topic, []).append(number)
            else:
                others[f"{topic} ({kind})"] = None
        return [self._topic(*each) for each in clouds.items()], list(others)

    def _topic(self, name: str, connections: list[int]) -> CloudTopic:
        places = self._index.of(connections)

        def read(number: int, cloud_name: str) -> SensorCloud:
            return cloud_from_ros1(self._message(Place(*places[number].tolist())), cloud_name)

        return CloudTopic(name, np.ascontiguousarray(places[:, 0]), read)

    def _message(self, place: Place) -> memoryview:
        data = memoryview(self._chunk(place.chunk))[place.offset :]
        for fields, body, _ in _records(data):
            if _op(fields) == _CONNECTION:  # some writers let the index point to it
                continue
            if _op(fields) == _MESSAGE and _number(fields, "conn") == place.channel:
                return body
            break
        raise CloudError("the bag's index is broken: there is no such message where it says")

    # --- the scan

    def _scan(self, progress: Progress) -> None:
        start, size = len(_MAGIC), self._file.size
        chunk, indexed = LOOSE, False  # the last one, and whether its messages are known
        listed = LOOSE  # the chunk of which all messages are, whatever else indexes it
        complete = False
        try:
            while start < size:
                progress(start, size)
                fields, body, end = self._record(start)
                op = _op(fields)
                if op == _INDEX:
                    if listed != chunk and not self._add_entries(fields, body, chunk):
                        self._list(chunk)  # which declares the connection
                        listed = chunk
                    indexed = True
                elif chunk != LOOSE and not indexed:
                    self._list(chunk)
                    indexed = True
                if op == _CONNECTION:
                    self._connect(fields, self._file.read(body, end - body))
                elif op == _CHUNK:
                    chunk, indexed = start, False
                    self._cut_off = start if end > size else LOOSE
                if end > size:
                    break
                complete = op == _CHUNK_INFO  # the last records of a bag that was closed
                start = end
        except Exception:  # a broken file raises whatever its parsers meet
            complete = False
        if not complete:
            if chunk != LOOSE:  # its index may be cut off
                self._list(chunk)
            self._damaged(f"cut off or broken after {start:,} of its {size:,} bytes")

    def _damaged(self, what: str) -> None:
        path = self._file.path
        self.damage = (
            f"{path}: {what}; what is whole is read, and `rosbag reindex {path.name}` repairs it"
        )

    def _record(self, start: int) -> tuple[_Fields, int, int]:
        """The header of a record of the file, where its body begins, and where it ends."""
        (length,) = _SIZE.unpack(self._file.read(start, _SIZE.size))
        fields = _fields(memoryview(self._file.read(start + _SIZE.size, length)))
        body = start + 2 * _SIZE.size + length
        (size,) = _SIZE.unpack(self._file.read(body - _SIZE.size, _SIZE.size))
        return fields, body, body + size

    def _add_entries(self, fields: _Fields, body: int, chunk: int) -> bool:
        """Takes in an index of a chunk; False where its connection is not declared yet."""
        connection, count = _number(fields, "conn"), _number(fields, "count")
        if connection not in self._connections:
            return False
        entries = np.frombuffer(self._file.read(body, count * _ENTRY.itemsize), _ENTRY)
        self._add(connection, chunk, entries["sec"], entries["nsec"], entries["offset"])
        return True

    def _add(self, connection: int, chunk: int, sec: Any, nsec: Any, offset: Any) -> None:
        times = np.asarray(sec, np.int64) * 1_000_000_000 + np.asarray(nsec, np.int64)
        if len(times):
            first = int(times.min())
            self.start_ns = first if self.start_ns is None else min(self.start_ns, first)
            self._index.add(connection, times, chunk, offset)

    def _list(self, chunk: int) -> None:
        """Takes in all whole messages of a chunk, by unpacking it; none of a broken one."""
        self._index.forget(chunk)
        try:
            for fields, body, offset in _records(memoryview(self._chunk(chunk))):
                if _op(fields) == _CONNECTION:
                    self._connect(fields, body)
                elif _op(fields) == _MESSAGE:
                    sec, nsec = struct.unpack("<II", fields["time"])
                    self._add(_number(fields, "conn"), chunk, [sec], [nsec], [offset])
        except (CloudError, struct.error, KeyError) as error:
            self._damaged(str(error))  # what comes after it is read all the same

    def _connect(self, fields: _Fields, body: Any) -> None:
        about = _fields(memoryview(body))
        topic, kind = fields["topic"].decode("utf-8", "replace"), about["type"].decode()
        self._connections[_number(fields, "conn")] = topic, kind

    def _unpacked(self, start: int) -> bytes:
        """The records of a chunk; of the one that is cut off, what is there."""
        cut_off = start == self._cut_off
        try:
            fields, body, end = self._record(start)
            packed = self._file.read(body, (self._file.size if cut_off else end) - body)
            records = decompress(packed, fields["compression"].decode(), cut_off=cut_off)
            complete = len(records) == _number(fields, "size")
        except (CloudError, struct.error, KeyError, UnicodeDecodeError) as error:
            raise CloudError(f"the chunk at byte {start:,} is broken: {error}") from error
        if not cut_off and not complete:
            raise CloudError(f"the chunk at byte {start:,} is broken: its size is another")
        return records


def _records(data: memoryview) -> Iterator[tuple[_Fields, memoryview, int]]:
    """Header, body and offset of each whole record of a chunk."""
    offset = 0
    while offset + _SIZE.size <= len(data):
        (length,) = _SIZE.unpack_from(data, offset)
        body = offset + 2 * _SIZE.size + length
        if body > len(data):
            return
        (size,) = _SIZE.unpack_from(data, body - _SIZE.size)
        if body + size > len(data):
            return
        fields = _fields(data[offset + _SIZE.size : body - _SIZE.size])
        yield fields, data[body : body + size], offset
        offset = body + size


def _fields(header: memoryview) -> _Fields:
    """The fields `name=value` of a record's header."""
    fields, at = {}, 0
    while at < len(header):
        (length,) = _SIZE.unpack_from(header, at)
        name, _, value = bytes(header[at + _SIZE.size : at + _SIZE.size + length]).partition(b"=")
        fields[name.decode("ascii", "replace")] = value
        at += _SIZE.size + length
    return fields


def _op(fields: _Fields) -> int:
    return fields["op"][0] if fields.get("op") else 0


def _number(fields: _Fields, name: str) -> int:
    return int(_SIZE.unpack(fields[name])[0])
