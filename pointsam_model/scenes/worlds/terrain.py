"""Ground that rises and falls around a LiDAR, made by bending its rays instead of the world.

The height of the ground over the plane of the sensor's feet is the distance times a slope that
depends on the direction: tilted planes, saddles, hollows. Along one direction that is a shear, and
shears keep rays straight: a ray of direction d meets the sheared world where d - slope |d_xy| z
meets the flat one, at the same parameter. So ranges and rings stay exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor


@dataclass(frozen=True)
class Terrain:
    """Slopes by direction: hollow + tilt cos(a - tilt_at) + saddle cos(2 a - saddle_at)."""

    hollow: float = 0.0
    tilt: float = 0.0
    tilt_at: float = 0.0  # rad
    saddle: float = 0.0
    saddle_at: float = 0.0  # rad

    def slope(self, azimuth: Tensor) -> Tensor:
        """Rise over distance in directions `azimuth` [rad] of the world."""
        waves = self.tilt * torch.cos(azimuth - self.tilt_at)
        return self.hollow + waves + self.saddle * torch.cos(2 * azimuth - self.saddle_at)

    @property
    def steepest(self) -> float:
        """No slope is more, up or down."""
        return abs(self.hollow) + abs(self.tilt) + abs(self.saddle)

    def bent(self, rays: Tensor, up: Tensor) -> Tensor:
        """Rays (3,h,w) in the sensor's frame as they go through the flat world.

        up (3,3): world to sensor; its last column is the world's up direction.
        """
        x, y, _ = torch.einsum("ij,ihw->jhw", up, rays)
        lift = self.slope(torch.atan2(y, x)) * torch.hypot(x, y)
        return rays - lift * up[:, 2, None, None]


FLAT = Terrain()


def draw_terrain(rng: Random) -> Terrain:
    """Flat in some places, rising and falling by up to some 8 % in others."""
    if rng.random() < 0.35:
        return FLAT
    return Terrain(
        rng.gauss(0, 0.012),
        abs(rng.gauss(0, 0.015)),
        rng.uniform(0, 2 * math.pi),
        abs(rng.gauss(0, 0.015)),
        rng.uniform(0, 2 * math.pi),
    )
