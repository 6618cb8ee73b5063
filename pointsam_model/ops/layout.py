"""Layout of the fields of a sensor's points in its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pointsam_model.errors import CloudError

UINT8, INT32, UINT32, FLOAT32, FLOAT64 = 2, 5, 6, 7, 8
SIZES = {1: 1, UINT8: 1, 3: 2, 4: 2, INT32: 4, UINT32: 4, FLOAT32: 4, FLOAT64: 8}
COORDINATES = ("x", "y", "z")
PACKED_COLORS = ("rgb", "rgba")
SEPARATE_COLORS = (("r", "g", "b"), ("red", "green", "blue"))
# Only other names may repeat: PCL names all of its padding "_".
FIELDS_READ = frozenset(COORDINATES).union(PACKED_COLORS, *SEPARATE_COLORS)


def columns(height: int, width: int) -> int | None:
    """Columns of an organised cloud; None: a cloud of a single row is not organised."""
    return width if height > 1 else None


@dataclass(frozen=True)
class PointField:
    """One field of each point, as in sensor_msgs/PointField.

    Attributes:
        name: x, y, z, rgb, ...
        offset: bytes from the start of a point.
        datatype: 1 INT8, 2 UINT8, 3 INT16, 4 UINT16, 5 INT32, 6 UINT32, 7 FLOAT32, 8 FLOAT64.
        count: number of values; 0, as old drivers send, counts as 1.
    """

    name: str
    offset: int
    datatype: int
    count: int = 1


@dataclass(frozen=True)
class CloudLayout:
    """Layout of points in a buffer, as in sensor_msgs/PointCloud2.

    Attributes:
        fields: the fields of each point.
        height, width: rows and columns; height is 1 if the cloud is not organised.
        point_step, row_step: bytes from one point, and one row, to the next.
        big_endian: whether numbers are big-endian.

    Raises:
        CloudError: a number below its least value, an unknown datatype, a field that extends
            beyond its point, a row shorter than its points, or two fields of the same name among
            those that are read (FIELDS_READ).
    """

    fields: tuple[PointField, ...]
    height: int
    width: int
    point_step: int
    row_step: int
    big_endian: bool = False

    @classmethod
    def of_message(cls, message: Any) -> CloudLayout:
        """The layout of a PointCloud2 message, from rclpy or any other library.

        A `row_step` of 0 is corrected to width * point_step.
        """
        return cls(
            fields=tuple(
                PointField(field.name, field.offset, field.datatype, field.count)
                for field in message.fields
            ),
            height=message.height,
            width=message.width,
            point_step=message.point_step,
            row_step=message.row_step or message.width * message.point_step,
            big_endian=bool(message.is_bigendian),
        )

    def __post_init__(self) -> None:
        for name in ("height", "width", "point_step"):
            if getattr(self, name) < 1:
                raise CloudError(f"the cloud's {name} is {getattr(self, name)}; it must be above 0")
        if self.row_step < self.width * self.point_step:
            raise CloudError(
                f"the cloud's row_step is {self.row_step}; it must be at least width * point_step, "
                f"{self.width * self.point_step}"
            )
        names: set[str] = set()
        for field in self.fields:
            self._check(field)
            if field.name in names and field.name in FIELDS_READ:
                raise CloudError(f"the cloud has two fields {field.name!r}; names must differ")
            names.add(field.name)

    def field(self, name: str) -> PointField | None:
        """The field with this name, or None."""
        return next((field for field in self.fields if field.name == name), None)

    def _check(self, field: PointField) -> None:
        if field.datatype not in SIZES:
            raise CloudError(
                f"the cloud's field {field.name!r} has datatype {field.datatype}; it must be 1 to 8"
            )
        end = field.offset + SIZES[field.datatype] * max(field.count, 1)
        if field.offset < 0 or field.count < 0 or end > self.point_step:
            raise CloudError(
                f"the cloud's field {field.name!r} takes bytes {field.offset} to {end} of a point; "
                f"they must lie within its point_step of {self.point_step}"
            )
