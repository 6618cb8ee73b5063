"""From a file's named columns to points and colours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsam_model.errors import CloudError


def stack_xyz(columns: Mapping[str, NDArray[Any]], path: Path) -> NDArray[np.floating]:
    """(n,3) float64 where a coordinate is double, else float32.

    Raises:
        CloudError: x, y or z is missing or is no float.
    """
    missing = [axis for axis in "xyz" if axis not in columns]
    if missing:
        raise CloudError(
            f"{path} has no {', '.join(missing)}; its fields are {', '.join(columns) or 'none'}"
        )
    parts = [columns[axis] for axis in "xyz"]
    for axis, part in zip("xyz", parts, strict=True):
        if part.dtype.kind != "f":
            raise CloudError(f"{path}: {axis} is {part.dtype}; it must be a float in metres")
    double = any(part.dtype.itemsize > 4 for part in parts)
    return np.stack(parts, axis=1).astype(np.float64 if double else np.float32, copy=False)


def packed_colors(values: NDArray[Any]) -> NDArray[np.uint8]:
    """(n,3) from 0x00RRGGBB in 4 bytes, whatever type the 4 bytes claim to be."""
    packed = np.ascontiguousarray(values).view(np.uint32)
    return np.stack([(packed >> shift & 0xFF).astype(np.uint8) for shift in (16, 8, 0)], axis=1)


def separate_colors(
    columns: Mapping[str, NDArray[Any]], names: tuple[str, str, str], path: Path
) -> NDArray[np.uint8] | None:
    """(n,3) from three columns: whole numbers 0 to 255, or floats 0 to 1; None without them.

    Raises:
        CloudError: values outside of that.
    """
    if not all(name in columns for name in names):
        return None
    colors = np.stack([columns[name] for name in names], axis=1)
    if colors.dtype == np.uint8:
        return colors
    values = np.nan_to_num(colors.astype(np.float64))
    if values.min() < 0 or values.max() > 255:
        raise CloudError(f"{path}: colours must be 0 to 255, or 0 to 1 as floats")
    scale = 255.0 if colors.dtype.kind == "f" and values.max() <= 1 else 1.0
    return np.round(values * scale).astype(np.uint8)
