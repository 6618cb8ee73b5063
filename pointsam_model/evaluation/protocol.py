"""IoU@k: what a user gets after k clicks (paper, section 5.1).

Every object of a cloud is clicked as `evaluation.clicks` says, on the full-resolution points. The
first click asks for several masks and keeps the one of highest predicted IoU; each later click
gives all clicks so far and refines that mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pointsam_model import Cloud, Prompt
from pointsam_model.evaluation.clicks import POSITIVE, first_click, next_click
from pointsam_model.evaluation.data import MIN_OBJECT_POINTS, LabelledCloud


class PredictionLike(Protocol):
    """What the protocol reads of a prediction."""

    @property
    def masks(self) -> NDArray[np.bool_]:
        """(c,n) masks over the source points, best first."""

    @property
    def scores(self) -> NDArray[np.float32]:
        """(c,) predicted IoU."""

    def best(self) -> Any:
        """The best mask alone, as a mask prompt."""


class PredictorLike(Protocol):
    """Anything that can be evaluated: `Predictor`, or what stands in for it."""

    def embed(self, cloud: Cloud) -> Any:
        """Looks at a cloud once."""

    def segment(self, embedding: Any, prompts: Sequence[Prompt]) -> Sequence[Any]:
        """Answers one prompt an object; each answer is a `PredictionLike`."""


@dataclass(frozen=True)
class ObjectResult:
    """How one object came out.

    Attributes:
        cloud: name of its cloud.
        label: its label there.
        points: how many counted points it has.
        ious: IoU after each click, by the mask that the predicted IoU chooses, 0 to 1.
        best_of_first: highest IoU among all masks of the first click, 0 to 1.
        predicted: predicted IoU after each click.
        clicks: ((row, label), ...) as they were made; a mask that became right needs no more.
    """

    cloud: str
    label: int
    points: int
    ious: tuple[float, ...]
    best_of_first: float
    predicted: tuple[float, ...]
    clicks: tuple[tuple[int, int], ...]


def evaluate_cloud(
    predictor: PredictorLike,
    cloud: LabelledCloud,
    clicks: int = 10,
    *,
    min_points: int = MIN_OBJECT_POINTS,
    color: bool = True,
    on_mask: Callable[[int, int, NDArray[np.bool_]], None] | None = None,
) -> list[ObjectResult]:
    """Clicks every object of a cloud and measures the masks.

    All objects are prompted together: one `segment` call for each round of clicks.

    Args:
        predictor: what is measured.
        cloud: the points and their truth. Points labelled -1 stay in the cloud that the predictor
            sees, and count nowhere else.
        clicks: how many clicks each object gets, at least 1.
        min_points: objects with fewer counted points are left out.
        color: False hides the cloud's colours from the predictor.
        on_mask: is told each object's label, the number of its click from 1, and the (n,) mask.

    Returns:
        One result an object, by label.
    """
    if clicks < 1:
        raise ValueError(f"clicks is {clicks}; it must be at least 1")
    labels = cloud.objects(min_points)
    if not labels:
        return []
    counted = cloud.counted
    rounds = [_Rollout(cloud, label, counted) for label in labels]
    embedding = predictor.embed(cloud.as_seen(color))
    for click in range(1, clicks + 1):
        open_rounds = [item for item in rounds if not item.finished]
        if open_rounds:
            predictions = predictor.segment(embedding, [item.prompt() for item in open_rounds])
            for item, prediction in zip(open_rounds, predictions, strict=True):
                item.take(prediction)
        for item in rounds:
            item.score()
            if on_mask is not None and item.mask is not None:
                on_mask(item.label, click, item.mask)
    return [item.result() for item in rounds]


def iou(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_], counted: NDArray[np.bool_]
) -> float:
    """Intersection over union over the counted points; two empty masks agree: 1."""
    union = np.count_nonzero((predicted | truth) & counted)
    return 1.0 if union == 0 else np.count_nonzero(predicted & truth & counted) / union


class _Rollout:
    """One object on its way through the clicks."""

    def __init__(self, cloud: LabelledCloud, label: int, counted: NDArray[np.bool_]) -> None:
        self.cloud, self.label, self.counted = cloud, label, counted
        self.truth = (cloud.label == label) & counted
        row = first_click(cloud.xyz, self.truth, counted)
        assert row is not None, "objects() gives only objects with points"
        self.clicks: list[tuple[int, int]] = [(row, POSITIVE)]
        self.mask: NDArray[np.bool_] | None = None
        self.mask_prompt: Any = None
        self.best_of_first = 0.0
        self.predicted_iou = 0.0
        self.ious: list[float] = []
        self.predicted: list[float] = []
        self.finished = False

    def prompt(self) -> Prompt:
        rows = [row for row, _ in self.clicks]
        return Prompt(
            points=np.asarray(self.cloud.xyz[rows]),
            labels=np.array([label for _, label in self.clicks]),
            mask=self.mask_prompt,
            multimask=self.mask_prompt is None,
        )

    def take(self, prediction: PredictionLike) -> None:
        """Takes the answer to the newest click and makes the next one."""
        masks = np.asarray(prediction.masks)
        chosen = int(np.argmax(prediction.scores))
        self.mask = masks[chosen]
        self.predicted_iou = float(prediction.scores[chosen])
        if self.mask_prompt is None:
            self.best_of_first = max(iou(mask, self.truth, self.counted) for mask in masks)
        self.mask_prompt = prediction.best()
        click = next_click(self.cloud.xyz, self.truth, self.mask, self.counted)
        if click is None:
            self.finished = True
        else:
            self.clicks.append(click)

    def score(self) -> None:
        assert self.mask is not None
        self.ious.append(iou(self.mask, self.truth, self.counted))
        self.predicted.append(self.predicted_iou)

    def result(self) -> ObjectResult:
        return ObjectResult(
            cloud=self.cloud.name,
            label=self.label,
            points=int(np.count_nonzero(self.truth)),
            ious=tuple(self.ious),
            best_of_first=self.best_of_first,
            predicted=tuple(self.predicted),
            clicks=tuple(self.clicks[: len(self.ious)]),
        )
