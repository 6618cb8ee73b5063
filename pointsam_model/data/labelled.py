"""Labelled clouds, as the evaluation reads them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointsam_model.cloud.cloud import Cloud
from pointsam_model.cloud.valid import valid_points
from pointsam_model.data.readers.numpy_files import read_npz
from pointsam_model.errors import CloudError
from pointsam_model.ops.layout import columns

IGNORED = -1
MIN_OBJECT_POINTS = 50


@dataclass(frozen=True)
class LabelledCloud:
    """A cloud with the truth about its objects.

    Attributes:
        xyz: (n,3) float32 or float64 points [m]; NaN where the sensor saw nothing.
        rgb: (n,3) uint8 or None.
        label: (n,) int32; at least 1: an object, 0: annotated background, -1: ignored.
        name: what results call it.
        height, width: rows and columns of an organised cloud; height 1 otherwise.
    """

    xyz: NDArray[np.floating]
    rgb: NDArray[np.uint8] | None
    label: NDArray[np.int32]
    name: str
    height: int
    width: int

    def as_seen(self, color: bool = True) -> Cloud:
        """The cloud without its truth, and without its colours unless `color`."""
        width = columns(self.height, self.width)
        return Cloud(self.xyz, self.rgb if color else None, width=width)

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """(n,) points that count as object or complement: annotated and seen (`Cloud.valid`)."""
        return (self.label != IGNORED) & valid_points(self.xyz)

    @property
    def is_bare(self) -> bool:
        """Whether something of it is annotated, and none of that is an object."""
        return bool(self.counted.any()) and not self.objects(min_points=1)

    def objects(self, min_points: int = MIN_OBJECT_POINTS) -> list[int]:
        """The labels of the objects that have at least `min_points` counted points, ascending."""
        labels, counts = np.unique(self.label[self.counted], return_counts=True)
        return [
            int(label)
            for label, count in zip(labels, counts, strict=True)
            if label >= 1 and count >= min_points
        ]


def read_labelled(path: str | Path, name: str = "") -> LabelledCloud:
    """Reads a labelled cloud from the npz form (`xyz`, `rgb`, `label`, `hw`).

    Args:
        name: what results call it; empty: the file's name.

    Raises:
        CloudError: not that form, or without `label`.
    """
    cloud = read_npz(Path(path))
    if cloud.labels is None:
        raise CloudError(
            f"{path} has no array 'label' (int32, one a point: >= 1 an object, 0 background, "
            "-1 ignored)"
        )
    return LabelledCloud(
        cloud.xyz, cloud.rgb, cloud.labels, name or cloud.name, cloud.height, cloud.width
    )


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
