"""Files whose messages lie in compressed chunks: bounded reading, and where each message is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointsam_model.data.readers.recordings.compression import MOST_BYTES
from pointsam_model.errors import CloudError

LOOSE = -1  # the chunk of a message that is in none: its offset is the file's
_CHUNKS_KEPT = 3  # unpacked; messages of chunks that overlap in time alternate between them


class BoundedFile:
    """A file of which nothing is read beyond its end, nor more at once than memory should hold."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        self.size = self._file.seek(0, 2)

    def read(self, start: int, count: int) -> bytes:
        """`count` bytes from `start` on.

        Raises:
            CloudError: the file has fewer, or nobody should read so many at once.
        """
        if count > MOST_BYTES or start + count > self.size:
            raise CloudError(
                f"byte {start:,} of {self.path.name} begins {count:,} bytes; the file has "
                f"{self.size:,}, and at most {MOST_BYTES:,} are read at once"
            )
        self._file.seek(start)
        return self._file.read(count)

    def close(self) -> None:
        self._file.close()


class Place(NamedTuple):
    """Where a message is: recorded when [ns], in the chunk that begins at which byte, and there."""

    time: int
    chunk: int
    offset: int
    channel: int


class MessageIndex:
    """The places of messages by their channel, gathered chunk by chunk."""

    def __init__(self) -> None:
        self._places: dict[int, list[NDArray[np.int64]]] = {}

    def add(self, channel: int, times: ArrayLike, chunk: int, offsets: ArrayLike) -> None:
        """Messages of one channel in one chunk: (k,) times [ns] and offsets."""
        times = np.asarray(times).astype(np.int64)
        rows = np.empty((len(times), 4), np.int64)
        rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3] = times, chunk, offsets, channel
        self._places.setdefault(channel, []).append(rows)

    def forget(self, chunk: int) -> None:
        """Drops what was last added of a chunk."""
        for parts in self._places.values():
            while parts and len(parts[-1]) and parts[-1][0, 1] == chunk:
                parts.pop()

    def of(self, channels: Iterable[int]) -> NDArray[np.int64]:
        """(m,4) places of all messages of some channels, rows as `Place`, in order of time."""
        parts = [part for channel in channels for part in self._places.get(channel, [])]
        rows = np.concatenate(parts) if parts else np.empty((0, 4), np.int64)
        return rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]


class ChunkCache:
    """The chunks that were unpacked last, by the byte where they begin."""

    def __init__(self, unpack: Callable[[int], bytes]) -> None:
        self._unpack = unpack
        self._kept: dict[int, bytes] = {}

    def __call__(self, start: int) -> bytes:
        """A chunk, unpacked where it is not kept."""
        chunk = self._kept.pop(start, None)
        if chunk is None:
            chunk = self._unpack(start)
        self._kept[start] = chunk
        if len(self._kept) > _CHUNKS_KEPT:
            del self._kept[next(iter(self._kept))]
        return chunk

    def clear(self) -> None:
        """Keeps nothing."""
        self._kept.clear()
