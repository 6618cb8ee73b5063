"""How kinds of depth cameras blur and scatter what they measure, one image at a time.

Structured light (Kinect v1) matches a pattern, stereo matches texture over windows of pixels,
time of flight averages all light that comes back to a pixel. Images are (h,w), depths in metres,
inf where nothing is; windows are odd numbers of pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

STRUCTURED_LIGHT, STEREO, TIME_OF_FLIGHT = range(3)
BLANK = 0.08  # hardness of a surface that only gives stereo nothing to match
_CORNER_PX = 23  # how far light of a neighbouring wall disturbs, in an image 640 wide


def window_of(length_px: float, pixel: float) -> int:
    """Odd window [pixels] of a length given for an image 640 wide, `pixel` of this one's to one."""
    return 2 * round(length_px * pixel / 2) + 1


def losses(kind: Tensor, hard: Tensor, blank_loss: Tensor) -> Tensor:
    """Share of points lost by the material, for kinds, hardness (see `Look`) and losses (b,h,w).

    blank_loss: share that stereo loses on a surface without texture.
    """
    stereo = torch.where(hard > 0, blank_loss + (1 - blank_loss) * hard, 0.0)
    return torch.where(kind == STEREO, stereo, ((hard - BLANK) / (1 - BLANK)).clamp_min(0))


def matched_by_windows(depth: Tensor, window: int) -> Tensor:
    """Stereo: the mean disparity of a window, so edges become ramps and corners round."""
    return 1 / _mean(1 / depth, torch.isfinite(depth), window)


def mixed_light(depth: Tensor, window: int, multipath: float, pixel: float) -> Tensor:
    """Time of flight: the mean depth of a pixel's footprint, and filled concave corners.

    multipath: share of a corner's depth below its surroundings that is lost to light that came
    over the other wall.
    """
    seen = torch.isfinite(depth)
    mixed = _mean(depth, seen, window)
    below = (depth - _mean(depth, seen, window_of(_CORNER_PX, pixel))).clamp_min(0)
    # Behind an edge it is another surface that is nearer: no corner.
    corner = torch.where(below < 0.02 * depth, below, 0.0)
    return mixed - multipath * corner


def matched_noise(normal: Tensor, window: int) -> Tensor:
    """Standard normal numbers that neighbours within a window share, as matches do."""
    shared = _mean(normal, torch.ones_like(normal, dtype=torch.bool), window)
    return shared * window


def light_noise(normal: Tensor, depth: Tensor, cosine: Tensor, hard: Tensor) -> Tensor:
    """Normal numbers that grow with less light: standard at 1 m on a bright wall face on.

    To be multiplied by depth^2 as other kinds' noise; the light of a flash falls off with it.
    """
    light = (cosine * (1 - hard)).clamp_min(0.05)
    return normal / (light.sqrt() * depth.clamp_min(0.2))


def _mean(values: Tensor, seen: Tensor, window: int) -> Tensor:
    """Mean of the seen pixels in a window around each, of seen ones; the others as they are."""
    pool = torch.nn.functional.avg_pool2d
    weight = pool(seen.float()[None, None], window, 1, window // 2)
    total = pool(torch.where(seen, values, 0.0)[None, None], window, 1, window // 2)
    mean = (total / weight.clamp_min(1e-6))[0, 0]
    return torch.where(seen, mean, values)
