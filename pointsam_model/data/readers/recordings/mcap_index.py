"""Where the messages of an MCAP file lie (https://mcap.dev/spec): by its summary, or by a scan.

The library's own readers are not used: they take a record's declared size for true, and give the
last message of a file that is cut off shortened.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, ChunkIndex, Footer, Schema, Statistics
from numpy.typing import NDArray

from pointsam_model.data.readers.recordings.chunks import (
    LOOSE,
    BoundedFile,
    ChunkCache,
    MessageIndex,
    Place,
)
from pointsam_model.data.readers.recordings.compression import decompress
from pointsam_model.data.readers.recordings.topics import Progress
from pointsam_model.errors import CloudError

MAGIC = b"\x89MCAP0\r\n"
_RECORD = struct.Struct("<BQ")  # opcode, length
_MESSAGE = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
_CHUNK = struct.Struct("<QQQII")  # first and last log time, size, CRC, length of the compression
_FOOTER = _RECORD.size + struct.calcsize("<QQI") + len(MAGIC)  # bytes at the end of a whole file
_ENTRY = np.dtype([("time", "<u8"), ("offset", "<u8")])  # of a message index


class McapIndex:
    """The index of an MCAP file's wanted channels, and the messages themselves.

    Args:
        file: the file; it stays the caller's to close.
        wanted: whether the messages of a channel are.
        progress: told how far the work is.

    Attributes:
        schemas, channels: records by their id.
        chunk: the records of the chunk that begins at a byte, unpacked; raises CloudError.
        start_ns: first log time of any message [ns]; None: there is no message.
        damage: where the file is cut off or broken; empty: it is whole.
    """

    def __init__(
        self,
        file: BoundedFile,
        wanted: Callable[[Channel, Schema | None], bool],
        progress: Progress,
    ) -> None:
        self._file, self._wanted = file, wanted
        self.chunk = ChunkCache(self._unpacked)
        self._cut_off = LOOSE  # the chunk whose end is missing
        self.damage = ""
        self._reset()
        try:
            complete = self._read_summary(progress)
        except Exception:  # a broken file raises whatever its parsers meet; a scan tells more
            complete = False
        if not complete:
            self._reset()
            self._scan(progress)

    def _reset(self) -> None:
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self._index = MessageIndex()
        self.start_ns: int | None = None

    def places(self, channels: list[int]) -> NDArray[np.int64]:
        """(m,4) int64 where the messages of some wanted channels are, as `MessageIndex.of`."""
        return self._index.of(channels)

    def message(self, place: Place) -> memoryview:
        """The bytes of a message.

        Raises:
            CloudError: it is not where the index has it, or its chunk is broken.
        """
        if place.chunk == LOOSE:
            _, length = _RECORD.unpack(self._file.read(place.offset, _RECORD.size))
            record = memoryview(self._file.read(place.offset, _RECORD.size + length))
        else:
            record = memoryview(self.chunk(place.chunk))[max(place.offset, 0) :]
        for opcode, body, _ in _records(record):
            if opcode == Opcode.MESSAGE and len(body) >= _MESSAGE.size:
                channel, _, time, _ = _MESSAGE.unpack_from(body)
                if (channel, time) == (place.channel, place.time):
                    return body[_MESSAGE.size :]
            break
        raise CloudError("the file's index is broken: there is no such message where it says")

    # --- the summary at the end of a whole file

    def _read_summary(self, progress: Progress) -> bool:
        """Whether it tells where all wanted messages are."""
        end = self._file.size - _FOOTER
        last = self._file.read(end, _FOOTER)
        footer = Footer.read(_stream(last[_RECORD.size :]))
        if last[0] != Opcode.FOOTER or not last.endswith(MAGIC) or footer.summary_start == 0:
            return False
        summary = self._file.read(footer.summary_start, end - footer.summary_start)
        checksum = zlib.crc32(last[: -len(MAGIC) - 4], zlib.crc32(summary))
        if footer.summary_crc not in (0, checksum):
            return False
        chunks: list[ChunkIndex] = []
        statistics: Statistics | None = None
        for opcode, body, _ in _records(memoryview(summary)):
            if opcode == Opcode.CHUNK_INDEX:
                chunks.append(ChunkIndex.read(_stream(body)))
            elif opcode == Opcode.STATISTICS:
                statistics = Statistics.read(_stream(body))
            else:
                self._declare(opcode, body)
        for number, chunk in enumerate(chunks):
            progress(number, len(chunks))
            for channel, offset in chunk.message_index_offsets.items():
                if self._is_wanted(channel):
                    self._add_entries(self._body(offset), chunk.chunk_start_offset)
        if statistics is None:
            return False
        if statistics.message_count:
            self.start_ns = statistics.message_start_time
        counts = statistics.channel_message_counts
        # else there are messages beside the chunks, or chunks without an index
        return all(
            counts.get(channel, 0) == len(self._index.of([channel]))
            for channel in {*self.channels, *counts}
            if self._is_wanted(channel)
        )

    # --- the scan of a file without, or with a broken one

    def _scan(self, progress: Progress) -> None:
        """Goes from record to record, passing over chunks that have an index."""
        start, size = len(MAGIC), self._file.size
        chunk, indexed = LOOSE, False  # the last one, and whether its messages are known
        listed = LOOSE  # the chunk of which all messages are, whatever else indexes it
        try:
            while True:
                progress(start, size)
                opcode, length = _RECORD.unpack(self._file.read(start, _RECORD.size))
                end = start + _RECORD.size + length
                if opcode == Opcode.MESSAGE_INDEX and chunk != LOOSE:
                    if listed != chunk and not self._add_entries(self._body(start), chunk):
                        self._list(chunk)  # which declares the channel
                        listed = chunk
                    indexed = True
                elif chunk != LOOSE and not indexed:
                    self._list(chunk)
                    indexed = True
                if opcode in (Opcode.DATA_END, Opcode.FOOTER):
                    return
                if opcode == Opcode.CHUNK:
                    chunk, indexed = start, False
                    self._cut_off = start if end > size else LOOSE
                elif opcode == Opcode.MESSAGE and end <= size:
                    self._add_loose(start)
                elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
                    self._declare(opcode, memoryview(self._body(start)))
                if opcode == 0 or end > size:
                    break
                start = end
        except Exception:  # a broken file raises whatever its parsers meet
            pass
        if chunk != LOOSE:  # its index may be cut off
            self._list(chunk)
        self.damage = f"cut off or broken after {start:,} of its {size:,} bytes"

    def _add_entries(self, body: bytes, chunk: int) -> bool:
        """Takes in a message index of a chunk; False where its channel is not declared yet."""
        channel, size = struct.unpack_from("<HI", body)
        if channel not in self.channels:
            return False
        entries = np.frombuffer(body, _ENTRY, size // _ENTRY.itemsize, 6)
        if len(entries):
            self._starts(int(entries["time"].min()))
        if self._is_wanted(channel):
            self._index.add(channel, entries["time"], chunk, entries["offset"])
        return True

    def _add_loose(self, start: int) -> None:
        channel, _, time, _ = _MESSAGE.unpack(self._file.read(start + _RECORD.size, _MESSAGE.size))
        self._starts(time)
        if self._is_wanted(channel):
            self._index.add(channel, [time], LOOSE, [start])

    def _list(self, chunk: int) -> None:
        """Takes in all whole messages of a chunk, by unpacking it; none of a broken one."""
        self._index.forget(chunk)
        found: dict[int, list[tuple[int, int]]] = {}
        try:
            for opcode, body, offset in _records(memoryview(self.chunk(chunk))):
                if opcode == Opcode.MESSAGE and len(body) >= _MESSAGE.size:
                    channel, _, time, _ = _MESSAGE.unpack_from(body)
                    found.setdefault(channel, []).append((time, offset))
                else:
                    self._declare(opcode, body)
        except CloudError as error:
            self.damage = self.damage or str(error)
        for channel, places in found.items():
            times, offsets = np.array(places, np.uint64).T
            self._starts(int(times.min()))
            if self._is_wanted(channel):
                self._index.add(channel, times, chunk, offsets)

    # --- records

    def _starts(self, time: int) -> None:
        self.start_ns = time if self.start_ns is None else min(self.start_ns, time)

    def _is_wanted(self, channel_id: int) -> bool:
        channel = self.channels.get(channel_id)
        return channel is not None and self._wanted(channel, self.schemas.get(channel.schema_id))

    def _declare(self, opcode: int, body: memoryview) -> None:
        if opcode == Opcode.SCHEMA:
            schema = Schema.read(_stream(body))
            self.schemas[schema.id] = schema
        elif opcode == Opcode.CHANNEL:
            channel = Channel.read(_stream(body))
            self.channels[channel.id] = channel

    def _body(self, start: int) -> bytes:
        _, length = _RECORD.unpack(self._file.read(start, _RECORD.size))
        return self._file.read(start + _RECORD.size, length)

    def _unpacked(self, start: int) -> bytes:
        """The records of a chunk; of the one that is cut off, what is there."""
        cut_off = start == self._cut_off
        try:
            _, length = _RECORD.unpack(self._file.read(start, _RECORD.size))
            begin = start + _RECORD.size
            chunk = self._file.read(begin, self._file.size - begin if cut_off else length)
            _, _, size, crc, letters = _CHUNK.unpack_from(chunk)
            at = _CHUNK.size + letters
            compression = chunk[_CHUNK.size : at].decode()
            (packed,) = struct.unpack_from("<Q", chunk, at)
            records = decompress(
                memoryview(chunk)[at + 8 : at + 8 + packed], compression, cut_off=cut_off
            )
        except (CloudError, struct.error, UnicodeDecodeError) as error:
            raise CloudError(f"the chunk at byte {start:,} is broken: {error}") from error
        if not cut_off and (len(records) != size or crc not in (0, zlib.crc32(records))):
            raise CloudError(f"the chunk at byte {start:,} is broken: its checksum is another")
        return records


def _records(data: memoryview) -> Iterator[tuple[int, memoryview, int]]:
    """Opcode, body and offset of each whole record."""
    offset = 0
    while offset + _RECORD.size <= len(data):
        opcode, length = _RECORD.unpack_from(data, offset)
        end = offset + _RECORD.size + length
        if end > len(data):
            return
        yield opcode, data[offset + _RECORD.size : end], offset
        offset = end


def _stream(body: Any) -> ReadDataStream:
    return ReadDataStream(BytesIO(body))
