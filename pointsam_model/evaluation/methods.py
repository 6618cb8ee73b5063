"""One method on many clouds: its masks for clicks and its proposals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pointsam_model.evaluation.data import LabelledCloud
from pointsam_model.evaluation.proposals import GeneratorLike, ProposalResult, evaluate_proposals
from pointsam_model.evaluation.protocol import ObjectResult, PredictorLike, evaluate_cloud
from pointsam_model.evaluation.summary import Summary, summarise


@dataclass
class Method:
    """What is measured, and what came out so far.

    Attributes:
        name: what tables call it.
        predictor: answers clicks.
        generator: makes proposals; None: they are not measured.
        clicks: how many each object gets, at least 1.
        color: False hides the clouds' colours from it.
        objects: a result for each object of the clouds so far.
        proposals: a result for each of these clouds that has an object.
    """

    name: str
    predictor: PredictorLike
    generator: GeneratorLike | None = None
    clicks: int = 10
    color: bool = True
    objects: list[ObjectResult] = field(default_factory=list)
    proposals: list[ProposalResult] = field(default_factory=list)

    def measure(
        self,
        cloud: LabelledCloud,
        on_mask: Callable[[int, int, NDArray[np.bool_]], None] | None = None,
    ) -> None:
        """Measures one more cloud; one without objects adds nothing."""
        found = evaluate_cloud(
            self.predictor, cloud, self.clicks, color=self.color, on_mask=on_mask
        )
        self.objects += found
        if found and self.generator is not None:
            self.proposals.append(evaluate_proposals(self.generator, cloud, color=self.color))

    def summary(self) -> Summary:
        """Means over the objects so far.

        Raises:
            CloudError: there is none.
        """
        return summarise(self.objects, self.proposals)
