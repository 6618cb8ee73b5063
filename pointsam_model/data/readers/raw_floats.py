"""`.bin`: little-endian float32, a point's numbers one after the other, and nothing that says how
many they are: x, y, z, intensity (KITTI), a ring beside them (nuScenes), x, y, z alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointsam_model.data.clouds import SensorCloud
from pointsam_model.errors import CloudError

NUSCENES = 5
COLUMNS = (4, NUSCENES, 6)  # that are looked for; all begin with x, y, z, intensity
MOST_COLUMNS = 64
BRIGHTEST = 65_535.0  # intensities are 0 to 1, to 255 or to this
HIGHEST_RING = 255


def read_bin(path: Path, columns: int = 0) -> SensorCloud:
    """Reads raw float32 numbers: x, y, z [m], then the intensity, and others that are left out.

    Args:
        columns: how many numbers a point has; 0: `.pcd.bin` (nuScenes) has 5, others as many as
            make the intensities ones: numbers from 0 up, where a wrong count would mix them with
            coordinates.

    Raises:
        CloudError: empty, of a size that does not fit, or it stays open how many columns there are.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CloudError(f"cannot read {path}: {error}") from error
    if columns:
        if not 3 <= columns <= MOST_COLUMNS:
            raise CloudError(f"columns is {columns}; a point has 3 (x, y, z) to {MOST_COLUMNS}")
        if not _fits(data, columns):
            raise CloudError(
                f"{path} has {len(data)} bytes; with {columns} columns it must be a multiple of "
                f"{4 * columns}, as each is a float32"
            )
    else:
        columns = _columns(data, path)
    values = _table(data, columns)
    return SensorCloud(
        np.ascontiguousarray(values[:, :3]),
        None,
        1,
        len(values),
        path.stem,
        intensity=np.ascontiguousarray(values[:, 3]) if columns > 3 else None,
    )


def _columns(data: bytes, path: Path) -> int:
    possible = [count for count in (3, *COLUMNS) if _fits(data, count)]
    if not possible:
        raise CloudError(
            f"{path} has {len(data)} bytes; a .bin has 4 per number (float32), and 4 numbers a "
            "point (x, y, z, intensity, 16 bytes) or 5 (nuScenes, 20 bytes)"
        )
    if path.name.lower().endswith(".pcd.bin") and NUSCENES in possible:
        return NUSCENES
    likely = [count for count in possible if count > 3 and _likely(_table(data, count))]
    # Three columns have nothing that could be checked: they are what is left.
    found = likely or [count for count in possible if count == 3]
    if len(found) == 1:
        return found[0]
    if len(possible) == 1:
        raise CloudError(
            f"{path} has the size of points of {possible[0]} numbers (float32), but they are not "
            "x, y, z, intensity and a ring; if they are others, say so: "
            f"--columns {possible[0]} (in Python columns=)"
        )
    counts = " or ".join(map(str, found or possible))
    raise CloudError(
        f"{path} does not say how many numbers a point has; {counts} are possible, the first of "
        f"them x, y, z, intensity. Say which: --columns {(found or possible)[0]} (in Python "
        "columns=)"
    )


def _fits(data: bytes, columns: int) -> bool:
    return len(data) > 0 and len(data) % (4 * columns) == 0


def _table(data: bytes, columns: int) -> NDArray[np.float32]:
    return np.frombuffer(data, dtype="<f4").reshape(-1, columns).astype(np.float32)


def _likely(values: NDArray[np.float32]) -> bool:
    """Whether the fourth column can be intensities, and a fifth of five rings."""
    intensity = values[:, 3]
    if not ((intensity >= 0) & (intensity <= BRIGHTEST)).all():  # false for NaN
        return False
    if values.shape[1] != NUSCENES:
        return True
    ring = values[:, 4]
    return bool(((ring >= 0) & (ring <= HIGHEST_RING) & (ring == np.round(ring))).all())
