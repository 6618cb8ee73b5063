"""What can be wrong with what a caller gives us; messages name the value and what is right."""


class PointSamError(ValueError):
    """Root of all refusals of this package."""


class CloudError(PointSamError):
    """A cloud that cannot be used: malformed, empty, without finite points, too small."""


class CloudWarning(UserWarning):
    """A cloud that can be used, but is probably not what was meant: millimetres."""


class PromptError(PointSamError):
    """A prompt that cannot be answered: wrong shape, label, number, box, mask of another cloud."""


class TooFarError(PromptError):
    """A click that is farther from every point than a click may be, or a box that holds none."""


class CheckpointError(PointSamError):
    """A file of weights that is not what the model needs."""


class ConfigError(PointSamError):
    """A setting whose value is of the wrong type, out of range, or unknown."""


class OutOfMemory(PointSamError):
    """Work for which the device's memory does not suffice, however small its batches."""


class CancelledError(Exception):
    """Work that its caller has called off; nothing is wrong."""
