"""Clouds from files: what sensors, drivers and data sets write."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

from pointsam_model.data.clouds import LabelledCloud, SensorCloud
from pointsam_model.data.readers.numpy_files import read_npy, read_npz
from pointsam_model.data.readers.pcd import read_pcd
from pointsam_model.data.readers.ply import read_ply
from pointsam_model.data.readers.raw_floats import read_bin
from pointsam_model.errors import CloudError

__all__ = ["READ", "LabelledCloud", "SensorCloud", "read_cloud", "read_clouds"]

_READERS: dict[str, Callable[[Path], SensorCloud]] = {
    ".pcd": read_pcd,
    ".ply": read_ply,
    ".npz": read_npz,
    ".npy": read_npy,
}
_RECORDINGS = (".mcap", ".db3", ".bag", ".zstd", ".active")
READ = (
    ".pcd, .ply, .npz, .npy, .bin (KITTI, nuScenes), and recordings: ROS 2 bags (.mcap, .db3,"
    " .zstd of them, or their folder), ROS 1 .bag, and Foxglove's .mcap"
)


def read_cloud(
    path: str | Path,
    topic: str = "",
    columns: int = 0,
    index: int | None = None,
    time: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SensorCloud:
    """The cloud of a file; of a recording, the first that can be read.

    Args:
        path: what `READ` lists.
        topic: in a recording, the topic of clouds; empty: the first that has messages.
        columns: in a `.bin`, how many numbers a point has; 0: as `read_bin` finds out.
        index: in a recording, the number of the cloud on its topic, from 0; from the end where
            negative.
        time: in a recording, seconds after its start: the first cloud that is not before.
        progress: called with how much of how much of a recording has been looked through.

    Raises:
        CloudError: the file is not there, not of these kinds, or broken; says what is read.
    """
    with closing(read_clouds(path, topic, columns, index, time, progress)) as clouds:
        return next(clouds)


def read_clouds(
    path: str | Path,
    topic: str = "",
    columns: int = 0,
    index: int | None = None,
    time: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Generator[SensorCloud, None, None]:
    """All clouds of a file, one after the other; only recordings have several.

    What of a recording cannot be read is passed over; a CloudWarning at the end counts it. Args
    and errors are those of `read_cloud`; an index or a time says where to begin.
    """
    path = Path(path)
    if not path.exists():
        raise CloudError(f"{path} does not exist")
    if path.is_dir() or path.suffix.lower() in _RECORDINGS:
        # only recordings need what reads them
        from pointsam_model.data.readers.recordings import read_recording

        yield from read_recording(path, topic, index, time, progress=progress or _untold)
        return
    if index is not None or time is not None:
        raise CloudError(f"{path} is a single cloud; only recordings have an index and a time")
    if path.suffix.lower() == ".bin":
        yield read_bin(path, columns)
        return
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise CloudError(
            f"{path}: {path.suffix or 'no suffix'} is not supported; supported: {READ}"
        )
    yield reader(path)


def _untold(done: int, total: int) -> None:
    """Nobody wants to know how far the work is."""
