"""Claims: a box or a mask of the source, converted to a mask prompt and a click."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree  # type: ignore[import-untyped]
from torch import Tensor

from pointsam_model.device.transfer import sent
from pointsam_model.errors import PromptError
from pointsam_model.segment.embedding import Embedding
from pointsam_model.segment.prediction import SURE


def prior_logits(claimed: NDArray[np.bool_], embedding: Embedding) -> Tensor:
    """The claim as logits (m,) over the kept points, on the model's device.

    A kept point that stands for several source points gets a logit from -SURE (none of them
    is claimed) to SURE (all are).

    Args:
        claimed: (n,) bool, from `Prompt.claimed`.

    Raises:
        PromptError: all claimed points were cropped away or are out of range.
    """
    nearest = embedding.kept.kept.nearest
    places = nearest[sent(np.flatnonzero(claimed), nearest.device)].long()
    places = places[places >= 0]
    if len(places) == 0:
        raise PromptError(
            "every point of the prompt is outside the crop box or out of range (reduction)"
        )
    counts = torch.zeros(len(embedding.kept), device=nearest.device)
    counts.scatter_add_(0, places, torch.ones_like(places, dtype=torch.float32))
    share = counts / embedding.source_counts.clamp_min(1)
    return SURE * (2 * share - 1)


def innermost_click(claimed: NDArray[np.bool_], embedding: Embedding) -> NDArray[np.float64]:
    """The claimed source point deepest inside the claim: (3,) float64 [m].

    That is the one farthest from the points that are not claimed. If hardly any of those are near
    (the whole cloud is claimed, or the object stands alone), it is the one nearest to the claim's
    median instead.

    Args:
        claimed: (n,) bool, from `Prompt.claimed`.

    Raises:
        PromptError: see `prior_logits`.
    """
    inside = prior_logits(claimed, embedding).cpu().numpy() > 0
    kept = embedding.kept
    points = kept.points.astype(np.float64)
    if not inside.any():  # no kept point has most of its source points claimed
        rows = np.flatnonzero(claimed & (kept.nearest >= 0))
        xyz = embedding.cloud.xyz[rows].astype(np.float64)
        return np.asarray(xyz[_middle(xyz)])
    mine = points[inside]
    depth = np.zeros(len(mine))
    if not inside.all():
        depth = cKDTree(points[~inside]).query(mine)[0]
    middle = _middle(mine)
    extent = np.linalg.norm(np.ptp(mine, axis=0))
    chosen = middle if inside.all() or depth.max() > extent else int(depth.argmax())
    row = kept.rows[np.flatnonzero(inside)[chosen]]
    return np.asarray(embedding.cloud.xyz[row], np.float64)


def _middle(points: NDArray[np.float64]) -> int:
    """Index of the point, of (k, 3), nearest to their median."""
    return int(np.square(points - np.median(points, axis=0)).sum(axis=1).argmin())
