"""The Point Cloud Library's `.pcd`: ASCII, binary and compressed, organised or not."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lzf  # type: ignore[import-not-found, import-untyped, unused-ignore]
import numpy as np
from numpy.typing import NDArray

from pointsam_model.data.clouds import SensorCloud
from pointsam_model.data.readers.columns import (
    packed_colors,
    plain_numbers,
    separate_colors,
    stack_xyz,
)
from pointsam_model.errors import CloudError

NUMPY_TYPES = {
    ("F", 4): "<f4",
    ("F", 8): "<f8",
    ("I", 1): "i1",
    ("I", 2): "<i2",
    ("I", 4): "<i4",
    ("I", 8): "<i8",
    ("U", 1): "u1",
    ("U", 2): "<u2",
    ("U", 4): "<u4",
    ("U", 8): "<u8",
}
HEADER_LINES = 200  # a real header has about 12
LZF_MOST_EXPANSION = 264  # bytes that one back reference of 3 bytes may stand for


def read_pcd(path: Path) -> SensorCloud:
    """Reads a PCD file; points keep their order, rows and columns, NaN among them.

    Raises:
        CloudError: no PCD, cut short, or without float x, y, z.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CloudError(f"cannot read {path}: {error}") from error
    header, body = _header(data, path)
    columns = _DECODERS[header.encoding](body, header, path)
    xyz = stack_xyz(columns, path)
    rgb = None
    for name in ("rgb", "rgba"):
        if name in columns and columns[name].itemsize == 4:
            rgb = packed_colors(columns[name])
    if rgb is None:
        rgb = separate_colors(columns, ("r", "g", "b"), path)
    intensity = columns.get("intensity")
    return SensorCloud(
        xyz,
        rgb,
        header.height,
        header.width,
        path.stem,
        intensity=None if intensity is None else intensity.astype(np.float32),
        viewpoint=header.viewpoint,
    )


@dataclass(frozen=True)
class _Header:
    dtype: np.dtype[Any]
    names: list[str]
    width: int
    height: int
    encoding: str
    viewpoint: NDArray[np.float64] | None

    @property
    def points(self) -> int:
        return self.width * self.height


def _header(data: bytes, path: Path) -> tuple[_Header, memoryview]:
    """The header, and what follows it."""
    entries: dict[str, list[str]] = {}
    start = 0
    for _ in range(HEADER_LINES):
        end = data.find(b"\n", start)
        if end < 0:
            break
        words = data[start:end].decode("ascii", errors="replace").split()
        start = end + 1
        if words and not words[0].startswith("#"):
            entries[words[0].upper()] = words[1:]
        if "DATA" in entries:
            return _parsed(entries, path), memoryview(data)[start:]
    raise CloudError(f"{path} is not a PCD file: its header has no DATA line")


def _parsed(entries: dict[str, list[str]], path: Path) -> _Header:
    try:
        names = entries.get("FIELDS") or entries["COLUMNS"]
        sizes = [int(word) for word in entries["SIZE"]]
        kinds = entries["TYPE"]
        counts = [int(word) for word in entries.get("COUNT", ["1"] * len(names))]
        width, height = int(entries["WIDTH"][0]), int(entries["HEIGHT"][0])
        points = int(entries.get("POINTS", [str(width * height)])[0])
        encoding = entries["DATA"][0].lower()
    except (KeyError, IndexError, ValueError) as error:
        raise CloudError(f"{path} has a broken PCD header: {error}") from error
    if not len(names) == len(sizes) == len(kinds) == len(counts):
        raise CloudError(f"{path} has a broken PCD header: FIELDS, SIZE, TYPE, COUNT differ")
    if points != width * height or points < 1:
        raise CloudError(f"{path} says {points} points in {height} rows of {width}")
    if encoding not in _DECODERS:
        raise CloudError(f"{path} is encoded as {encoding!r}; known: {', '.join(_DECODERS)}")
    unique = [name if name != "_" else f"_{index}" for index, name in enumerate(names)]
    columns = []
    for name, kind, size, count in zip(unique, kinds, sizes, counts, strict=True):
        if (kind, size) not in NUMPY_TYPES or not 1 <= count <= 4096:
            raise CloudError(f"{path}: field {name} of type {kind}, size {size}, count {count}")
        columns.append((name, NUMPY_TYPES[kind, size], (count,)))
    try:
        dtype = np.dtype(columns)
    except ValueError as error:
        raise CloudError(f"{path} has a broken PCD header: {error}") from error
    return _Header(dtype, unique, width, height, encoding, _viewpoint(entries))


