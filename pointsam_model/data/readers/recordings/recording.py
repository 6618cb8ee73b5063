"""The clouds of a recording, be it one file or a folder of them, of ROS 2, ROS 1 or Foxglove."""

from __future__ import annotations

import math
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePath

import numpy as np
import yaml

from pointsam_model.data.clouds import SensorCloud
from pointsam_model.data.readers.recordings.compression import unpack_file
from pointsam_model.data.readers.recordings.database_files import DatabaseFile
from pointsam_model.data.readers.recordings.mcap_files import McapFile
from pointsam_model.data.readers.recordings.ros1_bags import Ros1Bag
from pointsam_model.data.readers.recordings.topics import CloudTopic, Progress, RecordedFile
from pointsam_model.errors import CloudError, CloudWarning

_FILES: dict[str, Callable[[Path, Progress], RecordedFile]] = {
    ".mcap": McapFile,
    ".db3": DatabaseFile,
    ".bag": Ros1Bag,
}
LAST_NS = 2**63 - 1
_PACKED = ".zstd"
_NAMES = ".mcap, .db3, .bag, .mcap.zstd or .db3.zstd"
_UNFINISHED = ".active"  # what a recorder of ROS 1 calls its bag until it ends well


def read_recording(
    path: Path,
    topic: str = "",
    index: int | None = None,
    time: float | None = None,
    *,
    progress: Progress,
) -> Iterator[SensorCloud]:
    """The clouds of one topic in the order they were recorded; what cannot be read is passed over.

    At the end one CloudWarning counts what was passed over, and says why the first was.

    Args:
        path: a folder, or a single file.
        topic: of which topic; empty: the first of clouds that has messages.
        index: begin with this message of the topic, from 0; from the end where negative.
        time: begin with the first message not before this [s] after the recording's start.
        progress: told how much of how much of a file has been looked through.

    Raises:
        CloudError: no recording, no such topic, nothing from there on, nothing readable, or the
            message at `index` is not.
    """
    if index is not None and time is not None:
        raise CloudError("give an index or a time of a recording, not both")
    if time is not None and not (math.isfinite(time) and time >= 0):
        raise CloudError(f"time is {time}; it must be at least 0, seconds after the first message")
    if not path.is_dir() and _kind(path) not in _FILES:
        raise CloudError(f"{path} is no recording; its name must end with {_NAMES}")
    recording = _Recording(path, progress)
    passed_over: list[str] = []
    read = 0
    try:
        name = recording.choose(topic)
        for number, message in recording.messages(name, index, time):
            try:
                cloud = message(f"{name}[{number}]")
            except Exception as error:  # a broken file raises whatever its parsers meet
                what = str(error) if isinstance(error, CloudError) else repr(error)
                reason = f"{name}[{number}]: {what}"
                if index is not None and not read:
                    raise CloudError(f"{path}: {reason}") from error
                passed_over.append(reason)
                continue
            read += 1
            yield cloud
        if not read:
            raise CloudError(
                f"{path}: none of the {len(passed_over)} messages on {name} can be read; the "
                f"first, {passed_over[0]}"
            )
    finally:
        recording.close()
        if read and passed_over:
            warnings.warn(
                f"{path}: {len(passed_over)} of {read + len(passed_over)} messages on {name} were "
                f"passed over; the first, {passed_over[0]}",
                CloudWarning,
                stacklevel=2,
            )


