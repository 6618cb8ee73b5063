"""Labelled clouds in files, as evaluation and training read them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pointsam_model.data.clouds import LabelledCloud
from pointsam_model.data.readers.numpy_files import read_npz
from pointsam_model.errors import CloudError


def read_labelled(path: str | Path, name: str = "") -> LabelledCloud:
    """Reads a labelled cloud from the npz form (`xyz`, `rgb`, `label`, `hw`).

    Args:
        name: what results call it; empty: the file's name.

    Raises:
        CloudError: not that form, or without `label`.
    """
    cloud = read_npz(Path(path))
    if not isinstance(cloud, LabelledCloud):
        raise CloudError(
            f"{path} has no array 'label' (int32, one a point: >= 1 an object, 0 background, "
            "-1 ignored)"
        )
    return replace(cloud, name=name or cloud.name)


def find_labelled(path: str | Path) -> list[Path]:
    """The labelled clouds of a file, or of a folder and the folders in it, by name.

    Raises:
        CloudError: no such place, or no `.npz` in it.
    """
    path = Path(path)
    if not path.exists():
        raise CloudError(f"{path} does not exist: give a labelled .npz cloud or a folder of them")
    found = sorted(path.rglob("*.npz")) if path.is_dir() else [path]
    if not found:
        raise CloudError(f"no .npz cloud in {path}: labelled clouds are .npz files")
    return found
