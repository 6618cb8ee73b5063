"""Clouds from files: what sensors, drivers and data sets write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
_BAG_FILES = (".mcap", ".db3")
READ = (
    ".pcd, .ply, .npz, .npy, .bin (KITTI, nuScenes), and ROS 2 bags (.mcap, .db3 or their folder)"
)


def read_cloud(path: str | Path, topic: str = "", columns: int = 0) -> SensorCloud:
    """The cloud of a file; of a bag, its first.

    Args:
        path: what `READ` lists.
        topic: in a bag, the PointCloud2 topic; empty: the first.
        columns: in a `.bin`, how many numbers a point has; 0: as `read_bin` finds out.

    Raises:
        CloudError: the file is not there, not of these kinds, or broken; says what is read.
    """
    return next(read_clouds(path, topic, columns))


def read_clouds(path: str | Path, topic: str = "", columns: int = 0) -> Iterator[SensorCloud]:
    """All clouds of a file, one after the other; only bags have several.

    Args and errors are those of `read_cloud`.
    """
    path = Path(path)
    if not path.exists():
        raise CloudError(f"{path} does not exist")
    if path.is_dir() or path.suffix.lower() in _BAG_FILES:
        if path.is_dir() and not (path / "metadata.yaml").exists():
            raise CloudError(f"{path} has no metadata.yaml, so is not a bag; supported: {READ}")
        # only bags need what reads bags
        from pointsam_model.data.readers.bags import read_bag

        yield from read_bag(path, topic)
        return
    if path.suffix.lower() == ".bin":
        yield read_bin(path, columns)
        return
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise CloudError(
            f"{path}: {path.suffix or 'no suffix'} is not supported; supported: {READ}"
        )
    yield reader(path)
