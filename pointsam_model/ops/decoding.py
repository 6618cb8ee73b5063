"""Decodes a sensor's bytes to coordinates and colours without an intermediate copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointsam_model.errors import CloudError
from pointsam_model.ops.layout import (
    COORDINATES,
    FLOAT32,
    FLOAT64,
    INT32,
    PACKED_COLORS,
    SEPARATE_COLORS,
    SIZES,
    UINT8,
    UINT32,
    CloudLayout,
    PointField,
)


def decode(data: Any, layout: CloudLayout, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """`pointsam_model.ops.decode` on a CPU, through strided views of the buffer."""
    raw = buffer_bytes(data, layout)
    xyz = coordinate_fields(layout)
    kind = float_type(xyz)
    points = np.empty((layout.height, layout.width, 3), kind)
    if _side_by_side(xyz) and not is_swapped(layout):
        # x, y, z as one item: one strided copy instead of three.
        whole = np.dtype((np.void, 3 * kind.itemsize))
        points.view(whole)[..., 0] = _view(raw, layout, xyz[0].offset, whole)
    else:
        order = ">" if layout.big_endian else "<"
        for axis, field in enumerate(xyz):
            stored = np.dtype(f"{order}f{SIZES[field.datatype]}")
            points[..., axis] = _view(raw, layout, field.offset, stored)
    colors = None
    channels = color_offsets(layout)
    if channels is not None:
        colors = np.empty((layout.height, layout.width, 3), np.uint8)
        for channel, offset in enumerate(channels):
            colors[..., channel] = _view(raw, layout, offset, np.dtype(np.uint8))
    return (
        torch.from_numpy(points.reshape(-1, 3)),
        None if colors is None else torch.from_numpy(colors.reshape(-1, 3)),
    )


def decode_on_device(
    data: Any, layout: CloudLayout, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """`pointsam_model.ops.decode` on other devices, to which the raw bytes are sent once."""
    raw = buffer_bytes(data, layout)
    # PyTorch rejects read-only memory, so that is copied; a message's is writable and is not.
    held = torch.from_numpy(raw if raw.flags.writeable else raw.copy()).to(device)
    xyz = coordinate_fields(layout)
    kind = torch.float64 if float_type(xyz).itemsize == 8 else torch.float32

    def items(offset: int, size: int) -> Tensor:
        strides = (layout.row_step, layout.point_step, 1)
        return held.as_strided((layout.height, layout.width, size), strides, offset)

    axes = []
    for field in xyz:
        size = SIZES[field.datatype]
        stored = items(field.offset, size)
        stored = stored.flip(-1) if is_swapped(layout) else stored
        aligned = stored.reshape(-1, size).clone(memory_format=torch.contiguous_format)
        number = torch.float64 if size == 8 else torch.float32
        axes.append(aligned.view(number).reshape(-1).to(kind))
    channels = color_offsets(layout)
    if channels is None:
        return torch.stack(axes, 1), None
    return torch.stack(axes, 1), torch.stack([items(at, 1).reshape(-1) for at in channels], 1)


def decode_valid(
    data: Any, layout: CloudLayout, farthest: float, device: torch.device
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """`pointsam_model.ops.decode_valid` in plain PyTorch, on any device."""
    xyz, rgb = (decode if device.type == "cpu" else decode_on_device)(data, layout, device)
    valid = (xyz.abs() <= farthest).all(1) & (xyz != 0).any(1)
    rows = valid.nonzero()[:, 0]
    places = torch.full((len(xyz),), -1, dtype=torch.int32, device=device)
    places[rows] = torch.arange(len(rows), dtype=torch.int32, device=device)
    return xyz[rows], None if rgb is None else rgb[rows], rows, places


def buffer_bytes(data: Any, layout: CloudLayout) -> NDArray[np.uint8]:
    """A view of the buffer as bytes, checked to hold all that the layout describes."""
    try:
        raw = np.frombuffer(data, np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        raise CloudError(f"the cloud's data is not a contiguous byte buffer: {error}") from error
    used = (layout.height - 1) * layout.row_step + layout.width * layout.point_step
    if used > raw.size:
        raise CloudError(
            f"the cloud declares {layout.height} x {layout.width} points of {layout.point_step} "
            f"bytes, {used} bytes in all, but its data has {raw.size}"
        )
    return raw


def _view(
    raw: NDArray[np.uint8], layout: CloudLayout, offset: int, kind: np.dtype[Any]
) -> NDArray[Any]:
    """A strided view (height,width) of one field."""
    strides = (layout.row_step, layout.point_step)
    return np.ndarray((layout.height, layout.width), kind, raw, offset, strides)


def coordinate_fields(layout: CloudLayout) -> list[PointField]:
    found = []
    for name in COORDINATES:
        field = layout.field(name)
        if field is None:
            names = ", ".join(each.name for each in layout.fields) or "none"
            raise CloudError(f"the cloud has no field {name!r}; its fields: {names}")
        if field.datatype not in (FLOAT32, FLOAT64) or field.count > 1:
            raise CloudError(
                f"the cloud's field {name!r} has datatype {field.datatype} and count {field.count};"
                " it must be one FLOAT32 (7) or FLOAT64 (8)"
            )
        found.append(field)
    return found


def float_type(xyz: list[PointField]) -> np.dtype[Any]:
    return np.dtype(np.float64 if any(f.datatype == FLOAT64 for f in xyz) else np.float32)


def _side_by_side(xyz: list[PointField]) -> bool:
    x, y, z = xyz
    size = SIZES[x.datatype]
    return x.datatype == y.datatype == z.datatype and (
        y.offset - x.offset == size and z.offset - y.offset == size
    )


def is_swapped(layout: CloudLayout) -> bool:
    """Whether the buffer's byte order differs from this machine's."""
    return layout.big_endian != (np.dtype(">f4").isnative)


def color_offsets(layout: CloudLayout) -> tuple[int, int, int] | None:
    """Byte offsets of red, green and blue in a point; None if there are no readable colours."""
    for name in PACKED_COLORS:
        packed = layout.field(name)
        if packed is not None and packed.datatype in (FLOAT32, UINT32, INT32) and packed.count <= 1:
            # 0xAARRGGBB as a number: its bytes in memory follow the byte order.
            first = packed.offset
            if layout.big_endian:
                return first + 1, first + 2, first + 3
            return first + 2, first + 1, first
    for names in SEPARATE_COLORS:
        fields = [layout.field(name) for name in names]
        match [f.offset for f in fields if f and f.datatype == UINT8 and f.count <= 1]:
            case [red, green, blue]:
                return red, green, blue
    return None
