"""The predictor: embed a cloud once, answer prompts on it (SAM's habits, for clouds)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pointsam_model import looks, ops
from pointsam_model.asking import Asking, Question
from pointsam_model.batches import in_one
from pointsam_model.choosing import Choosing, Target
from pointsam_model.cloud import Cloud, ReducedCloud
from pointsam_model.config import PredictorConfig, ReductionConfig
from pointsam_model.embedding import Embedding
from pointsam_model.errors import PromptError
from pointsam_model.nn import PointSAM, make_patches
from pointsam_model.prompt import MaskPrompt, Prediction, Prompt
from pointsam_model.quality import Quality, shipped_quality
from pointsam_model.reduction import Ball
from pointsam_model.transfer import fetched, sent

MOST_WIDENED = 3  # times that a mask which reaches the rim of its look has it widened
RIM = 0.93  # of a look's radius
RIM_SHARE = 0.03  # of a mask's points beyond it, from which the mask is cut off
CUT_LOGIT = 6.0  # of a mask that goes to another look
TOLD = 8  # answers of `predict` whose logits may be a mask prompt


class Predictor:
    """Answers prompts on clouds with masks over their points.

    `embed` and `segment` hold no state and may be called from several threads; `set_cloud` and
    `predict` are the same for one cloud and one object at a time.

    Args:
        model: a network in evaluation mode (`load_model`).
        config: patches and prompts.
        reduction: which points of a cloud the network sees.
        quality: judges masks where `config.geometry` is on; None: the shipped one.
    """

    def __init__(
        self,
        model: PointSAM,
        config: PredictorConfig | None = None,
        reduction: ReductionConfig | None = None,
        quality: Quality | None = None,
    ) -> None:
        self.model = model
        self.config = config or PredictorConfig()
        self.reduction = reduction or ReductionConfig()
        self._quality = quality
        self._asking = Asking(model, self.config)
        self._embedding: Embedding | None = None
        self._told: list[Prediction] = []  # by `predict`, on the cloud that is set

    @property
    def device(self) -> str:
        """Where the model is, and where clouds are best decoded: cpu, cuda:0."""
        return str(self.model.device)

    @torch.inference_mode()
    def embed(self, cloud: Cloud, reached: Callable[[str], None] | None = None) -> Embedding:
        """Reduces, normalises and encodes a cloud.

        Args:
            cloud: the source.
            reached: called with the name of each stage that ends, "reduce" and then "encode". A
                GPU may still work on it: `wait_for_device` waits.

        Raises:
            CloudError: fewer than three distinct points are left by the reduction.
            OutOfMemory: the device has too little memory for it.
        """
        return in_one(lambda: self._embed(cloud, None, reached))

    def _embed(
        self, cloud: Cloud, region: Ball | None, reached: Callable[[str], None] | None = None
    ) -> Embedding:
        device = self.model.device
        shape = self.model.config
        most = shape.max_points if device.type == "cpu" else shape.max_points_gpu
        kept = cloud.reduce(self.reduction, most, device, region)
        if reached is not None:
            reached("reduce")
        coords, *sphere = ops.normalise(kept.kept.points)
        center, scale = fetched(*sphere)  # before the network has much to do
        num_patches, patch_size = shape.patches_for(len(coords))
        patches = make_patches(
            coords[None],
            min(self.config.num_patches or num_patches, len(coords)),
            min(self.config.patch_size or patch_size, len(coords)),
        )
        features = _features(kept, shape.in_features)
        encoding = self.model.keep_first_view(self.model.encode(patches, features))
        embedding = Embedding(
            cloud,
            kept,
            encoding,
            kept.origin + center,
            float(scale),
            self.config.snap_radius_m,
            self.config.snap_range_fraction,
            region,
        )
        if reached is not None:
            reached("encode")
        return embedding

    @torch.inference_mode()
    def segment(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Prediction]:
        """Masks of one object a prompt; objects of a kind decode in one batch.

        Args:
            embedding: of `embed`.
            prompts: one an object; clicks must lie in the cloud's sphere.

        Returns:
            One prediction a prompt, in their order.

        Raises:
            PromptError: a prompt that is malformed or belongs to another cloud; names the object.
            OutOfMemory: the device has too little memory for a single object.
        """
        checked = [self._checked(embedding, number, p) for number, p in enumerate(prompts)]
        answers: dict[int, Prediction] = {}
        waiting = list(range(len(checked)))
        for _ in range(MOST_WIDENED + 1):
            seen: dict[int, Embedding] = {
                id(checked[row].look): checked[row].look for row in waiting
            }
            for look in seen.values():
                rows = [row for row in waiting if checked[row].look is look]
                told = self._answers(look, [checked[row] for row in rows])
                answers.update(zip(rows, told, strict=True))
            waiting = [
                row for row in waiting if self._widened(embedding, checked[row], answers[row])
            ]
            if not waiting:
                break
        return [answers[row] for row in range(len(checked))]

    def _answers(self, look: Embedding, checked: list[_Checked]) -> list[Prediction]:
        """Of prompts on one look."""
        if self.config.geometry:
            choosing = self.choosing()
            targets = [Target(it.points, it.labels, it.mask, None, it.multimask) for it in checked]
            return [Prediction(look, *it) for it in choosing.answers(look, targets)]
        questions = [
            Question(look.normalise(it.points), it.labels, it.mask, it.multimask) for it in checked
        ]
        if self.config.first_click_mask:
            questions = self._asking.after_first_clicks(look, questions)
        answers = self._asking.answers(look, questions)
        return [Prediction(look, *_best_first(*answer)) for answer in answers]

    @torch.inference_mode()
    def look(self, embedding: Embedding, clicks: np.ndarray) -> Embedding:
        """The look that a first click is answered from, and all further ones that lie in it.

        Args:
            embedding: of `embed`.
            clicks: (q, 3) [m], the first on the object.
        """
        if self.config.looks == "whole":
            return embedding
        return self.look_at(embedding, looks.look_for(embedding, list(clicks)))

    def choosing(self) -> Choosing:
        """What answers from network and geometry together."""
        return Choosing(self._asking, self._quality or shipped_quality())

    def look_at(self, whole: Embedding, ball: Ball | None) -> Embedding:
        """The embedding of a part of a cloud, kept with that of all of it; None: all of it."""
        if ball is None:
            return whole
        return whole.looks.get(ball, lambda: in_one(lambda: self._embed(whole.cloud, ball)))

    def _widened(self, whole: Embedding, asked: _Checked, answer: Prediction) -> bool:
        """Whether a mask reaches the rim of its look, which then is twice as wide."""
        ball = asked.look.region
        if ball is None or self.config.looks == "whole":
            return False
        (mask,) = fetched(answer.device_logits[0] > 0)
        kept = asked.look.kept
        points = kept.points[mask] + kept.origin
        rim = ~Ball(ball.center, RIM * ball.radius).holds(points)
        if rim.sum() <= RIM_SHARE * len(points):
            return False
        wider = looks.wide_enough(
            whole, Ball(ball.center, looks.WIDER * ball.radius), list(asked.points)
        )
        before = asked.look
        asked.look = self.look_at(whole, wider)
        if asked.mask is not None:
            asked.mask = _carried(asked.mask, before, asked.look)
        return True

    def set_cloud(self, xyz: npt.ArrayLike, rgb: npt.ArrayLike | None = None) -> None:
        """Embeds the cloud that the next calls of `predict` are about.

        Args:
            xyz: (n, 3) float [m]; rows that are not finite or (0, 0, 0) are never in a mask.
            rgb: (n, 3) uint8, or None.

        Raises:
            CloudError: the arrays are no cloud.
        """
        self._told = []
        self._embedding = self.embed(
            Cloud(np.asarray(xyz), None if rgb is None else np.asarray(rgb))
        )

    def predict(
        self,
        point_coords: npt.ArrayLike,
        point_labels: npt.ArrayLike | None = None,
        mask_input: npt.ArrayLike | None = None,
        multimask_output: bool = True,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks of one object on the cloud of `set_cloud`.

        Args:
            point_coords: (q, 3), clicks [m].
            point_labels: (q,), 1 on the object, 0 off it; None: all on it.
            mask_input: (m,) or (1, m), logits of an earlier call.
            multimask_output: three masks for an ambiguous click, else one.

        Returns:
            masks (c, n) bool over the input's points, scores (c,) float32, logits (c, m) float32
            over the kept points; best first.

        Raises:
            PromptError: no cloud was set, or a malformed prompt.
        """
        if self._embedding is None:
            raise PromptError("no cloud: call set_cloud(xyz, rgb) before predict")
        mask = None if mask_input is None else self._earlier(np.asarray(mask_input))
        prompt = Prompt(point_coords, point_labels, mask, multimask_output)
        (prediction,) = self.segment(self._embedding, [prompt])
        self._told = [*self._told[1 - TOLD :], prediction]
        return prediction.masks, prediction.scores, prediction.logits

    def _earlier(self, logits: np.ndarray) -> Prediction | np.ndarray:
        """Logits (m,) or (1, m), as the mask of an earlier answer where they are of one: it knows
        the look they belong to."""
        if logits.ndim == 2 and len(logits) == 1:
            logits = logits[0]
        for told in reversed(self._told):
            for row, own in enumerate(told.logits):
                if np.array_equal(own, logits):
                    return told.choose(row)
        return logits

    def _checked(self, embedding: Embedding, number: int, prompt: Prompt) -> _Checked:
        try:
            points, labels = prompt.clicks()
            earlier = self._earlier_mask(prompt, embedding)
            if earlier is None and not labels.any():
                raise PromptError("no click is on the object: give one with label 1, or a mask")
            embedding.normalise(points)  # or it is outside of the cloud
            look = self._chosen_look(embedding, points, labels, earlier)
            mask = None if earlier is None else _carried(earlier[1], earlier[0], look)
        except PromptError as error:
            where = "" if number == 0 else f"object {number} of the request: "
            raise type(error)(f"{where}{error}") from error
        multimask = prompt.multimask
        if multimask is None:
            multimask = len(points) == 1 and mask is None
        return _Checked(points, labels, mask, multimask, look)

    def _earlier_mask(self, prompt: Prompt, embedding: Embedding) -> _EarlierMask | None:
        """The look that the prompt's mask is of, and its logits (m,) on the model's device."""
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
            look = self.look_at(embedding, mask.region)
            if len(mask.logits) != len(look.kept):
                raise PromptError(
                    f"the mask prompt is of {len(mask.logits)} kept points, this cloud has "
                    f"{len(look.kept)}: it belongs to another cloud, or was made in another way"
                )
            return look, mask.logits
        logits = np.asarray(mask)
        if logits.shape != (len(embedding.kept),) or logits.dtype.kind != "f":
            raise PromptError(
                f"the mask prompt is {logits.dtype} {logits.shape}; it must be the logits of an "
                f"earlier prediction on this cloud, float ({len(embedding.kept)},)"
            )
        if not np.isfinite(logits).all():
            raise PromptError("the mask prompt holds values that are not finite")
        return embedding, sent(logits.astype(np.float32), embedding.device)

    def _chosen_look(
        self,
        whole: Embedding,
        points: np.ndarray,
        labels: np.ndarray,
        earlier: _EarlierMask | None,
    ) -> Embedding:
        """The look that holds the clicks: the mask's own, as long as it does."""
        if self.config.looks == "whole":
            return whole
        clicks = list(points)
        if earlier is None:
            first = int(np.flatnonzero(labels)[0])
            clicks.insert(0, clicks.pop(first))
            return self.look(whole, np.array(clicks))
        ball = earlier[0].region
        if ball is None or ball.holds(points).all():
            return self.look_at(whole, ball)
        return self.look_at(whole, looks.wide_enough(whole, ball, clicks))


