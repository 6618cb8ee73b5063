"""From a file's named columns to points and colours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsam_model.errors import CloudError

MOST_16_BITS = 65_535.0
NOT_A_NUMBER = np.float32(np.nan).view(np.uint32)


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


def plain_numbers(text: bytes) -> bytes:
    """Text with the names that C libraries have for NaN and infinity, as Python writes them."""
    if b"(" not in text and b"#" not in text:
        return text
    text = re.sub(rb"[-+]?nan\(\w*\)", b"nan", text, flags=re.IGNORECASE)
    text = re.sub(rb"[-+]?1\.?#(IND|QNAN|SNAN)\w*", b"nan", text, flags=re.IGNORECASE)
    return re.sub(rb"1\.?#INF\w*", b"inf", text, flags=re.IGNORECASE)


def packed_colors(values: NDArray[Any]) -> NDArray[np.uint8] | None:
    """(n,3) from 0x00RRGGBB in 4 bytes, whatever type the 4 bytes claim to be.

    A float that is not a number says that a point has no colour: it becomes black. None where no
    point has any.
    """
    packed = np.ascontiguousarray(values).view(np.uint32)
    if values.dtype.kind == "f":
        unknown = packed == NOT_A_NUMBER  # others, as 0xFFRRGGBB, are colours with an opacity
        if unknown.all():
            return None
        packed = np.where(unknown, 0, packed)
    return np.stack([(packed >> shift & 0xFF).astype(np.uint8) for shift in (16, 8, 0)], axis=1)


def separate_colors(
    columns: Mapping[str, NDArray[Any]], names: tuple[str, str, str], path: Path
) -> NDArray[np.uint8] | None:
    """(n,3) from three columns; None without them.

    Whole numbers are 0 to 255, or 0 to 65,535 where one is above 255; floats the same or 0 to 1.

    Raises:
        CloudError: values outside of that.
    """
    if not all(name in columns for name in names):
        return None
    colors = np.stack([columns[name] for name in names], axis=1)
    if colors.dtype == np.uint8:
        return colors
    values = np.nan_to_num(colors.astype(np.float64))
    if values.min() < 0 or values.max() > MOST_16_BITS:
        raise CloudError(
            f"{path}: the colours are {values.min():g} to {values.max():g}; they must be 0 to 255, "
            "0 to 65535, or 0 to 1 as floats"
        )
    full = 255.0 if values.max() <= 255 else MOST_16_BITS
    if colors.dtype.kind == "f" and values.max() <= 1:
        full = 1.0
    return np.round(values * (255.0 / full)).astype(np.uint8)
