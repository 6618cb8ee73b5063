"""Messages and requests as no honest client sends them: real ones, changed at random.

Everything here changes its message in place, and draws from one generator, so that a seed gives the
same messages again.
"""

from __future__ import annotations

import array
import math
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from pointsam_interfaces.action import ProposeInstances
from pointsam_interfaces.msg import ObjectBox
from pointsam_interfaces.srv import SegmentPrompts
from pointsam_model.errors import CloudError
from pointsam_ros.clouds import cloud_msgs

NUMBERS = (0, 1, 2, 3, 7, 255, 65_536, 10**6, 2**31 - 1, 2**31, 2**32 - 1)
NAMES = ("", "x", "y", "z", "X", "rgb", "rgba", "r", "instance_id", "点", "a b\n", "n" * 5_000)
FRAMES = ("", "sensor", "map", "/sensor", "センサー", "🤖 \t\n%s{}", "f" * 10_000)
SECONDS = (0, 1, -1, -(2**31), 2**31 - 1, 1_700_000_000)
NANOSECONDS = (0, 1, 999_999_999, 10**9, 2**32 - 1)
VALUES = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-45, 1e-20, 1e19, 3.4e38, -3.4e38, 1e6)
SESSIONS = ("", "", "a", "b", "c", "名前", "s" * 10_000)

CloudMutation = Callable[[PointCloud2, Random], None]


def mutated_cloud(msg: PointCloud2, rng: Random) -> PointCloud2:
    """A copy of a message with up to four changes, all drawn at random."""
    new = _copy(msg)
    for mutation in rng.choices(CLOUD_MUTATIONS, k=rng.choice((1, 1, 1, 2, 3, 4))):
        mutation(new, rng)
    return new


def mutate_request(request: SegmentPrompts.Request, rng: Random) -> None:
    """Up to three changes of a request, all drawn at random; its cloud stays."""
    for mutation in rng.choices(REQUEST_MUTATIONS, k=rng.choice((1, 1, 2, 3))):
        mutation(request, rng)


def mutate_goal(goal: ProposeInstances.Goal, rng: Random) -> None:
    """Other numbers and header of a goal; its cloud stays."""
    goal.max_instances = rng.choice(NUMBERS)
    goal.min_score = float(rng.choice((0.0, 0.5, 1.0, -1.0, 2.0, *VALUES)))
    if rng.random() < 0.3:
        goal.header = odd_header(rng)


def odd_header(rng: Random) -> Header:
    """Any coordinate frame, any time."""
    stamp = Time(sec=rng.choice(SECONDS), nanosec=rng.choice(NANOSECONDS))
    return Header(frame_id=rng.choice(FRAMES), stamp=stamp)


# Clouds: what they declare.


def _number(msg: PointCloud2, rng: Random) -> None:
    name = rng.choice(("width", "height", "point_step", "row_step"))
    setattr(msg, name, _other(getattr(msg, name), rng))


def _huge(msg: PointCloud2, rng: Random) -> None:
    """Consistent in itself, but of the size of a warehouse; the data stays small."""
    msg.width, msg.height = rng.choice(((2**16, 2**16), (2**31, 1), (2**28, 3)))
    msg.row_step = msg.width * msg.point_step % 2**32


def _transposed(msg: PointCloud2, rng: Random) -> None:
    msg.width, msg.height = msg.height, msg.width


def _byte_order(msg: PointCloud2, rng: Random) -> None:
    msg.is_bigendian = not msg.is_bigendian


def _denseness(msg: PointCloud2, rng: Random) -> None:
    msg.is_dense = not msg.is_dense


def _header(msg: PointCloud2, rng: Random) -> None:
    msg.header = odd_header(rng)


# Clouds: their fields.


def _field(msg: PointCloud2, rng: Random) -> None:
    if not msg.fields:
        return
    field = rng.choice(msg.fields)
    what = rng.choice(("name", "offset", "datatype", "count"))
    if what == "name":
        field.name = rng.choice(NAMES)
    elif what == "datatype":
        field.datatype = rng.randrange(256) if rng.random() < 0.3 else rng.randint(1, 8)
    else:
        setattr(field, what, _other(getattr(field, what), rng))


def _field_gone(msg: PointCloud2, rng: Random) -> None:
    if msg.fields:
        del msg.fields[rng.randrange(len(msg.fields))]


def _field_twice(msg: PointCloud2, rng: Random) -> None:
    if msg.fields:
        msg.fields.append(_copy_of(rng.choice(msg.fields)))


def _fields_shuffled(msg: PointCloud2, rng: Random) -> None:
    rng.shuffle(msg.fields)


def _many_fields(msg: PointCloud2, rng: Random) -> None:
    msg.fields += [
        PointField(name=f"extra{number}", offset=0, datatype=PointField.UINT8, count=1)
        for number in range(rng.choice((1, 10, 500)))
    ]


# Clouds: their data.


