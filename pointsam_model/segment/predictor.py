"""The predictor: embeds a cloud once and answers prompts on it, like SAM's for images."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pointsam_model import ops
from pointsam_model.cloud import looks
from pointsam_model.cloud.cloud import Cloud, ReducedCloud
from pointsam_model.cloud.reduction import Ball
from pointsam_model.config.settings import PredictorConfig, ReductionConfig
from pointsam_model.device.batches import in_one
from pointsam_model.device.transfer import fetched
from pointsam_model.errors import CloudWarning, PromptError
from pointsam_model.instances.boxes import OrientedBox
from pointsam_model.nn import PointSAM, make_patches
from pointsam_model.quality import Quality, quality_of
from pointsam_model.segment.asking import Asking, Question
from pointsam_model.segment.box_prompts import Box
from pointsam_model.segment.choosing import Choosing, Target
from pointsam_model.segment.embedding import Embedding
from pointsam_model.segment.prediction import Prediction
from pointsam_model.segment.prompt import Prompt
from pointsam_model.segment.resolving import Resolved, Resolver

MOST_WIDENED = 1  # how often a look is widened because the mask reaches its rim
TOLD = 8  # latest answers of `predict` whose logits are recognised as mask prompts


class Predictor:
    """Answers prompts on clouds with masks over their points.

    `embed` and `segment` keep no state and may be called from several threads. `set_cloud` and
    `predict` do the same for one cloud and one object at a time.

    Args:
        model: a network in evaluation mode (`load_model`).
        config: how clouds are cut into patches and prompts answered.
        reduction: which points of a cloud the network sees.
        quality: estimates the IoU of masks if `config.geometry` is on; None: the one for the
            model's checkpoint, see `quality_of`.
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
        self._resolver = Resolver(self.config.looks == "auto", self.config.geometry)
        self._embedding: Embedding | None = None
        self._told: list[Prediction] = []  # answers of `predict` on the current cloud

    @property
    def device(self) -> str:
        """The model's device, on which clouds are best decoded too: cpu, cuda:0."""
        return str(self.model.device)

    @torch.inference_mode()
    def embed(self, cloud: Cloud, reached: Callable[[str], None] | None = None) -> Embedding:
        """Reduces, normalises and encodes a cloud.

        Args:
            cloud: the source.
            reached: called at the end of each stage with its name, "reduce", then "encode". A GPU
                may still be working on the stage; `wait_for_device` waits for it.

        Raises:
            CloudError: the reduction left fewer than three distinct points.
            OutOfMemory: not enough memory on the device.

        Warns:
            CloudWarning: the cloud is probably in millimetres (`Cloud.doubt`).
        """
        if cloud.doubt:
            warnings.warn(cloud.doubt, CloudWarning, stacklevel=3)
        return in_one(lambda: self._embed(cloud, None, reached))

    @torch.inference_mode()
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
        center, scale = fetched(*sphere)  # synchronise before the network's work is queued
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
            self._make_look(cloud) if region is None else None,
        )
        if self.config.geometry and (region or looks.radius_of(embedding.reach_m) is None):
            _ = embedding.surroundings  # so no click waits; large clouds use looks
        if reached is not None:
            reached("encode")
        return embedding

    def _make_look(self, cloud: Cloud) -> Callable[[Ball], Embedding]:
        return lambda ball: in_one(lambda: self._embed(cloud, ball))

    @torch.inference_mode()
    def segment(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Prediction]:
        """Answers each prompt with the masks of its object; similar prompts share batches.

        Args:
            embedding: from `embed`.
            prompts: one per object; clicks must lie in the cloud's bounding sphere.

        Returns:
            One prediction per prompt, in the same order.

        Raises:
            PromptError: a prompt is malformed or belongs to another cloud. The message names it,
                or numbers it from 1 if there are several.
            OutOfMemory: not enough memory on the device for a single object.
        """
        numbers = range(1, len(prompts) + 1) if len(prompts) > 1 else [None]
        asked = [
            self._resolver.resolve(embedding, number, prompt)
            for number, prompt in zip(numbers, prompts, strict=False)
        ]
        answers: dict[int, Prediction] = {}
        waiting = list(range(len(asked)))
        for _ in range(MOST_WIDENED + 1):
            for look in _each_once(asked[row].look for row in waiting):
                rows = [row for row in waiting if asked[row].look is look]
                told = self._answers(look, [asked[row] for row in rows])
                answers.update(zip(rows, told, strict=True))
            waiting = [row for row in waiting if self._cut_off(answers[row])]
            for row in waiting:
                region = asked[row].look.region
                assert region is not None
                asked[row] = self._resolver.widened(embedding, asked[row], region)
            if not waiting:
                break
        for row, resolved in enumerate(asked):
            detail = resolved.detail
            if detail is not None and detail is not resolved.look:
                (finer,) = self._answers(detail, [resolved.on(detail)])
                if finer.scores[0] > answers[row].scores[0]:
                    answers[row] = finer
        return [answers[row] for row in range(len(asked))]

    def _answers(self, look: Embedding, asked: list[Resolved]) -> list[Prediction]:
        """Answers prompts on one look."""
        if self.config.geometry:
            targets = [
                Target(
                    prompt.points, prompt.labels, prompt.mask, prompt.claimed_kept, prompt.multimask
                )
                for prompt in asked
            ]
            return [Prediction(look, *answer) for answer in self.choosing().answers(look, targets)]
        questions = [
            Question(look.normalise(prompt.points), prompt.labels, prompt.mask, prompt.multimask)
            for prompt in asked
        ]
        if self.config.first_click_mask:
            questions = self._asking.after_first_clicks(look, questions)
        answers = self._asking.answers(look, questions)
        return [Prediction(look, *_best_first(*answer)) for answer in answers]

    def _cut_off(self, answer: Prediction) -> bool:
        """Whether the best mask reaches the rim of its look, which then is too narrow."""
        ball = answer.embedding.region
        if ball is None:
            return False
        (mask,) = fetched(answer.device_logits[0] > 0)
        kept = answer.embedding.kept
        return ball.cuts_off(kept.points[mask] + kept.origin)

    @torch.inference_mode()
    def look(self, embedding: Embedding, clicks: np.ndarray) -> Embedding:
        """The look that a first click is answered from, and later ones that lie in it.

        Args:
            embedding: from `embed`.
            clicks: (q, 3) [m]; the first one is on the object.
        """
        return self._resolver.look_for(embedding, clicks)

    @torch.inference_mode()
    def resolved(self, embedding: Embedding, prompt: Prompt) -> Resolved:
        """Resolves a prompt to its clicks, its look, and its mask and claim on that look.

        Raises:
            PromptError: see `segment`.
        """
        return self._resolver.resolve(embedding, None, prompt)

    def choosing(self) -> Choosing:
        """Answers targets from network and geometry together."""
        return Choosing(self._asking, self.quality)

    @cached_property
    def quality(self) -> Quality:
        """The quality model that estimates the IoU of masks.

        Raises:
            CheckpointError: the one for the model's checkpoint cannot be read.
        """
        return self._quality or quality_of(self.model.checkpoint)

    def set_cloud(self, xyz: npt.ArrayLike, rgb: npt.ArrayLike | None = None) -> None:
        """Embeds the cloud for the next calls of `predict`.

        Args:
            xyz: (n, 3), or (h, w, 3) for an organised cloud, float [m]; points that are not finite
                or (0, 0, 0) are never in a mask.
            rgb: same shape, uint8 or float 0 to 1, or None.

        Raises:
            CloudError: the arrays are not a usable cloud; see `Cloud`.
        """
        self._told = []
        self._embedding = self.embed(
            Cloud(np.asarray(xyz), None if rgb is None else np.asarray(rgb))
        )

    def predict(
        self,
        point_coords: npt.ArrayLike | None = None,
        point_labels: npt.ArrayLike | None = None,
        mask_input: npt.ArrayLike | None = None,
        multimask_output: bool = True,
        box: Box | OrientedBox | npt.ArrayLike | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks of one object on the cloud of `set_cloud`.

        Args:
            point_coords: (q, 3), clicks [m]; None: no clicks, if there is a box or a mask of the
                source.
            point_labels: (q,), 1 on the object, 0 off it; None: all on it.
            mask_input: (m,) or (1, m), logits of an earlier call; or a mask of the source, as
                `Prompt.mask` accepts it.
            multimask_output: True: up to three masks, for an ambiguous click; False: one.
            box: where the object is, as `Prompt.box` accepts it.

        Returns:
            masks (c, n) bool over the input's points, scores (c,) float32, logits (c, m) float32
            over the kept points; best first.

        Raises:
            PromptError: no cloud was set, or the prompt is malformed.
        """
        if self._embedding is None:
            raise PromptError("no cloud: call set_cloud(xyz, rgb) before predict")
        mask = None if mask_input is None else self._earlier(np.asarray(mask_input))
        prompt = Prompt(point_coords, point_labels, mask, multimask_output, box)
        (prediction,) = self.segment(self._embedding, [prompt])
        self._told = [*self._told[1 - TOLD :], prediction]
        return prediction.masks, prediction.scores, prediction.logits

    def _earlier(self, logits: np.ndarray) -> Prediction | np.ndarray:
        """The answer that logits (m,) or (1, m) came from, if known: it has their look."""
        if logits.ndim == 2 and len(logits) == 1:
            logits = logits[0]
        for told in reversed(self._told):
            for row, own in enumerate(told.logits):
                if np.array_equal(own, logits):
                    return told.choose(row)
        return logits


def _each_once(embeddings: Iterable[Embedding]) -> list[Embedding]:
    return list({id(embedding): embedding for embedding in embeddings}.values())


def _features(kept: ReducedCloud, channels: int) -> Tensor:
    """Colours (1, m, channels) in [-1, 1]; mid grey if the cloud has none."""
    colors = kept.kept.colors
    if colors is None:
        return kept.kept.points.new_zeros(1, len(kept), channels)
    return (colors[None].float() / 255 - 0.5) / 0.5


def _best_first(logits: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    order = torch.argsort(scores, descending=True, stable=True)
    return logits[order], scores[order]
