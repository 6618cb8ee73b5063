"""Points sorted along a space-filling curve, in buckets of 32 with bounding boxes, for kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pointsam_model.ops.launching import Launcher

SIZE = 32  # points per bucket: one per thread of a warp


@dataclass(frozen=True)
class Buckets:
    """A cloud sorted into buckets by `kernels/buckets.cu`.

    Attributes:
        points: (n,4) float32, sorted: x, y, z and the bits of the source row as an int32.
        boxes: (ceil(n/32),6) float32, least x, y, z and greatest x, y, z of each bucket.
        codes: (n,) int32, ascending: position along the curve.
        low, high: (3,) float32, the bounding box that the curve fills.
    """

    points: Tensor
    boxes: Tensor
    codes: Tensor
    low: Tensor
    high: Tensor

    @property
    def size(self) -> int:
        return len(self.points)


def in_buckets(cloud: Tensor, launcher: Launcher) -> Buckets:
    """Sorts a cloud (n,3) float32, contiguous, n at least 1, into buckets."""
    n = len(cloud)
    low, high = cloud.amin(0), cloud.amax(0)
    codes = torch.empty(n, dtype=torch.int32, device=cloud.device)
    launcher.launch("morton_codes", (_blocks(n, 256), 1), 256, cloud, np.int32(n), low, high, codes)
    codes, order = codes.sort(stable=True)
    points = cloud.new_empty(n, 4)
    boxes = cloud.new_empty(-(-n // SIZE), 6)
    launcher.launch(
        "make_buckets", (_blocks(n, 256), 1), 256, cloud, order, np.int32(n), points, boxes
    )
    return Buckets(points, boxes, codes, low, high)


def _blocks(n: int, threads: int) -> int:
    return -(-n // threads)
