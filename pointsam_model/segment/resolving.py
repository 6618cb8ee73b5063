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

BEYOND_LOGIT = -6.0  # for points outside the look of an earlier mask
LEAST_LOOK = 0.01  # least radius of a look, as a share of the cloud's reach
CLAIM_WIDTH = 1.6  # radius of a look at a claim, in radii of the claim


@dataclass
class Resolved:
    """A checked prompt.

    Attributes:
        points: (q, 3) clicks [m]; labels: (q,) 1 on, 0 off the object.
        look: the embedding, of the cloud or a part of it, that answers the prompt.
        mask: (m,) logits of a mask prompt over the look's kept points, or None.
        claimed: (n,) bool, source points that a box or a mask of the source selects, or None.
        multimask: whether up to three masks are answered, or one.
        detail: a closer look at something small under the first click, or None; the better of the
            two answers is returned.
    """

    points: NDArray[np.float64]
    labels: NDArray[np.int64]
    look: Embedding
    mask: Tensor | None
    claimed: NDArray[np.bool_] | None
    multimask: bool
    detail: Embedding | None = None

    def on(self, look: Embedding) -> Resolved:
        """The same prompt on another look at the cloud."""
        if look is self.look:
            return self
        if self.claimed is not None:
            mask: Tensor | None = prior_logits(self.claimed, look)
        else:
            mask = None if self.mask is None else carried(self.mask, self.look, look)
        return replace(self, look=look, mask=mask)

    @property
    def claimed_kept(self) -> NDArray[np.bool_] | None:
        """(m,) bool: the look's kept points that are claimed, or None."""
        if self.claimed is None or self.mask is None:
            return None
        return np.asarray(fetched(self.mask > 0)[0])


class Resolver:
    """Checks prompts and chooses the look that answers each.

    Args:
        auto: whether the look is chosen by the prompt; False: always all of the cloud.
        clicked: whether a mask without a click gets one in its middle.
    """

    def __init__(self, auto: bool, clicked: bool) -> None:
        self.auto, self.clicked = auto, clicked

    def resolve(self, embedding: Embedding, number: int | None, prompt: Prompt) -> Resolved:
        """Resolves a prompt.

        Args:
            embedding: of the whole cloud.
            number: the prompt's number among several, from 1; None: it is the only one.
            prompt: as the caller gave it.

        Raises:
            PromptError: the prompt is malformed or does not fit the cloud; names or numbers it.
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
        embedding.normalise(points)  # raises for a click outside the cloud
        look = self._look(embedding, points, labels, earlier, claimed)
        multimask = prompt.multimask
        if multimask is None:
            multimask = len(points) == 1 and earlier is None and claimed is None
        if earlier is not None:  # an earlier mask supersedes the box
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
        """A closer look at something too small for the chosen look, or None."""
        if not self.auto:
            return None
        first = points[int(np.flatnonzero(labels)[0])]
        radius = detail_at(whole, first)
        if radius is None:
            return None
        ball = looks.wide_enough(whole, looks.rounded(whole, first, radius), list(points))
        return None if ball is None else whole.look_at(ball)

    def look_for(self, embedding: Embedding, points: NDArray[np.float64]) -> Embedding:
        """The look that answers first clicks (q, 3) [m]; the first one is on the object."""
        if not self.auto:
            return embedding
        return embedding.look_at(looks.look_for(embedding, list(points)))

    def widened(self, whole: Embedding, resolved: Resolved, ball: Ball) -> Resolved:
        """The prompt on a wider look, around the ball of its present one."""
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
        """The look that contains all clicks: that of the earlier mask, if it does."""
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
        """A look that contains the whole claim; all of the cloud if that resolves it."""
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
        """The look of an earlier mask, and its logits (m,) on the model's device.

        None: the prompt has no mask, or a mask of the source.
        """
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
                    f"{len(look.kept)}: it belongs to another cloud or was made with other settings"
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
                "prompts on a cloud of this extent are answered from parts of it, and logits alone "
                "do not say which part they belong to: give the prediction itself, or its .masks"
            )
        return embedding, sent(logits.astype(np.float32), embedding.device)


def _middle(look: Embedding, logits: Tensor, whole: Embedding) -> NDArray[np.float64]:
    """A point (3,) [m] well inside an earlier mask.

    Raises:
        PromptError: the mask is empty.
    """
    (kept,) = fetched(logits > 0)
    mask = np.append(kept, False)[look.kept.nearest]
    if not mask.any():
        raise PromptError("the mask is empty; add a click on the object")
    return innermost_click(mask, whole)


def carried(logits: Tensor, before: Embedding, look: Embedding) -> Tensor:
    """Transfers logits (m,) from one look to the kept points of another look at the same cloud.

    Points outside the first look get BEYOND_LOGIT.
    """
    if look is before:
        return logits
    near = before.kept.kept.nearest.index_select(0, look.kept.kept.rows).long()
    known = logits.index_select(0, near.clamp_min(0))
    return torch.where(near >= 0, known, BEYOND_LOGIT)
