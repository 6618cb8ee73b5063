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
from pointsam_model.data.clicks import POSITIVE, FirstClick, first_clicks, next_click
from pointsam_model.data.clouds import MIN_OBJECT_POINTS, LabelledCloud
from pointsam_model.evaluation.timing import Seconds, timed


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
        draw: which of the first clicks on it began this, from 0.
    """

    cloud: str
    label: int
    points: int
    ious: tuple[float, ...]
    best_of_first: float
    predicted: tuple[float, ...]
    clicks: tuple[tuple[int, int], ...]
    draw: int = 0


def evaluate_cloud(
    predictor: PredictorLike,
    cloud: LabelledCloud,
    clicks: int = 10,
    *,
    min_points: int = MIN_OBJECT_POINTS,
    color: bool = True,
    first: FirstClick = "deepest",
    on_mask: Callable[[int, int, NDArray[np.bool_]], None] | None = None,
    seconds: Seconds | None = None,
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
        first: where the first click goes, see `first_clicks`.
        on_mask: is told each object's label, the number of its click from 1, and the (n,) mask; of
            several first clicks on an object only what the first of them led to.
        seconds: what the times are added to.

    Returns:
        One result an object and first click, by label.
    """
    if clicks < 1:
        raise ValueError(f"clicks is {clicks}; it must be at least 1")
    labels = cloud.objects(min_points)
    if not labels:
        return []
    rounds = [item for label in labels for item in _rollouts(cloud, label, first)]
    seconds = Seconds() if seconds is None else seconds
    seen = cloud.as_seen(color)
    with timed(seconds.embedding):
        embedding = predictor.embed(seen)
    for click in range(1, clicks + 1):
        open_rounds = [item for item in rounds if not item.finished]
        if open_rounds:
            prompts = [item.prompt() for item in open_rounds]
            with timed(seconds.first if click == 1 else seconds.refining, len(prompts)):
                predictions = predictor.segment(embedding, prompts)
                answers = [np.asarray(prediction.masks) for prediction in predictions]
            for item, prediction, masks in zip(open_rounds, predictions, answers, strict=True):
                item.take(prediction, masks)
        for item in rounds:
            item.score()
            if on_mask is not None and item.draw == 0 and item.mask is not None:
                on_mask(item.label, click, item.mask)
    return [item.result() for item in rounds]


def iou(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_], counted: NDArray[np.bool_]
) -> float:
    """Intersection over union over the counted points; two empty masks agree: 1."""
    union = np.count_nonzero((predicted | truth) & counted)
    return 1.0 if union == 0 else np.count_nonzero(predicted & truth & counted) / union


def _rollouts(cloud: LabelledCloud, label: int, first: FirstClick) -> list[_Rollout]:
    """One object's, for each first click on it."""
    truth = (cloud.instance == label) & cloud.counted
    name = f"{cloud.name}:{label}"
    rows = first_clicks(first, cloud.xyz, truth, cloud.counted, name)
    return [_Rollout(cloud, label, truth, row, draw) for draw, row in enumerate(rows)]


class _Rollout:
    """One object on its way through the clicks."""

    def __init__(
        self, cloud: LabelledCloud, label: int, truth: NDArray[np.bool_], row: int, draw: int
    ) -> None:
        self.cloud, self.label, self.truth, self.draw = cloud, label, truth, draw
        self.counted = cloud.counted
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

    def take(self, prediction: PredictionLike, masks: NDArray[np.bool_]) -> None:
        """Takes the answer to the newest click, its masks (c,n), and makes the next one."""
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
            draw=self.draw,
        )
