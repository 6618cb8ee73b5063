"""One batch's gradients: encode a cloud once, share it over its objects and their clicks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from pointsam_model.nn import CloudEncoding, PointSAM, make_patches
from pointsam_model.training.batches import Batch
from pointsam_model.training.clicks import Choice
from pointsam_model.training.config import Stage, TrainingConfig
from pointsam_model.training.losses import iteration_loss
from pointsam_model.training.mask_prompts import MaskPrompts, mask_prompts
from pointsam_model.training.masks import Masks
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
    network: PointSAM,
    batch: Batch,
    stage: Stage,
    config: TrainingConfig,
    rng: np.random.Generator,
    kept: CloudEncoding | None = None,
    between: Callable[[], object] = lambda: None,
) -> StepReport:
    """Adds the gradients of a batch, divided by the stage's `accumulate`, to the network's.

    Each iteration's graph is freed as soon as it is used: its gradient gathers on the cloud
    embedding, which goes back through the encoder once at the end.

    Args:
        kept: the batch's clouds, embedded before: the encoder does not learn. None: it does.
        between: called between two of the stage's `decoder_steps`, to update the decoder with the
            gradients so far; those of the encoder come after the last one.
    """
    network.requires_grad_(not stage.only_iou)
    network.mask_decoder.iou_prediction_head.requires_grad_()
    network.pc_encoder.requires_grad_(kept is None and not stage.only_iou)
    whole = kept or encode(network, batch, stage, config)
    embedding = whole.embedding.detach().requires_grad_(whole.embedding.requires_grad)
    encoding = CloudEncoding(whole.patches, embedding, whole.position)
    reports = []
    for number in range(stage.decoder_steps):
        if number:
            between()
        objects = batch.objects(number * stage.masks, stage.masks)
        iterations = _iterations(stage, config, rng)
        weight = 1 / stage.accumulate
        reports.append(look(network, encoding, objects, iterations, config, rng, weight))
    if embedding.grad is not None:
        whole.embedding.backward(embedding.grad / stage.decoder_steps)
    return StepReport.mean(reports)


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
    prompt = _prompt(batch, config, rng)
    total = 0.0
    first: dict[str, float] = {}
    count = iterations + (0 if prompt is None else 1)
    of_clicks = rollout(network, encoding, batch, iterations, rng, config)
    of_prompts = () if prompt is None else rollout(network, encoding, batch, 1, rng, config, prompt)
    for masks in of_clicks:
        loss, ious = _learned(masks, config, weight / count)
        total += loss / count
        chosen = float(ious.take_along_dim(masks.predicted.argmax(-1, keepdim=True), -1).mean())
        first = first or {"chosen": chosen, **_all_masks(masks.predicted.detach(), ious)}
    for masks in of_prompts:
        total += _learned(masks, config, weight / count)[0] / count
    return StepReport(loss=total, last=chosen, **first)


def _learned(masks: Masks, config: TrainingConfig, weight: float) -> tuple[float, Tensor]:
    """The loss of an iteration and its masks' IoUs (b, m, c); gradients are added where on."""
    loss, ious = iteration_loss(masks, config)
    if loss.requires_grad:
        (loss * weight).backward()
    return float(loss.detach()), ious


def _prompt(batch: Batch, config: TrainingConfig, rng: np.random.Generator) -> MaskPrompts | None:
    if not config.prompt_share or rng.random() >= config.prompt_share:
        return None
    choice = Choice(rng, config.center_clicks, config.click_candidates)
    objects = min(config.refine_masks or batch.truth.shape[1], batch.truth.shape[1])
    return mask_prompts(batch, objects, rng, choice)


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
