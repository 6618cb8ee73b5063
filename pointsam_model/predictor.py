"""The predictor: embed a cloud once, answer prompts on it (SAM's habits, for clouds)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pointsam_model import ops
from pointsam_model.batches import in_batches, in_one
from pointsam_model.box_prompts import Box
from pointsam_model.boxes import OrientedBox
from pointsam_model.claims import innermost_click, prior_logits
from pointsam_model.cloud import Cloud, ReducedCloud
from pointsam_model.config import PredictorConfig, ReductionConfig
from pointsam_model.embedding import Embedding
from pointsam_model.errors import PromptError
from pointsam_model.nn import PointSAM, make_patches
from pointsam_model.prompt import MaskPrompt, Prediction, Prompt, mask_of_source
from pointsam_model.transfer import fetched, sent
from pointsam_model.voting import ask_around

OBJECTS_AT_ONCE = 32  # objects in one decoder batch: bounds the memory
PADDING = -1.0  # label of a click that is none


class Predictor:
    """Answers prompts on clouds with masks over their points.

    `embed` and `segment` hold no state and may be called from several threads; `set_cloud` and
    `predict` are the same for one cloud and one object at a time.

    Args:
        model: a network in evaluation mode (`load_model`).
        config: patches and prompts.
        reduction: which points of a cloud the network sees.
    """

    def __init__(
        self,
        model: PointSAM,
        config: PredictorConfig | None = None,
        reduction: ReductionConfig | None = None,
    ) -> None:
        self.model = model
        self.config = config or PredictorConfig()
        self.reduction = reduction or ReductionConfig()
        self._embedding: Embedding | None = None

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
        return in_one(lambda: self._embed(cloud, reached))

    def _embed(self, cloud: Cloud, reached: Callable[[str], None] | None) -> Embedding:
        device = self.model.device
        shape = self.model.config
        most = shape.max_points if device.type == "cpu" else shape.max_points_gpu
        kept = cloud.reduce(self.reduction, most, device)
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
        questions = [self._question(embedding, number, p) for number, p in enumerate(prompts)]
        if self.config.first_click_mask:
            self._ask_first_clicks(embedding, questions)
        answers = self._decode(embedding, questions)
        return [Prediction(embedding, *_best_first(*answer)) for answer in answers]

    def set_cloud(self, xyz: npt.ArrayLike, rgb: npt.ArrayLike | None = None) -> None:
        """Embeds the cloud that the next calls of `predict` are about.

        Args:
            xyz: (n, 3) float [m]; rows that are not finite or (0, 0, 0) are never in a mask.
            rgb: (n, 3) uint8, or None.

        Raises:
            CloudError: the arrays are no cloud.
        """
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
            point_coords: (q, 3), clicks [m]; None: none, beside a box or a mask of the source.
            point_labels: (q,), 1 on the object, 0 off it; None: all on it.
            mask_input: (m,) or (1, m), logits of an earlier call; or a mask of the source, as
                `Prompt.mask` takes it.
            multimask_output: three masks for an ambiguous click, else one.
            box: where the object is, as `Prompt.box` takes it.

        Returns:
            masks (c, n) bool over the input's points, scores (c,) float32, logits (c, m) float32
            over the kept points; best first.

        Raises:
            PromptError: no cloud was set, or a malformed prompt.
        """
        if self._embedding is None:
            raise PromptError("no cloud: call set_cloud(xyz, rgb) before predict")
        mask = None if mask_input is None else np.asarray(mask_input)
        if mask is not None and mask.ndim == 2 and len(mask) == 1:
            mask = mask[0]
        prompt = Prompt(point_coords, point_labels, mask, multimask_output, box)
        (prediction,) = self.segment(self._embedding, [prompt])
        return prediction.masks, prediction.scores, prediction.logits

    def _question(self, embedding: Embedding, number: int, prompt: Prompt) -> _Question:
        try:
            points, labels = prompt.clicks()
            mask = _mask_logits(prompt, embedding)
            asked = prompt if mask is None else replace(prompt, mask=None)
            claimed = asked.claimed(embedding.cloud)
            if mask is None and claimed is not None:
                mask = prior_logits(claimed, embedding)
            if claimed is not None and not labels.any():
                points = np.concatenate([points, innermost_click(claimed, embedding)[None]])
                labels = np.append(labels, 1)
            if mask is None and not labels.any():
                raise PromptError(
                    "no click is on the object: give one with label 1, or a mask, or a box"
                )
            clicks = embedding.normalise(points)
        except PromptError as error:
            where = "" if number == 0 else f"object {number} of the request: "
            raise type(error)(f"{where}{error}") from error
        multimask = prompt.multimask
        if multimask is None:
            multimask = len(clicks) == 1 and mask is None
        return _Question(clicks, labels, mask, multimask)

    def _ask_first_clicks(self, embedding: Embedding, questions: list[_Question]) -> None:
        """Gives several clicks without a mask the mask of the first click on the object."""
        bare = [q for q in questions if q.mask is None and len(q.labels) > 1]
        first = [
            _Question(q.clicks[row : row + 1], q.labels[row : row + 1], None, True)
            for q in bare
            for row in [int(np.flatnonzero(q.labels)[0])]
        ]
        for question, (logits, scores) in zip(bare, self._decode(embedding, first), strict=True):
            question.mask = logits[scores.argmax(0, keepdim=True)][0]

    def _decode(
        self, embedding: Embedding, questions: list[_Question]
    ) -> list[tuple[Tensor, Tensor]]:
        """Logits (c, m) and scores (c,) of each question, as the network gives them."""
        answers: dict[int, tuple[Tensor, Tensor]] = {}
        for kind in sorted({question.kind for question in questions}):
            rows = [row for row, question in enumerate(questions) if question.kind == kind]

            def decode(batch: slice, rows: list[int] = rows) -> None:
                asked = rows[batch]
                logits, scores = self._decode_batch(embedding, [questions[row] for row in asked])
                answers.update(zip(asked, zip(logits, scores, strict=True), strict=True))

            in_batches(len(rows), OBJECTS_AT_ONCE, decode)
        return [answers[row] for row in range(len(questions))]

    def _decode_batch(
        self, embedding: Embedding, questions: list[_Question]
    ) -> tuple[Tensor, Tensor]:
        """Questions of one kind: clicks padded to the most, padding hidden from attention.

        What the host knows goes up in one copy, and nothing is waited for.
        """
        counts = [len(question.labels) for question in questions]
        asked = np.full((len(questions), max(counts), 4), PADDING, np.float32)
        for row, question in enumerate(questions):
            asked[row, : counts[row], :3] = question.clicks
            asked[row, : counts[row], 3] = question.labels
        there = sent(asked, self.model.device)
        clicks, labels = there[..., :3], there[..., 3]
        masks = [question.mask for question in questions if question.mask is not None]
        votes = self.config.first_click_votes
        if votes and max(counts) == 1 and not masks and questions[0].multimask:
            return ask_around(self.model, embedding, clicks[:, 0], votes)
        logits, scores = self.model.decode(
            embedding.encoding,
            clicks[None],
            labels[None],
            visible=(labels != PADDING)[None] if min(counts) < max(counts) else None,
            mask_logits=torch.stack(masks)[None] if masks else None,
            multimask=questions[0].multimask,
        )
        return logits[0], scores[0]


