"""Prompts converted to the network's inputs and decoded in batches."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pointsam_model.config.settings import PredictorConfig
from pointsam_model.device.batches import in_batches
from pointsam_model.device.transfer import sent
from pointsam_model.nn import PointSAM
from pointsam_model.segment.embedding import Embedding
from pointsam_model.segment.voting import ask_around

OBJECTS_AT_ONCE = 32  # objects per decoder batch; bounds the memory
PADDING = -1.0  # label of padding, which is not a click


@dataclass(frozen=True)
class Question:
    """A prompt for one object of an embedded cloud, as the network takes it.

    Attributes:
        clicks: (q,3) float32, normalised coordinates; at least one click.
        labels: (q,) 1 on, 0 off the object.
        mask: (m,) logits of a mask prompt, on the model's device, or None.
        multimask: whether three masks are decoded, or one.
    """

    clicks: np.ndarray
    labels: np.ndarray
    mask: Tensor | None
    multimask: bool

    @property
    def kind(self) -> tuple[bool, bool]:
        """Whether there is a mask, and multimask; one batch needs one kind."""
        return self.mask is not None, self.multimask


class Asking:
    """Runs the network on prompts for objects of a cloud.

    Args:
        model: the network, in evaluation mode.
        config: how first clicks are answered.
    """

    def __init__(self, model: PointSAM, config: PredictorConfig) -> None:
        self.model = model
        self.config = config

    def after_first_clicks(self, embedding: Embedding, questions: list[Question]) -> list[Question]:
        """Adds a mask, from the first click on the object, to several clicks without one."""
        bare = [row for row, q in enumerate(questions) if q.mask is None and len(q.labels) > 1]
        first = []
        for row in bare:
            question = questions[row]
            on = int(np.flatnonzero(question.labels)[0])
            at = slice(on, on + 1)
            first.append(Question(question.clicks[at], question.labels[at], None, True))
        asked = list(questions)
        for row, (logits, scores) in zip(bare, self.answers(embedding, first), strict=True):
            asked[row] = replace(asked[row], mask=logits[scores.argmax(0, keepdim=True)][0])
        return asked

    def answers(
        self, embedding: Embedding, questions: list[Question]
    ) -> list[tuple[Tensor, Tensor]]:
        """Logits (c, m) and predicted IoUs (c,) for each question, in the network's order."""
        answers: dict[int, tuple[Tensor, Tensor]] = {}
        for kind in sorted({question.kind for question in questions}):
            rows = [row for row, question in enumerate(questions) if question.kind == kind]

            def decode(batch: slice, rows: list[int] = rows) -> None:
                asked = rows[batch]
                logits, scores = self._decode(embedding, [questions[row] for row in asked])
                answers.update(zip(asked, zip(logits, scores, strict=True), strict=True))

            in_batches(len(rows), OBJECTS_AT_ONCE, decode)
        return [answers[row] for row in range(len(questions))]

    def _decode(self, embedding: Embedding, questions: list[Question]) -> tuple[Tensor, Tensor]:
        """Decodes questions of one kind, clicks padded to the longest and padding masked out.

        Clicks and labels are sent in one copy; the host does not wait for the device.
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
