"""foxglove.PointCloud, as Foxglove's SDK writes it into MCAP files: JSON or protobuf.

https://docs.foxglove.dev/docs/sdk/schemas/point-cloud
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsam_model.cloud.cloud import Cloud, CloudLayout, PointField
from pointsam_model.data.clouds import SensorCloud
from pointsam_model.errors import CloudError
from pointsam_model.segment.box_prompts import rotation_of

POINT_CLOUD = "foxglove.PointCloud"
NEEDED = "foxglove.PointCloud as protobuf needs a library: pip install mcap-protobuf-support"

# From Foxglove's NumericType (UINT8, INT8, UINT16, INT16, UINT32, INT32, FLOAT32, FLOAT64) to the
# datatype of PointField, which begins with INT8.
_DATATYPES = {1: 2, 2: 1, 3: 4, 4: 3, 5: 6, 6: 5, 7: 7, 8: 8}


def cloud_from_json(data: Any, name: str) -> SensorCloud:
    """A cloud from a message in JSON, its data in base64.

    Raises:
        CloudError: malformed, empty, or without a valid point.
    """
    try:
        message = json.loads(bytes(data))
        pose, stamp = message.get("pose") or {}, message.get("timestamp") or {}
        place, turn = pose.get("position") or {}, pose.get("orientation") or {}
        return _cloud(
            name,
            base64.b64decode(message["data"], validate=True),
            [(field["name"], field["offset"], field["type"]) for field in message["fields"]],
            message["point_stride"],
            message.get("frame_id", ""),
            stamp.get("sec", 0) * 1_000_000_000 + stamp.get("nsec", 0),
            [place.get(axis, 0.0) for axis in "xyz"],
            [turn.get(axis, 0.0) for axis in "xyzw"],
        )
    except CloudError:
        raise
    except Exception as error:  # anything may stand in it
        raise CloudError(f"no {POINT_CLOUD} in JSON: {type(error).__name__}: {error}") from error


def missing_library() -> str:
    """What has to be installed before protobuf can be read; empty: nothing."""
    return "" if find_spec("mcap_protobuf") else NEEDED


def protobuf_reader(schema: Any) -> Callable[[Any, str], SensorCloud]:
    """What makes clouds from messages in protobuf, defined by an MCAP file's schema record."""
    from mcap_protobuf.decoder import DecoderFactory

    factory = DecoderFactory()

    def cloud_from_protobuf(data: Any, name: str) -> SensorCloud:
        try:
            decode = factory.decoder_for("protobuf", schema)
            if decode is None:
                raise CloudError(f"its schema is in {schema.encoding!r}; it must be protobuf")
            message = decode(bytes(data))
            place, turn = message.pose.position, message.pose.orientation
            return _cloud(
                name,
                message.data,
                [(field.name, field.offset, field.type) for field in message.fields],
                message.point_stride,
                message.frame_id,
                message.timestamp.seconds * 1_000_000_000 + message.timestamp.nanos,
                [place.x, place.y, place.z],
                [turn.x, turn.y, turn.z, turn.w],
            )
        except CloudError:
            raise
        except Exception as error:  # anything may stand in it, in its schema too
            raise CloudError(
                f"no {POINT_CLOUD} in protobuf: {type(error).__name__}: {error}"
            ) from error

    return cloud_from_protobuf


def _cloud(
    name: str,
    data: bytes,
    fields: Sequence[tuple[str, int, int]],
    stride: int,
    frame_id: str,
    stamp_ns: int,
    position: Sequence[float],
    orientation: Sequence[float],
) -> SensorCloud:
    unknown = [f"{field} ({kind})" for field, _, kind in fields if kind not in _DATATYPES]
    if unknown:
        raise CloudError(f"fields with unknown numeric types: {', '.join(unknown)}; 1 to 8 are")
    if stride < 1 or len(data) % stride:
        raise CloudError(f"point_stride is {stride}; it must divide the {len(data)} bytes of data")
    width = len(data) // stride
    layout = CloudLayout(
        tuple(PointField(field, offset, _DATATYPES[kind]) for field, offset, kind in fields),
        height=1,
        width=width,
        point_step=stride,
        row_step=width * stride,
    )
    cloud = Cloud.from_buffer(data, layout)
    xyz = _posed(cloud, np.array(position, np.float64), np.array(orientation, np.float64))
    return SensorCloud(xyz, cloud.rgb, 1, width, name, frame_id=frame_id, stamp_ns=stamp_ns)


def _posed(
    cloud: Cloud, position: NDArray[np.float64], orientation: NDArray[np.float64]
) -> NDArray[Any]:
    """(n,3) the points in the frame of reference [m]; NaN where the sensor saw nothing."""
    if not (np.isfinite(position).all() and np.isfinite(orientation).all()):
        raise CloudError(f"its pose is {position} {orientation}; it must be finite")
    turn = rotation_of(orientation) if orientation.any() else np.eye(3)  # 0: none was given
    if not position.any() and np.array_equal(turn, np.eye(3)):
        return cloud.xyz
    xyz = np.full((cloud.size, 3), np.nan)
    xyz[cloud.valid] = cloud.xyz[cloud.valid].astype(np.float64) @ turn.T + position
    return xyz
