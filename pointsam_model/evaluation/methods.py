"""One method on many clouds: its masks for clicks and its proposals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pointsam_model.data.clicks import FirstClick
from pointsam_model.data.clouds import LabelledCloud
from pointsam_model.evaluation.proposals import GeneratorLike, ProposalResult, evaluate_proposals
from pointsam_model.evaluation.protocol import ObjectResult, PredictorLike, evaluate_cloud
from pointsam_model.evaluation.summary import Summary, summarise
from pointsam_model.evaluation.timing import Seconds


@dataclass
class Method:
    """What is measured, and what came out so far.

    Attributes:
        name: what tables call it.
        predictor: answers clicks.
        generator: makes proposals; None: they are not measured.
        clicks: how many each object gets, at least 1.
        color: False hides the clouds' colours from it.
        first: where the first click goes, see `first_clicks`.
        predicts_iou: whether its scores are predicted IoUs.
        objects: a result for each object, and first click on it, of the clouds so far.
        proposals: a result for each of these clouds that has an object or is bare.
        seconds: what was waited for masks.
    """

    name: str
    predictor: PredictorLike
    generator: GeneratorLike | None = None
    clicks: int = 10
    color: bool = True
    first: FirstClick = "deepest"
    predicts_iou: bool = False
    objects: list[ObjectResult] = field(default_factory=list)
    proposals: list[ProposalResult] = field(default_factory=list)
    seconds: Seconds = field(default_factory=Seconds)

    def measure(
        self,
        cloud: LabelledCloud,
        on_mask: Callable[[int, int, NDArray[np.bool_]], None] | None = None,
    ) -> None:
        """Measures one more cloud. One without any object counts by its proposals alone, and one
        with nothing but objects too small to count adds nothing."""
        found = evaluate_cloud(
            self.predictor,
            cloud,
            self.clicks,
            color=self.color,
            first=self.first,
            on_mask=on_mask,
            seconds=self.seconds,
        )
        self.objects += found
        if self.generator is not None and (found or cloud.is_bare):
            self.proposals.append(evaluate_proposals(self.generator, cloud, color=self.color))

    def summary(self) -> Summary:
        """Means over the objects so far.

        Raises:
            CloudError: there is none, and no bare cloud on which it proposed.
        """
        return summarise(self.objects, self.proposals, self.predicts_iou)
