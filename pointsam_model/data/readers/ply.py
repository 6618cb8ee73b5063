"""Stanford `.ply`: the vertices of an ASCII or binary file, with colour where there is one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyParseError  # type: ignore[import-untyped, unused-ignore]

from pointsam_model.data.clouds import SensorCloud
from pointsam_model.data.readers.columns import plain_numbers, separate_colors, stack_xyz
from pointsam_model.errors import CloudError

HEADER_BYTES = 65_536  # that a header may have
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
        elements = PlyData.read(_readable(path))
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


def _readable(path: Path) -> str | io.BytesIO:
    """The file, or what it says without what plyfile does not take: letters beyond ASCII in the
    header's comments, and NaN as C libraries write it."""
    with path.open("rb") as file:
        start = file.read(HEADER_BYTES)
    header, end, _ = start.partition(b"end_header")
    ascii_body = b"format ascii" in header
    if not end or (header.isascii() and not ascii_body):
        return str(path)  # mapped into memory, not read as a whole
    body = path.read_bytes()[len(header) :]
    plain = bytes(byte if byte < 128 else ord("?") for byte in header)
    return io.BytesIO(plain + (plain_numbers(body) if ascii_body else body))
