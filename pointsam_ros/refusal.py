"""Why a request is refused: a code of SegmentPrompts, and a message that says what to change."""

from __future__ import annotations

import traceback

from pointsam_model.errors import CloudError, OutOfMemory, PromptError, TooFarError
from pointsam_ros.codes import Code


class Refusal(Exception):
    """A request that is answered with a code and a message instead of masks."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def forget_frames(error: BaseException) -> None:
    """Drops the tracebacks of an error and its causes.

    Their frames reference clouds and sessions, and, through the future of an answer, the error
    itself. Such cycles stay until the garbage collector runs, which is rare next to a large model.
    """
    known: set[int] = set()
    told: list[BaseException | None] = [error]
    while told:
        one = told.pop()
        if one is not None and id(one) not in known:
            known.add(id(one))
            one.__traceback__ = None
            told += [one.__cause__, one.__context__]


def trace_of(error: BaseException) -> str:
    """The traceback of an error, for the log."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def refusal_of(error: BaseException) -> Refusal:
    """Converts an error to a refusal for the client; FAILED if it was not foreseen."""
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
