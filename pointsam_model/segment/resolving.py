"""A prompt on an embedded cloud: its clicks, mask and claim, and the look it is answered from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointsam_model.cloud import looks
from pointsam_model.cloud.details import detail_at
from pointsam_model.cloud.reduction import Ball
from pointsam_model.device.transfer import fetched, sent
from pointsam_model.errors import PromptError
from pointsam_model.segment.claims import innermost_click, prior_logits
from pointsam_model.segment.embedding import Embedding
from pointsam_model.segment.prediction import MaskPrompt, Prediction
from pointsam_model.segment.prompt import Prompt, mask_of_source

BEYOND_LOGIT = -6.0  # of points that the look of an earlier mask did not see
LEAST_LOOK = 0.01  # radius of a look, in the reach of the cloud
CLAIM_WIDTH = 1.6  # radius of a look at what is claimed, in that of the claim


@dataclass
class Resolved:
    """A checked prompt.

    Attributes:
        points: (q, 3) clicks [m]; labels: (q,) 1 on, 0 off the object.
        look: the embedding whose kept points it is answered on.
        mask: (m,) mask prompt on those, or None.
        claimed: (n,) what a box or a mask of the source claims, or None.
        multimask: up to three masks.
        detail: a look at something small under the first click; the better of both answers counts.
    """

    points: NDArray[np.float64]
    labels: NDArray[np.int64]
    look: Embedding
    mask: Tensor | None
    claimed: NDArray[np.bool_] | None
    multimask: bool
    detail: Embedding | None = None

    def on(self, look: Embedding) -> Resolved:
        """The same on another look of the same cloud."""
        if look is self.look:
            return self
        if self.claimed is not None:
            mask: Tensor | None = prior_logits(self.claimed, look)
        else:
            mask = None if self.mask is None else carried(self.mask, self.look, look)
        return replace(self, look=look, mask=mask)

    @property
    def claimed_kept(self) -> NDArray[np.bool_] | None:
        """(m,) the kept points of the look that are claimed, or None."""
        if self.claimed is None or self.mask is None:
            return None
        return np.asarray(fetched(self.mask > 0)[0])


class Resolver:
    """Resolves prompts.

    Args:
        auto: looks are chosen by what is asked; False: always all of the cloud.
        clicked: a mask without a click is clicked in its middle; False: it may stay without.
    """

    def __init__(self, auto: bool, clicked: bool) -> None:
        self.auto, self.clicked = auto, clicked

    def resolve(self, embedding: Embedding, number: int | None, prompt: Prompt) -> Resolved:
        """A prompt, checked; its `number` is from 1, of several, or None where it is alone.

        Raises:
            PromptError: what is wrong with it, and with which of several.
        """
        try:
            return self._resolve(embedding, prompt)
        except PromptError as error:
            which = prompt.name or (number and f"prompt {number}")
            raise type(error)(f"{which}: {error}" if which else str(error)) from error

    def _resolve(self, embedding: Embedding, prompt: Prompt) -> Resolved:
        points, labels = prompt.clicks()
        earlier = self._earlier_mask(prompt, embedding)
        asked = prompt if earlier is None else replace(prompt, mask=None)
        claimed = asked.claimed(embedding.cloud)
        if claimed is not None and not labels.any():
            points = np.concatenate([points, innermost_click(claimed, embedding)[None]])
            labels = np.append(labels, 1)
        if earlier is not None and self.clicked and len(points) == 0:
            points, labels = _middle(*earlier, embedding)[None], np.ones(1, np.int64)
        if earlier is None and not labels.any():
            raise PromptError(
                "no click is on the object: give one with label 1, or a mask, or a box"
            )
        embedding.normalise(points)  # or it is outside of the cloud
        look = self._look(embedding, points, labels, earlier, claimed)
        multimask = prompt.multimask
        if multimask is None:
            multimask = len(points) == 1 and earlier is None and claimed is None
        if earlier is not None:  # what was said by a box counts no more once there is a mask
            so_far = carried(earlier[1], earlier[0], look)
            return Resolved(points, labels, look, so_far, None, multimask)
        if claimed is not None:
            mask = prior_logits(claimed, look)
            return Resolved(points, labels, look, mask, claimed, multimask)
        detail = self._detail(embedding, points, labels)
        return Resolved(points, labels, look, None, None, multimask, detail)

    def _detail(
        self, whole: Embedding, points: NDArray[np.float64], labels: NDArray[np.int64]
    ) -> Embedding | None:
        """A look at what is too small for the look that is answered from."""
        if not self.auto:
            return None
        first = points[int(np.flatnonzero(labels)[0])]
        radius = detail_at(whole, first)
        if radius is None:
            return None
        ball = looks.wide_enough(whole, looks.rounded(whole, first, radius), list(points))
        return None if ball is None else whole.look_at(ball)

    def look_for(self, embedding: Embedding, points: NDArray[np.float64]) -> Embedding:
        """The look that first clicks (q, 3) are answered from, the first on the object."""
        if not self.auto:
            return embedding
        return embedding.look_at(looks.look_for(embedding, list(points)))

    def widened(self, whole: Embedding, resolved: Resolved, ball: Ball) -> Resolved:
        """The prompt on a look twice as wide as its ball."""
        wider = Ball(ball.center, looks.WIDER * ball.radius)
        return resolved.on(whole.look_at(looks.wide_enough(whole, wider, list(resolved.points))))

    def _look(
        self,
        whole: Embedding,
        points: NDArray[np.float64],
        labels: NDArray[np.int64],
        earlier: tuple[Embedding, Tensor] | None,
        claimed: NDArray[np.bool_] | None,
    ) -> Embedding:
        """The look that holds the clicks: the mask's own, as long as it does."""
        if not self.auto:
            return whole
        if earlier is not None:
            ball = earlier[0].region
            if ball is None or ball.holds(points).all():
                return whole.look_at(ball)
            return whole.look_at(looks.wide_enough(whole, ball, list(points)))
        if claimed is not None and claimed.any():
            return self._look_at_claim(whole, points, claimed)
        first = int(np.flatnonzero(labels)[0])
        clicks = [points[first], *np.delete(points, first, 0)]
        return self.look_for(whole, np.array(clicks))

    def _look_at_claim(
        self, whole: Embedding, points: NDArray[np.float64], claimed: NDArray[np.bool_]
    ) -> Embedding:
        """A look that holds all that is claimed, where the cloud is too large for one."""
        usual = looks.radius_of(whole.reach_m)
        there = whole.cloud.xyz[claimed].astype(np.float64)
        middle = (there.min(0) + there.max(0)) / 2
        radius = CLAIM_WIDTH * float(np.linalg.norm(there - middle, axis=1).max())
        few = (fetched(prior_logits(claimed, whole) > 0)[0]).sum() < looks.TINY_POINTS
        if usual is None and not few:
            return whole
        least = usual if usual is not None and not few else LEAST_LOOK * whole.reach_m
        ball = looks.rounded(whole, middle, max(radius, least))
        return whole.look_at(looks.wide_enough(whole, ball, list(points)))

    def _earlier_mask(
        self, prompt: Prompt, embedding: Embedding
    ) -> tuple[Embedding, Tensor] | None:
        """The look that the prompt's mask is of, and its logits (m,) on the model's device; None:
        there is none, or a mask of the source."""
        mask = prompt.mask
        if mask is None:
            return None
        if isinstance(mask, Prediction):
            own = mask.embedding
            if own is not embedding and (own.region is None or own.cloud is not embedding.cloud):
                raise PromptError(
                    "the mask belongs to another cloud; it must come from this embedding"
                )
            if len(mask) != 1:
                raise PromptError(f"the mask prompt has {len(mask)} masks; choose one: .best()")
            return own, mask.device_logits[0]
        if isinstance(mask, MaskPrompt):
            look = embedding.look_at(mask.region)
            if len(mask.logits) != len(look.kept):
                raise PromptError(
                    f"the mask prompt is of {len(mask.logits)} kept points, this cloud has "
                    f"{len(look.kept)}: it belongs to another cloud or to other settings"
                )
            return look, mask.logits
        logits = np.asarray(mask)
        over_kept = logits.shape == (len(embedding.kept),) and logits.dtype.kind == "f"
        if over_kept and len(logits) == embedding.size:
            over_kept = bool((logits < 0).any())  # else they are probabilities
        if not over_kept and mask_of_source(logits, embedding.size) is not None:
            return None
        if not over_kept:
            raise PromptError(
                f"the mask prompt is {logits.dtype} {logits.shape}; it must be the logits of an "
                f"earlier prediction on this cloud, float ({len(embedding.kept)},), or a mask of "
                f"the source, bool or float ({embedding.size},) or (rows, columns)"
            )
        if not np.isfinite(logits).all():
            raise PromptError("the mask prompt holds values that are not finite")
        if self.auto and looks.radius_of(embedding.reach_m) is not None:
            raise PromptError(
                "a cloud of this extent is answered from parts of it, and logits alone do not say "
                "which part they are of: give the prediction itself, or its .masks"
            )
        return embedding, sent(logits.astype(np.float32), embedding.device)


def _middle(look: Embedding, logits: Tensor, whole: Embedding) -> NDArray[np.float64]:
    """A point (3,) [m] well inside of an earlier mask.

    Raises:
        PromptError: it is empty.
    """
    (kept,) = fetched(logits > 0)
    mask = np.append(kept, False)[look.kept.nearest]
    if not mask.any():
        raise PromptError("the mask is empty; add a click on the object")
    return innermost_click(mask, whole)


def carried(logits: Tensor, before: Embedding, look: Embedding) -> Tensor:
    """Logits of one look on the kept points of another of the same cloud; off the object where the
    first saw nothing."""
    if look is before:
        return logits
    near = before.kept.kept.nearest.index_select(0, look.kept.kept.rows).long()
    known = logits.index_select(0, near.clamp_min(0))
    return torch.where(near >= 0, known, BEYOND_LOGIT)
