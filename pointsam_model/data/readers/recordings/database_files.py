"""SQLite databases (`.db3`), as ROS 2 records where MCAP is not chosen, and did before Iron."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from pointsam_model.data.clouds import SensorCloud
from pointsam_model.data.readers.recordings.point_cloud2 import POINT_CLOUD2, cloud_from_cdr
from pointsam_model.data.readers.recordings.topics import CloudTopic, Progress
from pointsam_model.errors import CloudError

_MAGIC = b"SQLite format 3\0"
_PAGE_OF_ROWS = 13
_TOLD_EVERY = 1000  # messages


class DatabaseFile:
    """The clouds of a .db3 file; see `RecordedFile`.

    Raises:
        CloudError: no database, or not one of a recording.
    """

    def __init__(self, path: Path, progress: Progress) -> None:
        with path.open("rb") as file:
            header = file.read(100)
        if not header.startswith(_MAGIC) or len(header) < 100:
            raise CloudError(f"{path} is no SQLite database: it does not begin as one")
        self._path = path
        self.start_ns: int | None = None
        self.damage = ""
        (page,) = struct.unpack_from(">H", header, 16)
        self._rest = _beyond_whole_pages(path, 65536 if page == 1 else page)
        self._database = _opened(path)
        try:
            self.topics, self.others = self._sorted_out(progress)
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        self._database.close()

    def _sorted_out(self, progress: Progress) -> tuple[list[CloudTopic], list[str]]:
        try:
            columns = "id, name, type, serialization_format"
            topics = self._database.execute(f"SELECT {columns} FROM topics ORDER BY id").fetchall()
        except sqlite3.Error as error:
            raise CloudError(f"cannot read {self._path} as a ROS 2 recording: {error}") from error
        clouds: dict[str, list[int]] = {}
        others = []
        for number, name, kind, form in topics:
            if (kind, form) == (POINT_CLOUD2, "cdr"):
                clouds.setdefault(str(name), []).append(number)
            else:
                others.append(f"{name} ({kind})")
        rows = self._rows([number for numbers in clouds.values() for number in numbers], progress)
        return [
            self._topic(name, rows[np.isin(rows[:, 1], numbers)])
            for name, numbers in clouds.items()
        ], others

    def _rows(self, topics: list[int], progress: Progress) -> np.ndarray:
        """(m,3) int64 ids, topics and times [ns] of all messages of topics that can be reached."""
        rows: list[tuple[int, int, int]] = []
        try:
            if not self._rest:
                (self.start_ns,) = self._database.execute(
                    "SELECT MIN(timestamp) FROM messages"
                ).fetchone()
            for row in self._reached(topics, progress):
                rows.append(row)
        except sqlite3.Error as error:
            self._damaged(str(error))
        if self._rest:
            self._damaged("it ends within a page")
            rows = self._untouched(rows)
        if not isinstance(self.start_ns, int):
            self.start_ns = min((time for _, _, time in rows), default=None)
        found = np.array(rows, np.int64).reshape(-1, 3)
        return found[np.isin(found[:, 1], topics)]

    def _reached(self, topics: list[int], progress: Progress) -> Iterator[tuple[int, int, int]]:
        last = 0
        with suppress(sqlite3.Error):
            (last,) = self._database.execute("SELECT MAX(id) FROM messages").fetchone()
        # by id, not by time: where a file is cut off, those before it are reached
        query, marks = "SELECT id, topic_id, timestamp FROM messages", ", ".join("?" * len(topics))
        if self._rest:  # then it matters which of all messages was the last
            found = self._database.execute(f"{query} ORDER BY id")
        else:
            found = self._database.execute(
                f"{query} WHERE topic_id IN ({marks}) ORDER BY id", topics
            )
        for number, row in enumerate(found):
            if number % _TOLD_EVERY == 0:
                progress(row[0], last or 0)
            if all(isinstance(value, int) for value in row):
                yield row
            else:
                self._damaged(f"message {row[0]} has no topic or no time")

    def _untouched(self, rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """Those without a byte on the file's incomplete last page: SQLite reads zeros for its rest.

        The page is one of rows, or one of the many that the bytes of one message take; then that
        message is the last which seems to be there.
        """
        in_page = _rows_of_page(self._rest)
        kept = [row for row in rows if row[0] not in in_page]
        while kept and self._rest[0] != _PAGE_OF_ROWS:
            number, _, _ = kept.pop()
            with suppress(CloudError):
                self._message(number)
                break
        return kept

    def _damaged(self, what: str) -> None:
        name = self._path.name
        self.damage = (
            f"{self._path}: cut off or broken ({what}); what is whole is read, and `sqlite3 {name} "
            ".recover`, then `ros2 bag reindex`, may save more"
        )

    def _topic(self, name: str, rows: np.ndarray) -> CloudTopic:
        rows = rows[np.lexsort((rows[:, 0], rows[:, 2]))]

        def read(number: int, cloud_name: str) -> SensorCloud:
            return cloud_from_cdr(self._message(int(rows[number, 0])), cloud_name)

        return CloudTopic(name, rows[:, 2].copy(), read)

    def _message(self, number: int) -> bytes:
        try:
            found = self._database.execute("SELECT data FROM messages WHERE id = ?", (number,))
            ((data,),) = found.fetchall()
        except (sqlite3.Error, ValueError) as error:
            raise CloudError(f"its bytes cannot be read: {error}") from error
        if not isinstance(data, bytes):
            raise CloudError(f"it is {type(data).__name__}; a message is bytes")
        return data


def _beyond_whole_pages(path: Path, page: int) -> bytes:
    """What stands behind the last whole page of a database, in one that was not cut off nothing."""
    if page < 512:
        raise CloudError(f"{path} is a broken database: its pages have {page} bytes")
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(size - size % page)
        return file.read(page)


def _rows_of_page(page: bytes) -> set[int]:
    """The ids of the rows on a page (https://sqlite.org/fileformat2.html, 1.6), if of rows."""
    ids: set[int] = set()
    if len(page) < 8 or page[0] != _PAGE_OF_ROWS:
        return ids
    (count,) = struct.unpack_from(">H", page, 3)
    for start in struct.iter_unpack(">H", page[8 : 8 + 2 * min(count, (len(page) - 8) // 2)]):
        _, at = _varint(page, start[0])
        ids.add(_varint(page, at)[0])
    return ids


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    value = 0
    for byte in data[at : at + 8]:
        at += 1
        value = value << 7 | byte & 127
        if byte < 128:
            break
    return value, at


def _opened(path: Path) -> sqlite3.Connection:
    """The database, read-only; what a recorder that died has not merged into it counts too."""
    # where the folder may not be written to, a database must not want to lock it
    left_over = path.with_name(f"{path.name}-wal").exists()
    for mode in ("mode=ro", "immutable=1") if left_over else ("immutable=1",):
        try:
            database = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
            database.text_factory = lambda text: text.decode("utf-8", "replace")
            # else a file that is shorter than it says is refused as a whole
            database.execute("PRAGMA writable_schema = ON")
            database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            return database
        except sqlite3.Error as error:
            problem: Any = error
    raise CloudError(f"cannot read {path} as a database: {problem}")
