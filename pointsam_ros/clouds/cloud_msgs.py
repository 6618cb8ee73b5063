"""PointCloud2 to Cloud and back, and copies of messages with fewer points or more fields.

`layout_of` refuses every malformed message, with a reason, before anything of a declared size is
allocated. No function modifies its input message.
"""

from __future__ import annotations

import array
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from sensor_msgs.msg import PointCloud2
from sensor_msgs.msg import PointField as FieldMsg

from pointsam_model import Cloud, CloudLayout
from pointsam_model.errors import CloudError

TYPES: dict[
    int, np.dtype[Any]
] = {  # datatype of sensor_msgs/PointField -> little-endian numpy type
    FieldMsg.INT8: np.dtype("<i1"),
    FieldMsg.UINT8: np.dtype("<u1"),
    FieldMsg.INT16: np.dtype("<i2"),
    FieldMsg.UINT16: np.dtype("<u2"),
    FieldMsg.INT32: np.dtype("<i4"),
    FieldMsg.UINT32: np.dtype("<u4"),
    FieldMsg.FLOAT32: np.dtype("<f4"),
    FieldMsg.FLOAT64: np.dtype("<f8"),
}


def read(msg: PointCloud2) -> Cloud:
    """Reads the cloud in a message: n = width * height points in source order.

    Raises:
        CloudError: the message is malformed (see `layout_of`), or has no valid point.
    """
    return Cloud.from_buffer(data_of(msg), layout_of(msg))


def layout_of(msg: PointCloud2) -> CloudLayout:
    """The layout of the points in a message, checked against its data.

    A `row_step` of 0 is corrected to width * point_step, a field count of 0 to 1 (as PCL does).

    Raises:
        CloudError: no points; x, y or z missing or not floating point; two fields of the same name
            among those that are read; an unknown field type; a field that ends beyond point_step; a
            row_step smaller than a row; data shorter or longer than declared. Says what is wrong
            and how to correct it.
    """
    layout = CloudLayout.of_message(msg)
    _check_coordinates(layout)
    declared, came = layout.height * layout.row_step, len(msg.data)
    if came != declared:
        raise CloudError(
            f"the cloud's data has {came} bytes, {'fewer' if came < declared else 'more'} than its "
            f"{layout.height} rows of {layout.row_step} bytes: {declared}"
        )
    return layout


def data_of(msg: PointCloud2) -> np.ndarray:
    """A read-only view of the message's bytes, (len(data),) uint8."""
    view = np.frombuffer(msg.data, dtype=np.uint8)
    view.flags.writeable = False
    return view