def _viewpoint(entries: dict[str, list[str]]) -> NDArray[np.float64] | None:
    """Where the sensor stood; None: at the origin, which is also written by who does not know."""
    try:
        place = np.array([float(word) for word in entries.get("VIEWPOINT", [])[:3]])
    except ValueError:
        return None
    known = place.shape == (3,) and np.isfinite(place).all() and place.any()
    return place if known else None


def _ascii(body: memoryview, header: _Header, path: Path) -> dict[str, NDArray[Any]]:
    try:
        text = io.BytesIO(plain_numbers(bytes(body)))
        table = np.loadtxt(text, dtype=np.float64, ndmin=2, comments="#")
    except ValueError as error:
        raise CloudError(f"{path}: {error}") from error
    widths = [math.prod(header.dtype[name].shape) for name in header.names]
    if table.shape != (header.points, sum(widths)):
        raise CloudError(
            f"{path} has {table.shape[0]} lines of {table.shape[1]} numbers; its header says "
            f"{header.points} of {sum(widths)}"
        )
    columns, first = {}, 0
    for name, width in zip(header.names, widths, strict=True):
        base = header.dtype[name].base
        values = table[:, first]
        if base.kind in "iu":
            values = np.nan_to_num(values, nan=0.0)
        else:
            values = np.where(np.isnan(values), np.nan, values)  # one kind of NaN, without a sign
        columns[name] = values.astype(base)
        first += width
    return columns


def _binary(body: memoryview, header: _Header, path: Path) -> dict[str, NDArray[Any]]:
    if len(body) < header.points * header.dtype.itemsize:
        raise CloudError(
            f"{path} is truncated: {len(body)} bytes of points; its header says "
            f"{header.points} of {header.dtype.itemsize} bytes"
        )
    table = np.frombuffer(body, dtype=header.dtype, count=header.points)
    return {name: np.ascontiguousarray(table[name][:, 0]) for name in header.names}


def _compressed(body: memoryview, header: _Header, path: Path) -> dict[str, NDArray[Any]]:
    if len(body) < 8:
        raise CloudError(f"{path} is truncated: no size before its compressed points")
    packed, unpacked = (int(size) for size in np.frombuffer(body[:8], dtype="<u4"))
    wanted = header.points * header.dtype.itemsize
    if unpacked != wanted or len(body) - 8 < packed or unpacked > packed * LZF_MOST_EXPANSION:
        raise CloudError(
            f"{path} is truncated or corrupt: {packed} bytes that unpack to {unpacked}, of which "
            f"{len(body) - 8} are there; its header says {wanted}"
        )
    try:
        data = lzf.decompress(bytes(body[8 : 8 + packed]), unpacked)
    except ValueError as error:
        raise CloudError(f"{path} has broken compressed points: {error}") from error
    if data is None or len(data) != unpacked:
        raise CloudError(f"{path} has broken compressed points")
    # compressed files keep the points field by field
    columns, start = {}, 0
    for name in header.names:
        base, (count,) = header.dtype[name].base, header.dtype[name].shape
        size = header.points * count
        values = np.frombuffer(data, dtype=base, count=size, offset=start)
        columns[name] = values.reshape(header.points, count)[:, 0]
        start += size * base.itemsize
    return columns


_DECODERS = {"ascii": _ascii, "binary": _binary, "binary_compressed": _compressed}