def _shorter(msg: PointCloud2, rng: Random) -> None:
    size = len(msg.data)
    msg.data = msg.data[: rng.choice((0, 1, size // 2, max(size - 1, 0)))]


def _longer(msg: PointCloud2, rng: Random) -> None:
    msg.data = msg.data + array.array("B", rng.randbytes(rng.choice((1, 7, 64, 4_096))))


def _flipped_bits(msg: PointCloud2, rng: Random) -> None:
    if not len(msg.data):
        return
    for _ in range(rng.choice((1, 10, 500))):
        msg.data[rng.randrange(len(msg.data))] ^= 1 << rng.randrange(8)


def _noise(msg: PointCloud2, rng: Random) -> None:
    msg.data = array.array("B", rng.randbytes(len(msg.data)))


def _zeros(msg: PointCloud2, rng: Random) -> None:
    msg.data = array.array("B", bytes(len(msg.data)))


def _all_equal(msg: PointCloud2, rng: Random) -> None:
    step, size = msg.point_step, len(msg.data)
    if 0 < step <= size:
        msg.data = (msg.data[:step] * (size // step + 1))[:size]


def _coordinates(msg: PointCloud2, rng: Random) -> None:
    """Numbers that are none, or too large, at some or all points; where coordinates can be read."""
    try:
        layout = cloud_msgs.layout_of(msg)
    except CloudError:
        return
    data = np.frombuffer(msg.data, np.uint8).reshape(layout.height, layout.row_step)
    chosen = np.flatnonzero(
        np.random.default_rng(rng.getrandbits(32)).random(layout.height * layout.width)
        < rng.choice((0.001, 0.1, 0.9, 1.0))
    )
    for axis in rng.choice(("x", "y", "z", "xyz")):
        field = layout.field(axis)
        assert field is not None  # the layout was checked
        kind = cloud_msgs.TYPES[field.datatype].newbyteorder(">" if layout.big_endian else "<")
        with np.errstate(all="ignore"):
            bits = np.array([rng.choice(VALUES)]).astype(kind).view(np.uint8)
        starts = chosen % layout.width * layout.point_step + field.offset
        for number, byte in enumerate(bits):
            data[chosen // layout.width, starts + number] = byte


def _few_points(msg: PointCloud2, rng: Random) -> None:
    """Right in every number, with fewer points than a patch has."""
    count = rng.choice((1, 2, 3, 4, 10, 33))
    if msg.point_step and len(msg.data) >= count * msg.point_step:
        msg.height, msg.width, msg.row_step = 1, count, count * msg.point_step
        msg.data = msg.data[: msg.row_step]


def _empty(msg: PointCloud2, rng: Random) -> None:
    msg.width, msg.height, msg.row_step = 0, rng.choice((0, 1)), 0
    msg.data = array.array("B")
    if rng.random() < 0.5:
        msg.fields = []


CLOUD_MUTATIONS: tuple[CloudMutation, ...] = (
    _number, _huge, _transposed, _byte_order, _denseness, _header,
    _field, _field_gone, _field_twice, _fields_shuffled, _many_fields,
    _shorter, _longer, _flipped_bits, _noise, _zeros, _all_equal, _coordinates, _few_points, _empty,
)  # fmt: skip


# Requests.


def _labels(request: SegmentPrompts.Request, rng: Random) -> None:
    count = rng.choice((0, 1, len(request.points), len(request.points) + 1, 300))
    request.labels = [rng.choice((0, 1, 1, 1, 2, 255)) for _ in range(count)]


def _object_ids(request: SegmentPrompts.Request, rng: Random) -> None:
    count = rng.choice((0, 1, len(request.points), len(request.points) + 1, 300))
    request.object_ids = [rng.choice((0, 1, 2, 3, 2**32 - 1)) for _ in range(count)]


def _clicks(request: SegmentPrompts.Request, rng: Random) -> None:
    if not request.points:
        return
    point, axis = rng.choice(request.points), rng.choice("xyz")
    setattr(point, axis, float(rng.choice((*VALUES, 1e308, -1e308))))


def _count(request: SegmentPrompts.Request, rng: Random) -> None:
    count = rng.choice((0, 2, 17, 256, 257, 5_000))
    known = list(request.points) or [Point()]
    request.points = [rng.choice(known) for _ in range(count)]


def _session(request: SegmentPrompts.Request, rng: Random) -> None:
    request.session = rng.choice(SESSIONS)


def _request_header(request: SegmentPrompts.Request, rng: Random) -> None:
    request.header = odd_header(rng)


def _wishes(request: SegmentPrompts.Request, rng: Random) -> None:
    request.multimask, request.return_points = rng.random() < 0.5, rng.random() < 0.5


def _boxes(request: SegmentPrompts.Request, rng: Random) -> None:
    """Boxes about the clicks, and some that are none."""
    for point in [*request.points, Point()][: rng.choice((1, 1, 2, 300))]:
        box = ObjectBox(object_id=rng.choice((0, 1, 1, 2, 3, 2**32 - 1)))
        box.pose.position = Point(x=point.x, y=point.y, z=point.z)
        for axis in "xyz":
            setattr(box.size, axis, rng.uniform(0.01, 2.0))
        odd, axis = (
            rng.choice((box.pose.position, box.pose.orientation, box.size)),
            rng.choice("xyz"),
        )
        if rng.random() < 0.5:
            setattr(odd, axis, float(rng.choice((*VALUES, 1e308, -1e308))))
        if rng.random() < 0.2:
            box.pose.orientation.w = 0.0
        request.boxes.append(box)


REQUEST_MUTATIONS = (
    _labels,
    _object_ids,
    _clicks,
    _count,
    _session,
    _request_header,
    _wishes,
    _boxes,
)


def _other(value: int, rng: Random) -> int:
    near = (value - 1, value + 1, 2 * value, value // 2)
    return rng.choice((*NUMBERS, *near, rng.getrandbits(32))) % 2**32


def _copy(msg: PointCloud2) -> PointCloud2:
    names = ("height", "width", "is_bigendian", "point_step", "row_step", "is_dense")
    new = PointCloud2(**{name: getattr(msg, name) for name in names})
    new.header = Header(frame_id=msg.header.frame_id, stamp=msg.header.stamp)
    new.fields = [_copy_of(field) for field in msg.fields]
    new.data = msg.data[:]
    return new


def _copy_of(field: Any) -> PointField:
    return PointField(
        name=field.name, offset=field.offset, datatype=field.datatype, count=field.count
    )