_EarlierMask = tuple[Embedding, Tensor]


@dataclass
class _Checked:
    """A checked prompt: clicks (q, 3) [m], labels (q,), the look it is answered from, and the mask
    so far (m,) on that look's kept points, or None."""

    points: np.ndarray
    labels: np.ndarray
    mask: Tensor | None
    multimask: bool
    look: Embedding


def _each_once(embeddings: Iterable[Embedding]) -> list[Embedding]:
    return list({id(it): it for it in embeddings}.values())


def _features(kept: ReducedCloud, channels: int) -> Tensor:
    """Colours (1, m, channels) in [-1, 1]; mid grey where the cloud has none."""
    colors = kept.kept.colors
    if colors is None:
        return kept.kept.points.new_zeros(1, len(kept), channels)
    return (colors[None].float() / 255 - 0.5) / 0.5


def _carried(logits: Tensor, before: Embedding, look: Embedding) -> Tensor:
    """Logits of one look on the kept points of another of the same cloud; off it where the first
    saw nothing."""
    if look is before:
        return logits
    near = before.kept.kept.nearest.index_select(0, look.kept.kept.rows).long()
    known = logits.index_select(0, near.clamp_min(0))
    return torch.where(near >= 0, known, -CUT_LOGIT)


def _best_first(logits: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    order = torch.argsort(scores, descending=True, stable=True)
    return logits[order], scores[order]
