"""Errors for callers; each message names the value and what is accepted."""


class PointSamError(ValueError):
    """Base class of this package's errors, except `CancelledError`."""


class CloudError(PointSamError):
    """A cloud cannot be used: malformed, empty, without valid points, or too small."""


class CloudWarning(UserWarning):
    """A cloud can be used, but is probably in millimetres."""


class PromptError(PointSamError):
    """A prompt cannot be answered: wrong shape, label, number or box, or another cloud's mask."""


class TooFarError(PromptError):
    """A click is too far from every point, or a box contains none."""


class CheckpointError(PointSamError):
    """A checkpoint does not fit the model, or cannot be read."""


class ConfigError(PointSamError):
    """A setting is unknown, or its value has the wrong type or is out of range."""


class OutOfMemory(PointSamError):
    """The device has too little memory, even for the smallest batch."""


class CancelledError(Exception):
    """The caller cancelled the work; nothing is wrong."""
