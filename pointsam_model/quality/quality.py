"""The score that knows: the IoU that a candidate mask probably has, and whether it is an object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pointsam_model.errors import CheckpointError
from pointsam_model.geometry import Partition
from pointsam_model.nn.estimator import Estimator
from pointsam_model.quality.candidates import Pool
from pointsam_model.quality.features import FEATURES, Surroundings, features_of

WEIGHTS = Path(__file__).parents[1] / "weights"
QUALITY = WEIGHTS / "quality.safetensors"  # of the weights that come with this package
QUALITY_ANY = WEIGHTS / "quality_any.safetensors"  # knows nothing of a checkpoint's scores
BESIDE = ".quality.safetensors"  # in the place of .safetensors: the one of a checkpoint
OUTPUTS = 3  # the numbers of `Judged`
DIFFERENT = 0.8  # IoU of two masks below which both are worth showing


@dataclass(frozen=True)
class Judged:
    """What is thought of the candidates of a pool.

    Attributes:
        choice: (c,) float32, the greater, the better in this pool; of no meaning beyond it.
        iou: (c,) float32, the IoU with what was meant: as probably more as less (the median).
        object: (c,) float32, the IoU with the object that fits it best: low for a part of an object
            or of what objects stand on.
    """

    choice: NDArray[np.float32]
    iou: NDArray[np.float32]
    object: NDArray[np.float32]


class Quality:
    """Judges candidates.

    Args:
        estimator: of the features of candidates.
    """

    def __init__(self, estimator: Estimator) -> None:
        self.estimator = estimator

    def judge(self, pool: Pool, partition: Partition, around: Surroundings) -> Judged:
        """What is thought of each candidate."""
        features = torch.from_numpy(features_of(pool, partition, around))
        with torch.inference_mode():
            logits = self.estimator.logits(features)
            choice, (iou, thing) = logits[:, 0].numpy(), logits[:, 1:].sigmoid().numpy().T
        return Judged(choice, iou, thing)


def best_different(
    masks: NDArray[np.bool_], choice: NDArray[np.float32], weight: NDArray[np.float32], most: int
) -> list[int]:
    """The masks (c,m) of greatest choice that differ from each other, at most so many, best
    first."""
    chosen: list[int] = []
    for row in np.argsort(-choice, kind="stable").tolist():
        own = masks[row]
        if all(_iou(own, masks[other], weight) < DIFFERENT for other in chosen):
            chosen.append(row)
        if len(chosen) == most:
            break
    return chosen


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_], weight: NDArray[np.float32]) -> float:
    return float(weight[a & b].sum() / max(weight[a | b].sum(), 1e-9))


@cache
def shipped_quality() -> Quality:
    """The one that was fitted for the weights that come with this package."""
    return Quality(Estimator.read(QUALITY, FEATURES, OUTPUTS))


@cache
def _quality_of_any() -> Quality:
    return Quality(Estimator.read(QUALITY_ANY, FEATURES, OUTPUTS))


def quality_of(checkpoint: Path | None) -> Quality:
    """The one for a network whose weights come from a file; None: from nowhere.

    The shipped weights have theirs. Others have the one that lies beside them, as `pointsam fit
    quality` makes it: `a.quality.safetensors` beside `a.safetensors`. Without it they get one that
    goes by the masks alone, and not by how sure the network says it is of them.

    Raises:
        CheckpointError: the file beside the checkpoint is none, or was made for other numbers.
    """
    if checkpoint is None:
        return _quality_of_any()
    if checkpoint.resolve().parent == WEIGHTS.resolve():
        return shipped_quality()
    beside = checkpoint.with_name(checkpoint.name.removesuffix(".safetensors") + BESIDE)
    if not beside.exists():
        return _quality_of_any()
    try:
        return Quality(Estimator.read(beside, FEATURES, OUTPUTS))
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}. It lies beside {checkpoint.name} to score its masks: fit a new one "
            "(pointsam fit quality --checkpoint), or remove it; masks are then scored "
            "without the network's own scores"
        ) from error
