"""One batch's gradients: encode a cloud once, share it over its objects and their clicks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from pointsam_model.nn import CloudEncoding, PointSAM, make_patches
from pointsam_model.training.batches import Batch
from pointsam_model.training.config import Stage, TrainingConfig
from pointsam_model.training.losses import iteration_loss
from pointsam_model.training.rollout import rollout


@dataclass(frozen=True)
class StepReport:
    """What one step saw: means over its objects.

    Attributes:
        loss: the weighted sum, mean over iterations.
        chosen: IoU of the first click's mask that the predicted IoU chooses.
        best: IoU of the best of the first click's three masks.
        last: IoU after the last click.
        iou_error: mean |predicted - true IoU| of the first click's masks.
    """

    loss: float
    chosen: float
    best: float
    last: float
    iou_error: float

    @classmethod
    def mean(cls, reports: Sequence[StepReport]) -> StepReport:
        """Of several batches."""
        return cls(
            *(
                sum(getattr(report, field.name) for report in reports) / len(reports)
                for field in fields(cls)
            )
        )


def learn(
    network: PointSAM, batch: Batch, stage: Stage, config: TrainingConfig, rng: np.random.Generator
) -> StepReport:
    """Adds the gradients of a batch, divided by the stage's `accumulate`, to the network's.

    Each iteration's graph is freed as soon as it is used: its gradient gathers on the cloud
    embedding, which goes back through the encoder once at the end.
    """
    network.requires_grad_(not stage.only_iou)
    network.mask_decoder.iou_prediction_head.requires_grad_()
    whole = encode(network, batch, stage, config)
    embedding = whole.embedding.detach().requires_grad_(not stage.only_iou)
    encoding = CloudEncoding(whole.patches, embedding, whole.position)
    iterations = _iterations(stage, config, rng)
    report = look(network, encoding, batch, iterations, config, rng, 1 / stage.accumulate)
    if not stage.only_iou:
        whole.embedding.backward(embedding.grad)
    return report


def encode(network: PointSAM, batch: Batch, stage: Stage, config: TrainingConfig) -> CloudEncoding:
    """The batch's clouds, embedded."""
    device = network.device
    coords = torch.from_numpy(batch.coords).to(device)
    patches = make_patches(coords, stage.patches, stage.patch_size)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):
        return network.encode(patches, torch.from_numpy(batch.features).to(device))


def look(
    network: PointSAM,
    encoding: CloudEncoding,
    batch: Batch,
    iterations: int,
    config: TrainingConfig,
    rng: np.random.Generator,
    weight: float = 1.0,
) -> StepReport:
    """Rolls the batch's clicks out and measures the masks.

    Where gradients are on, they are added for `weight` times the mean loss of the iterations.
    """
    truth = torch.from_numpy(batch.truth).to(network.device)[:, :, None]
    counted = torch.from_numpy(batch.counted).to(network.device)[:, None, None]
    total = 0.0
    first: dict[str, float] = {}
    for logits, predicted in rollout(
        network,
        encoding,
        batch,
        iterations,
        rng,
        centered=config.center_clicks,
        repeats=config.repeats,
        refine_masks=config.refine_masks,
        bfloat16=config.bfloat16,
    ):
        objects = truth[:, : logits.shape[1]]
        loss, ious = iteration_loss(logits, predicted, objects, counted, config)
        if loss.requires_grad:
            (loss * (weight / iterations)).backward()
        total += float(loss.detach()) / iterations
        chosen = float(ious.take_along_dim(predicted.argmax(-1, keepdim=True), -1).mean())
        first = first or {"chosen": chosen, **_all_masks(predicted.detach(), ious)}
    return StepReport(loss=total, last=chosen, **first)


def _iterations(stage: Stage, config: TrainingConfig, rng: np.random.Generator) -> int:
    if rng.random() >= config.refine_share:
        return 1
    drawn = 1 + int(rng.integers(stage.refinements))
    return 1 + (drawn if stage.draw_refinements else stage.refinements)


def _all_masks(predicted: Tensor, ious: Tensor) -> dict[str, float]:
    return {
        "best": float(ious.amax(-1).mean()),
        "iou_error": float((predicted - ious).abs().mean()),
    }
