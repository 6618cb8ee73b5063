"""Prompts: which object of an embedded cloud to segment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from pointsam_model.cloud.cloud import Cloud
from pointsam_model.errors import PromptError, TooFarError
from pointsam_model.instances.boxes import OrientedBox
from pointsam_model.segment.box_prompts import Box
from pointsam_model.segment.prediction import MaskPrompt, Prediction
from pointsam_model.segment.snapping import check_finite


@dataclass(frozen=True)
class Prompt:
    """One object, specified by clicks, a box, a mask, or any combination of these.

    Attributes:
        points: (q, 3), clicks in the cloud's coordinate frame [m]; may be empty with a box or a
            mask of the source.
        labels: (q,), 1 on the object, 0 off it; None: all on it.
        mask: an earlier `Prediction` of one mask on the same cloud (`prediction.best()`), its
            `prompt()`, or its logits (m,) over the kept points. Or a mask of the source, for
            example from an image detector: bool or float, (n,), or (h, w) for an organised cloud
            with n = h * w. If some floats are negative they are logits, and those above 0 are in
            the mask; else they are probabilities, and those above 0.5 are. None: no mask prompt.
        multimask: True: up to three masks, for an ambiguous click; False: one; None: up to three
            for a single click without a mask or a box, else one.
        box: a `Box`, an instance's `OrientedBox`, or two opposite corners ((x, y, z), (x, y, z))
            [m] of a box aligned with the cloud's axes; None: no box.
        name: what error messages call it; empty: its number, if there are several.
    """

    points: npt.ArrayLike | None = None
    labels: npt.ArrayLike | None = None
    mask: Prediction | MaskPrompt | npt.ArrayLike | None = None
    multimask: bool | None = None
    box: Box | OrientedBox | npt.ArrayLike | None = None
    name: str = ""

    def claimed(self, cloud: Cloud) -> NDArray[np.bool_] | None:
        """The source points that the box and the mask of the source select together.

        Returns:
            (n,) bool, valid points inside the box and in the mask; None: the prompt has neither. A
            mask over kept points (a prediction, or logits of another length) does not count.

        Raises:
            PromptError: a malformed box, a mask that does not fit this source, or one without
                valid points.
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
                    "the mask holds no valid point of the cloud; a point is in the mask above "
                    "0.5, or above 0 if some values are negative"
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
        """Checked points (q, 3) float64 and labels (q,) int64; q may be 0.

        Raises:
            PromptError: a wrong shape, a coordinate that is not a number, or a label other than 0
                and 1.
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


def mask_of_source(mask: Any, size: int, width: int | None = None) -> NDArray[np.bool_] | None:
    """The mask of the source (n,) in `Prompt.mask`; None: no mask, or one over kept points.

    Args:
        mask: the value of `Prompt.mask`.
        size: number n of source points.
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
        return None  # perhaps logits over kept points; the resolver, which knows them, checks
    if array.ndim not in (1, 2) or array.size != size:
        raise PromptError(
            f"the mask is {array.dtype} {array.shape}; a mask of this cloud is ({size},), or "
            f"(rows, columns) for an organised cloud of {size} points"
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
