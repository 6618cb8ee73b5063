"""Why a request is not answered: a code of SegmentPrompts, and a message: what to change."""

from __future__ import annotations

from enum import IntEnum

from pointsam_interfaces.srv import SegmentPrompts
from pointsam_model.errors import CloudError, OutOfMemory, PromptError, TooFarError

_Response = SegmentPrompts.Response


class Code(IntEnum):
    """The result codes of SegmentPrompts.srv."""

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


class Refusal(Exception):
    """A request that is answered with a code and a message instead of masks."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def refusal_of(error: BaseException) -> Refusal:
    """The refusal that tells a client of `error`; FAILED where nobody foresaw it."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, TooFarError):
        return Refusal(Code.TOO_FAR, str(error))
    if isinstance(error, PromptError):
        return Refusal(Code.BAD_REQUEST, str(error))
    if isinstance(error, CloudError):
        return Refusal(Code.BAD_CLOUD, str(error))
    if isinstance(error, OutOfMemory):
        return Refusal(Code.OVERLOADED, str(error))
    return Refusal(
        Code.FAILED,
        f"{type(error).__name__}: {error}; the log of the node has the details",
    )
