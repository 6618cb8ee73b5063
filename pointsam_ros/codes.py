"""The result codes of requests, by name."""

from __future__ import annotations

from enum import IntEnum

from pointsam_interfaces.srv import SegmentPrompts

_Response = SegmentPrompts.Response


class Code(IntEnum):
    """The codes of SegmentPrompts.srv; see there."""

    OK = _Response.OK
    BAD_REQUEST = _Response.BAD_REQUEST
    NO_CLOUD = _Response.NO_CLOUD
    BAD_CLOUD = _Response.BAD_CLOUD
    NO_TRANSFORM = _Response.NO_TRANSFORM
    TOO_FAR = _Response.TOO_FAR
    SESSION_LOST = _Response.SESSION_LOST
    NOT_READY = _Response.NOT_READY
    OVERLOADED = _Response.OVERLOADED
    FAILED = _Response.FAILED
