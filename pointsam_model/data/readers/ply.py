"""Stanford `.ply`: the vertices of an ASCII or binary file, with colour where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyParseError  # type: ignore[import-untyped, unused-ignore]

from pointsam_model.data.readers.columns import separate_colors, stack_xyz
from pointsam_model.data.readers.sensor_cloud import SensorCloud
from pointsam_model.errors import CloudError

COLOR_NAMES = (
    ("red", "green", "blue"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
    ("r", "g", "b"),
)
INTENSITY_NAMES = ("intensity", "scalar_Intensity", "scalar_intensity")


def read_ply(path: Path) -> SensorCloud:
    """Reads the vertices of a PLY file, in order; faces are left out.

    Raises:
        CloudError: no PLY, cut short, or without float x, y, z.
    """
    try:
        elements = PlyData.read(str(path))
    except (OSError, PlyParseError, ValueError, MemoryError) as error:
        raise CloudError(f"cannot read {path} as PLY: {error}") from error
    if "vertex" not in elements:
        raise CloudError(f"{path} has no vertices")
    vertices = elements["vertex"].data
    if len(vertices) == 0:
        raise CloudError(f"{path} has no points")
    # out of the memory-mapped file and into this machine's byte order
    columns = {
        name: vertices[name].astype(vertices.dtype[name].newbyteorder("="))
        for name in vertices.dtype.names
        if vertices.dtype[name].kind in "fiu"
    }
    xyz = stack_xyz(columns, path)
    rgb = None
    for names in COLOR_NAMES:
        if rgb is None:
            rgb = separate_colors(columns, names, path)
    intensity = next((columns[name] for name in INTENSITY_NAMES if name in columns), None)
    return SensorCloud(
        xyz,
        rgb,
        1,
        len(xyz),
        path.stem,
        intensity=None if intensity is None else intensity.astype(np.float32),
    )