def write(
    header: Any,
    xyz: np.ndarray,
    rgb: np.ndarray | None = None,
    *,
    height: int = 1,
    **fields: np.ndarray,
) -> PointCloud2:
    """Makes a little-endian PointCloud2 without padding.

    Args:
        header: std_msgs/Header.
        xyz: (n,3) float32 or float64 [m].
        rgb: (n,3) uint8, written as PCL's packed float field `rgb`; None: no colour.
        height: rows of an organised cloud; n must be a multiple of it.
        fields: further fields by name, each (n,) of a type that PointField supports.

    Raises:
        CloudError: lengths that do not match, or a type that PointField does not support.
    """
    xyz = np.asarray(xyz)
    columns = {axis: xyz[:, index] for index, axis in enumerate("xyz")}
    if rgb is not None:
        columns["rgb"] = pack_rgb(rgb)
    columns.update(fields)
    rows = len(xyz)
    if height < 1 or rows % height:
        raise CloudError(f"{rows} points do not fill {height} rows of equal width")
    point = _point_type(columns, rows)
    points = np.empty(rows, point)
    for name, column in columns.items():
        points[name] = column
    msg = PointCloud2(header=header, height=height, width=rows // height, is_bigendian=False)
    msg.fields = [
        FieldMsg(name=name, offset=int(offset), datatype=_datatype(kind), count=1)
        for name, kind, offset in _columns(point)
    ]
    msg.is_dense = bool(np.isfinite(xyz).all())
    return _filled(msg, points.view(np.uint8), point.itemsize)


def pack_rgb(rgb: np.ndarray) -> np.ndarray:
    """Packs colours (n,3) uint8 to (n,) float32 with the bits 0x00RRGGBB, PCL's field `rgb`."""
    red, green, blue = (np.asarray(rgb)[:, channel].astype("<u4") for channel in range(3))
    return (red << 16 | green << 8 | blue).view("<f4")


def with_fields(msg: PointCloud2, columns: Mapping[str, np.ndarray]) -> PointCloud2:
    """A copy of a cloud with fields appended to each point; all others stay as they are.

    Args:
        msg: a message that `layout_of` accepts.
        columns: (n,) values by name, of types that PointField supports. A field of the same name
            in the source is hidden: its bytes stay, but it is not listed.
    """
    layout = layout_of(msg)
    size = layout.height * layout.width
    added = _point_type(columns, size, layout.big_endian)
    offset = -(-layout.point_step // 4) * 4  # aligned, as some readers require
    step = offset + added.itemsize
    points = np.zeros((layout.height, layout.width, step), np.uint8)
    points[..., : layout.point_step] = _points(msg, layout)
    block = np.empty(size, added)
    for name, column in columns.items():
        block[name] = column
    points[..., offset:] = block.view(np.uint8).reshape(layout.height, layout.width, -1)
    new = _like(msg, layout.height, layout.width)
    new.fields = [field for field in msg.fields if field.name not in columns]
    for name, kind, start in _columns(added):
        new.fields.append(
            FieldMsg(name=name, offset=offset + int(start), datatype=_datatype(kind), count=1)
        )
    return _filled(new, points, step)


def with_rows(msg: PointCloud2, rows: np.ndarray) -> PointCloud2:
    """A copy with only the points in `rows` (k,), unorganised, with all fields."""
    layout = layout_of(msg)
    view = _points(msg, layout)
    points = view[rows // layout.width, rows % layout.width]
    new = _like(msg, 1, len(rows))
    new.fields = list(msg.fields)
    return _filled(new, points, layout.point_step)


def _check_coordinates(layout: CloudLayout) -> None:
    for axis in "xyz":
        field = layout.field(axis)
        if field is None:
            known = ", ".join(field.name for field in layout.fields) or "none"
            raise CloudError(f"the cloud has no field {axis!r}; its fields: {known}")
        if field.datatype not in (FieldMsg.FLOAT32, FieldMsg.FLOAT64) or field.count > 1:
            raise CloudError(
                f"the cloud's field {axis!r} is {max(field.count, 1)} x "
                f"{TYPES[field.datatype].name}; it must be one float32 or float64"
            )


def _points(msg: PointCloud2, layout: CloudLayout) -> np.ndarray:
    """A view (height, width, point_step) uint8 of the message's points without row padding."""
    rows = data_of(msg).reshape(layout.height, layout.row_step)
    points = rows[:, : layout.width * layout.point_step]
    return points.reshape(layout.height, layout.width, layout.point_step)


def _point_type(columns: Mapping[str, np.ndarray], rows: int, big_endian: bool = False) -> np.dtype:
    order: Literal["<", ">"] = ">" if big_endian else "<"
    kinds = []
    for name, column in columns.items():
        if np.shape(column) != (rows,):
            raise CloudError(f"field {name!r} has shape {np.shape(column)}; {(rows,)} is right")
        kinds.append((name, np.asarray(column).dtype.newbyteorder(order)))
        _datatype(kinds[-1][1])
    return np.dtype(kinds)


def _columns(point: np.dtype) -> list[tuple[str, np.dtype, int]]:
    """(name, type, offset) of each field of a structured type."""
    fields: Mapping[str, Any] = point.fields or {}
    return [(name, *fields[name][:2]) for name in point.names or ()]


def _datatype(kind: np.dtype) -> int:
    for datatype, known in TYPES.items():
        if known == kind.newbyteorder("<"):
            return int(datatype)
    known_names = ", ".join(known.name for known in TYPES.values())
    raise CloudError(f"PointField has no type for {kind.name}; it supports {known_names}")


def _like(msg: PointCloud2, height: int, width: int) -> PointCloud2:
    return PointCloud2(
        header=msg.header,
        height=height,
        width=width,
        is_bigendian=msg.is_bigendian,
        is_dense=msg.is_dense,
    )


def _filled(msg: PointCloud2, points: np.ndarray, point_step: int) -> PointCloud2:
    msg.point_step = int(point_step)
    msg.row_step = int(point_step) * msg.width
    data = array.array("B")  # rclpy copies an ndarray byte by byte, an array.array not at all
    data.frombytes(np.ascontiguousarray(points).reshape(-1).data)
    msg.data = data
    return msg
