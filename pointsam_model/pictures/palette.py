"""Colours of objects: far apart, bright on dark grey, the same for the same number."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

_FIRST = (
    (0.98, 0.32, 0.26),
    (0.20, 0.62, 1.00),
    (1.00, 0.78, 0.10),
    (0.25, 0.80, 0.40),
    (0.80, 0.40, 0.95),
    (1.00, 0.55, 0.10),
    (0.15, 0.85, 0.85),
    (1.00, 0.45, 0.70),
    (0.65, 0.85, 0.15),
    (0.50, 0.50, 1.00),
)
_OTHER = ((0.5, 1.0), (0.95, 0.75), (0.7, 0.55))  # saturation and value of the colours after these
_GOLDEN = 0.618033988749895


def color_of(index: int) -> NDArray[np.float64]:
    """(3,) red, green, blue from 0 to 1, of object 0, 1, 2, ..."""
    if index < len(_FIRST):
        return np.array(_FIRST[index])
    hue = index * _GOLDEN % 1.0
    saturation, value = _OTHER[index % len(_OTHER)]
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value))
