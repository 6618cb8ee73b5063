"""What is asked of an embedded cloud, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointsam_model import ops
from pointsam_model.cloud.reduction import Ball
from pointsam_model.device.batches import in_one
from pointsam_model.device.transfer import fetched
from pointsam_model.errors import PromptError, TooFarError
from pointsam_model.instances.boxes import OrientedBox
from pointsam_model.instances.overlaps import to_host
from pointsam_model.segment.box_prompts import Box

if TYPE_CHECKING:
    from pointsam_model.cloud.cloud import Cloud
    from pointsam_model.segment.embedding import Embedding

STABILITY_OFFSET = 1.0  # logits above and below the threshold that a stable mask does not notice


@dataclass(frozen=True)
class Prompt:
    """One object, told by clicks, by a box, by a mask, or by several of them.

    Attributes:
        points: (q, 3), clicks in the cloud's coordinate frame [m]; none are needed beside a box or
            a mask of the source.
        labels: (q,), 1 on the object, 0 off it; None: all on it.
        mask: an earlier `Prediction` of one mask on the same cloud (`prediction.best()`), its
            `prompt()`, or its logits (m,) over the kept points. Or a mask of the source, as a
            detector in the camera's image gives one: bool or float, (n,), or (h, w) of an organised
            cloud, n = h * w; a float above 0 is in the mask where some are negative (logits), else
            one above 0.5 (probabilities). None: no mask prompt.
        multimask: True: up to three masks, for an ambiguous click; False: one; None: up to three
            for a single click without a mask or a box, else one.
        box: a `Box`, an instance's `OrientedBox`, or two opposite corners ((x, y, z), (x, y, z))
            [m] along the axes; None: none.
        name: what messages call it; empty: its place among several.
    """

    points: npt.ArrayLike | None = None
    labels: npt.ArrayLike | None = None
    mask: Prediction | MaskPrompt | npt.ArrayLike | None = None
    multimask: bool | None = None
    box: Box | OrientedBox | npt.ArrayLike | None = None
    name: str = ""

    def claimed(self, cloud: Cloud) -> NDArray[np.bool_] | None:
        """The source's points that box and mask of the source together claim.

        Returns:
            (n,) bool, valid points inside the box and in the mask; None: the prompt has neither. A
            mask over kept points (a prediction's, or logits of another length) is no claim.

        Raises:
            PromptError: no box, no mask of this source, or no valid point in the mask.
            TooFarError: no valid point in the box (and the mask).
        """
        box = None if self.box is None else Box.of(self.box)
        mask = mask_of_source(self.mask, cloud.size, cloud.width)
        if box is None and mask is None:
            return None
        claimed = cloud.valid.copy()
        if mask is not None:
            claimed &= mask
            if not claimed.any():
                raise PromptError(
                    "the mask holds no valid point of the cloud; of numbers count those above 0.5, "
                    "or above 0 where some are negative"
                )
        if box is not None:
            masked, claimed = claimed, claimed & box.contains(cloud.xyz)
            if not claimed.any():
                nearest = float(box.distance(cloud.xyz[masked]).min())
                raise TooFarError(
                    f"the box holds no point of the {'cloud' if mask is None else 'mask'}; the "
                    f"nearest is {nearest:.3g} m away"
                )
        return claimed

    def clicks(self) -> tuple[np.ndarray, np.ndarray]:
        """Points (q, 3) float64 and labels (q,) int64, checked; q may be 0.

        Raises:
            PromptError: wrong shapes, a coordinate that is no number, other labels.
        """
        try:
            points = np.asarray([] if self.points is None else self.points, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise PromptError(f"points of a prompt must be numbers (q, 3): {error}") from error
        if points.size == 0 and points.shape in ((0,), (0, 3)):
            points = np.empty((0, 3))
        if points.ndim != 2 or points.shape[1] != 3:
            raise PromptError(f"points of a prompt have shape {points.shape}; it must be (q, 3)")
        check_finite(points)
        labels = np.ones(len(points), np.int64) if self.labels is None else np.asarray(self.labels)
        if labels.shape != (len(points),):
            raise PromptError(
                f"labels of a prompt have shape {labels.shape}; {len(points)} clicks take "
                f"({len(points)},)"
            )
        wrong = labels[~np.isin(labels, (0, 1))]
        if len(wrong):
            raise PromptError(f"a label is {wrong[0]}; it must be 1 (on the object) or 0 (off it)")
        return points, labels.astype(np.int64)


@dataclass(frozen=True, eq=False)
class MaskPrompt:
    """A mask for a later `Prompt` on the same cloud, kept where the network left it.

    It holds no embedding, so it may be kept while those come and go: it fits every embedding of its
    cloud that was made in the same way.

    Attributes:
        logits: (m,) float32 over the kept points, on the model's device.
        region: the part of the cloud whose kept points they are; None: all of it.
    """

    logits: Tensor
    region: Ball | None = None


class Prediction:
    """The masks of one object, best first.

    Everything stays on the model's device; the host gets what it reads, when it first reads it.

    Attributes:
        embedding: the cloud they belong to.
        device_logits, device_scores: `logits` and `scores` on the model's device.
    """

    def __init__(
        self,
        embedding: Embedding,
        logits: Tensor | NDArray[np.float32],
        scores: Tensor | NDArray[np.float32],
    ) -> None:
        """Masks of logits (c, m) and scores (c,), best first."""
        self.embedding = embedding
        self.device_logits = torch.as_tensor(logits, device=embedding.device)
        self.device_scores = torch.as_tensor(scores, device=embedding.device)

    def __len__(self) -> int:
        """Number c of masks."""
        return len(self.device_scores)

    @cached_property
    def logits(self) -> NDArray[np.float32]:
        """(c, m) float32 over the kept points; a point is in the mask above 0."""
        return fetched(self.device_logits)[0]

    @cached_property
    def scores(self) -> NDArray[np.float32]:
        """(c,) float32, predicted IoU: with geometry 0..1 and to be read as such, but that none is
        above that of the mask before it; from the network alone as its head gives it (it may leave
        0..1)."""
        return fetched(self.device_scores)[0]

    @property
    def stability(self) -> NDArray[np.float32]:
        """(c,) float32: IoU of the mask at logit +1 and the mask at logit -1, over source points.

        An empty mask has stability 0.
        """
        return self._found.stability

    @property
    def rows(self) -> list[NDArray[np.int32]]:
        """Of each mask its source points, (k,) int32 rows, ascending."""
        return self._found.rows

    @property
    def points(self) -> list[NDArray[np.floating]]:
        """Of each mask its source points' coordinates, (k, 3) float32 or float64 [m]."""
        return self._found.points

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """(c, n) bool over the source points; a dropped point has its nearest kept point's."""
        nearest = self.embedding.kept.nearest
        kept = to_host(self.device_logits > 0)
        # One more place, which is in no mask, is where the -1 of a point out of reach leads.
        return np.stack([np.append(mask, False)[nearest] for mask in kept])

    def best(self) -> Prediction:
        """The mask of the highest predicted IoU alone."""
        return self.choose(0)

    def choose(self, which: int) -> Prediction:
        """One of the masks alone."""
        chosen = slice(which, which + 1)
        return Prediction(self.embedding, self.device_logits[chosen], self.device_scores[chosen])

    def prompt(self) -> MaskPrompt:
        """The best mask, for a later prompt on this cloud."""
        return MaskPrompt(self.device_logits[0], self.embedding.region)

    @cached_property
    def _found(self) -> _Found:
        return in_one(self._find)

    def _find(self) -> _Found:
        """Where the masks are, all of it in one copy from the device."""
        masks, kept = self.device_logits > 0, self.embedding.kept.kept
        rows, starts = ops.mask_rows(masks, kept.nearest)
        stability = stability_of(self.device_logits, self.embedding.source_counts)
        points = self.embedding.cloud.points_at(rows)
        found, places, ends, stable = fetched(rows, points, starts, stability)
        parts = [slice(start, end) for start, end in pairwise(ends.tolist())]
        return _Found([found[it] for it in parts], [places[it] for it in parts], stable)


def mask_of_source(mask: Any, size: int, width: int | None = None) -> NDArray[np.bool_] | None:
    """A mask of the source (n,), as `Prompt.mask` takes one; None: none, or of kept points.

    Args:
        mask: what `Prompt.mask` holds.
        size: n, how many points the source has.
        width: columns of an organised source; None: not known.

    Raises:
        PromptError: another type or shape, or numbers that are not finite.
    """
    if mask is None or isinstance(mask, Prediction | MaskPrompt):
        return None
    array = np.asarray(mask)
    if array.dtype != np.bool_ and array.dtype.kind != "f":
        raise PromptError(
            f"the mask is {array.dtype}; it must be bool (mask > 0) or float, logits or "
            "probabilities"
        )
    if array.dtype.kind == "f" and array.ndim == 1 and array.size != size:
        return None  # logits over kept points, or none: who knows the kept ones sees to it
    if array.ndim not in (1, 2) or array.size != size:
        raise PromptError(
            f"the mask is {array.dtype} {array.shape}; a mask of this cloud is ({size},), or "
            f"(rows, columns) of an organised cloud of {size} points"
        )
    if array.ndim == 2 and width is not None and array.shape[1] != width:
        raise PromptError(
            f"the mask has the shape {array.shape}; the cloud has {size // width} rows of {width}"
        )
    array = array.reshape(-1)
    if array.dtype == np.bool_:
        return array
    if not np.isfinite(array).all():
        raise PromptError("the mask holds values that are not finite")
    return np.asarray(array > (0.0 if (array < 0).any() else 0.5))


def stability_of(logits: Tensor, counts: Tensor) -> Tensor:
    """(...) IoU of masks (..., l) at logits +1 and -1; 0 for one that is empty at -1.

    Args:
        counts: (l,), source points that each place speaks for.
    """
    weight = counts.float()
    inner = (logits > STABILITY_OFFSET).float() @ weight
    outer = (logits > -STABILITY_OFFSET).float() @ weight
    return inner / outer.clamp_min(1)


@dataclass(frozen=True)
class _Found:
    rows: list[NDArray[np.int32]]
    points: list[NDArray[np.floating]]
    stability: NDArray[np.float32]


def check_finite(points: NDArray[np.float64]) -> None:
    """Whether clicks (q, 3) are somewhere.

    Raises:
        PromptError: a coordinate is NaN or infinite.
    """
    for row in np.flatnonzero(~np.isfinite(points).all(1)):
        raise PromptError(f"click {row + 1} is {points[row].tolist()}; it must be finite")