class _Recording:
    """The files of a recording, opened one after the other and as late as possible."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self._path, self._progress = path, progress
        self._paths = _files_of(path)
        self._open: tuple[Path, RecordedFile] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._told: set[str] = set()

    def close(self) -> None:
        """Closes what is open, and removes what was unpacked."""
        if self._open is not None:
            self._open[1].close()
            self._open = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def choose(self, topic: str) -> str:
        """The topic of this name, or the first that has messages.

        Raises:
            CloudError: there is none; says what there is.
        """
        counts: dict[str, int] = {}
        others: dict[str, None] = {}
        problem = ""
        for file in self._files():
            for each in file.topics:
                counts[each.name] = counts.get(each.name, 0) + len(each.times)
                if topic in ("", each.name) and len(each.times):
                    if not each.problem:
                        return each.name
                    problem = problem or f"{self._path}: {each.name}: {each.problem}"
            others.update(dict.fromkeys(file.others))
        if problem:
            raise CloudError(problem)
        if not counts:
            listed = ", ".join(others) or "no topic"
            raise CloudError(f"{self._path} has no PointCloud2 topic; it has {listed}")
        if topic and topic not in counts:
            raise CloudError(
                f"{self._path} has no PointCloud2 topic {topic}; it has {', '.join(counts)}"
            )
        filled = ", ".join(name for name, count in counts.items() if count)
        raise CloudError(
            f"{self._path} has no message on {topic or ', '.join(counts)}"
            + (f"; there are some on {filled}" if filled else "")
        )

    def messages(
        self, name: str, index: int | None, time: float | None
    ) -> Iterator[tuple[int, Callable[[str], SensorCloud]]]:
        """The messages of a topic with their numbers, from an index or a time on.

        Raises:
            CloudError: there is none from there on.
        """
        first = index or 0
        if first < 0:
            first += sum(len(topic.times) for topic in self._parts(name))
        before, begun = 0, False
        start_ns: int | None = None
        end_ns = 0
        for file in self._files():
            start_ns = file.start_ns if start_ns is None else start_ns
            topic = next((each for each in file.topics if each.name == name), None)
            if topic is None or not len(topic.times):
                continue
            begin = min(max(first - before, 0), len(topic.times))
            if time is not None:
                not_before = min((start_ns or 0) + round(min(time, 1e9) * 1e9), LAST_NS)
                begin = int(np.searchsorted(topic.times, not_before))
            for number in range(begin, len(topic.times) if first >= 0 else 0):
                begun = True
                yield before + number, partial(topic.read, number)
            before += len(topic.times)
            end_ns = int(topic.times[-1])
        if begun:
            return
        if time is not None:
            raise CloudError(
                f"{self._path}: time is {time} s; the last message on {name} is "
                f"{(end_ns - (start_ns or 0)) / 1e9:.3f} s after the first of the recording"
            )
        raise CloudError(
            f"{self._path}: index is {index}; {name} has {before} messages, 0 to {before - 1}, "
            f"or -{before} to -1 from the end"
        )

    def _parts(self, name: str) -> Iterator[CloudTopic]:
        for file in self._files():
            yield from (topic for topic in file.topics if topic.name == name)

    def _files(self) -> Iterator[RecordedFile]:
        """Each file, open until the next one is asked for.

        Raises:
            CloudError: none of them can be read.
        """
        problem: CloudError | None = None
        opened = False
        for path in self._paths:
            try:
                file = self._opened(path)
            except CloudError as error:
                problem = problem or error
                if len(self._paths) > 1:
                    self._tell(f"{error}; the other files of the recording are read")
                continue
            opened = True
            yield file
        if not opened and problem is not None:
            raise problem

    def _opened(self, path: Path) -> RecordedFile:
        if self._open is not None and self._open[0] == path:
            return self._open[1]
        self.close()
        damage = ""
        place = path
        try:
            if path.suffix.lower() == _PACKED:
                self._folder = tempfile.TemporaryDirectory(prefix="pointsam-recording-")
                place, damage = unpack_file(path, Path(self._folder.name))
            file = _FILES[_kind(path)](place, self._progress)
        except CloudError:
            raise
        except Exception as error:  # a broken file raises whatever its parsers meet
            raise CloudError(
                f"cannot read {path} as a recording: {type(error).__name__}: {error}"
            ) from error
        self._open = path, file
        for text in filter(None, (damage, file.damage)):
            self._tell(text)
        return file

    def _tell(self, text: str) -> None:
        """A doubt, once."""
        if text not in self._told:
            self._told.add(text)
            warnings.warn(text, CloudWarning, stacklevel=2)


def _files_of(path: Path) -> list[Path]:
    """The files of a recording: those that metadata.yaml lists, else all, by their numbers.

    Raises:
        CloudError: a folder without any.
    """
    if not path.is_dir():
        return [path]
    found = sorted((each for each in path.iterdir() if _kind(each) in _FILES), key=_by_number)
    names = _listed(path / "metadata.yaml")
    listed = [path / name for name in names if (path / name).is_file()]
    if names and len(listed) < len(names):
        missing = ", ".join(name for name in names if not (path / name).is_file())
        warnings.warn(
            f"{path}: metadata.yaml lists {missing}, which is not there", CloudWarning, stacklevel=2
        )
    if not (listed or found):
        raise CloudError(f"{path} is not a bag: it holds nothing whose name ends with {_NAMES}")
    return listed or found


def _listed(metadata: Path) -> list[str]:
    """The names of a recording's files by its metadata; empty where it does not tell."""
    try:
        about = yaml.safe_load(metadata.read_text(encoding="utf-8"))
        paths = about["rosbag2_bagfile_information"]["relative_file_paths"]
        return [PurePath(str(each)).name for each in paths]  # old ones name the folder too
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError):
        return []


def _by_number(path: Path) -> list[tuple[int, str]]:
    """So that name_10 comes after name_9."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part) if part.isdigit() else -1, part) for part in parts]


def _kind(path: Path) -> str:
    return _without(_without(path, _PACKED), _UNFINISHED).suffix.lower()


def _without(path: Path, suffix: str) -> Path:
    return path.with_suffix("") if path.suffix.lower() == suffix else path