@dataclass
class _Question:
    """A checked prompt in the network's terms: clicks (q, 3), labels (q,), mask (m,) or None."""

    clicks: np.ndarray
    labels: np.ndarray
    mask: Tensor | None
    multimask: bool

    @property
    def kind(self) -> tuple[bool, bool]:
        """Questions of one kind decode in one batch."""
        return self.mask is not None, self.multimask


def _features(kept: ReducedCloud, channels: int) -> Tensor:
    """Colours (1, m, channels) in [-1, 1]; mid grey where the cloud has none."""
    colors = kept.kept.colors
    if colors is None:
        return kept.kept.points.new_zeros(1, len(kept), channels)
    return (colors[None].float() / 255 - 0.5) / 0.5


def _mask_logits(prompt: Prompt, embedding: Embedding) -> Tensor | None:
    """The prompt's mask (m,) on the model's device."""
    mask = prompt.mask
    if mask is None:
        return None
    if isinstance(mask, Prediction):
        if mask.embedding is not embedding:
            raise PromptError("the mask belongs to another cloud; it must come from this embedding")
        if len(mask) != 1:
            raise PromptError(f"the mask prompt has {len(mask)} masks; choose one: .best()")
        mask = mask.prompt()
    if isinstance(mask, MaskPrompt):
        if len(mask.logits) != len(embedding.kept):
            raise PromptError(
                f"the mask prompt is of {len(mask.logits)} kept points, this cloud has "
                f"{len(embedding.kept)}: it belongs to another cloud, or was made in another way"
            )
        return mask.logits
    logits = np.asarray(mask)
    over_kept = logits.shape == (len(embedding.kept),) and logits.dtype.kind == "f"
    if over_kept and len(logits) == embedding.size:
        over_kept = bool((logits < 0).any())  # else they are probabilities
    if not over_kept and mask_of_source(logits, embedding.size) is not None:
        return None  # a claim
    if not over_kept:
        raise PromptError(
            f"the mask prompt is {logits.dtype} {logits.shape}; it must be the logits of an "
            f"earlier prediction on this cloud, float ({len(embedding.kept)},), or a mask of the "
            f"source, bool or float ({embedding.size},) or (rows, columns)"
        )
    if not np.isfinite(logits).all():
        raise PromptError("the mask prompt holds values that are not finite")
    return sent(logits.astype(np.float32), embedding.device)


def _best_first(logits: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    order = torch.argsort(scores, descending=True, stable=True)
    return logits[order], scores[order]
