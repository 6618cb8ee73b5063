"""The training loop: encode a cloud once, share it over its objects and their clicks."""

from __future__ import annotations

import csv
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pointsam_model.config import ModelConfig
from pointsam_model.nn import CloudEncoding, PointSAM, make_patches
from pointsam_model.training.batches import Batch, draw_batch
from pointsam_model.training.clicks import first_clicks, next_clicks
from pointsam_model.training.config import Stage, TrainingConfig
from pointsam_model.training.initialise import initialise
from pointsam_model.training.losses import dice_loss, focal_loss, mask_iou
from pointsam_model.training.pool import Pool
from pointsam_model.training.state import TrainingState
from pointsam_model.weights.loading import read_weights
from pointsam_model.weights.saving import save_checkpoint

REFRESH_EVERY = 100  # steps between looks for new scenes in the pool


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


def train(
    config: TrainingConfig,
    *,
    device: str = "cpu",
    report: Callable[[int, StepReport], None] | None = None,
) -> PointSAM:
    """Trains until the last stage ends; a run that was stopped at any moment goes on.

    Every step draws from its own generator, so a resumed run sees what it would have seen.

    Args:
        report: called after every step, to show progress.

    Raises:
        ConfigError: a run that cannot start.

    Returns:
        The network with averaged weights; also written to `output/model.safetensors`.
    """
    config.check()
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    network = PointSAM(ModelConfig.from_json(config.model))
    initialise(network, config.seed)
    if config.start:
        read_weights(network, Path(config.start), torch.device("cpu"), torch.float32)
    network.to(device).train()
    state = TrainingState.resume(network, config, output / "state.safetensors")
    pool = Pool(config.pool)
    saved = started = time.monotonic()
    with (output / "log.csv").open("a", newline="") as file:
        log = csv.writer(file)
        for step in range(state.step, config.steps):
            if step % REFRESH_EVERY == 0:
                pool.refresh()
            stage, rate = config.stage_at(step)
            rng = np.random.default_rng([config.seed, step])
            batch = draw_batch(pool, stage, config, rng)
            losses = _step(network, batch, stage, config, rng)
            state.update(rate)
            row = [f"{value:.4f}" for value in vars(losses).values()]
            log.writerow([step, f"{time.monotonic() - started:.1f}", f"{rate:.2e}", *row])
            if report:
                report(step, losses)
            if time.monotonic() - saved > config.save_every_s or state.step == config.steps:
                file.flush()
                state.save()
                saved = time.monotonic()
                _save_average(state, config, output / "model.safetensors")
    state.load_average()
    return network.eval()


def _step(
    network: PointSAM,
    batch: Batch,
    stage: Stage,
    config: TrainingConfig,
    rng: np.random.Generator,
) -> StepReport:
    """Leaves the gradients of one batch in the network.

    Each iteration's graph is freed as soon as it is used: its gradient gathers on the cloud
    embedding, which goes back through the encoder once at the end.
    """
    device = network.device
    coords = torch.from_numpy(batch.coords).to(device)
    features = torch.from_numpy(batch.features).to(device)
    truth = torch.from_numpy(batch.truth).to(device)
    counted = torch.from_numpy(batch.counted).to(device)[:, None]
    network.requires_grad_(not stage.only_iou)
    network.mask_decoder.iou_prediction_head.requires_grad_()
    patches = make_patches(coords, stage.patches, stage.patch_size)
    cast = torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16)
    with cast:
        whole = network.encode(patches, features)
    embedding = whole.embedding.detach().requires_grad_(not stage.only_iou)
    encoding = CloudEncoding(patches, embedding, whole.position)

    iterations = 2 + int(rng.integers(stage.refinements))
    rows = np.stack(
        [
            first_clicks(xyz, masks, known, rng, config.center_clicks)
            for xyz, masks, known in zip(batch.coords, batch.truth, batch.counted, strict=True)
        ]
    )[..., None]
    labels = np.ones_like(rows)
    mask_logits: Tensor | None = None
    total, report = 0.0, {}
    for iteration in range(iterations):
        clicks = torch.from_numpy(
            np.stack([batch.coords[cloud][chosen] for cloud, chosen in enumerate(rows)])
        ).to(device)
        with cast:
            logits, predicted = network.decode(
                encoding,
                clicks,
                torch.from_numpy(labels).to(device),
                mask_logits=mask_logits,
                multimask=iteration == 0,
            )
        loss, ious = _loss(logits, predicted, truth[:, :, None], counted[:, :, None], config)
        (loss / iterations).backward()
        total += float(loss.detach()) / iterations
        best = predicted.argmax(-1, keepdim=True)
        mask_logits = logits.detach().take_along_dim(best[..., None], 2)[:, :, 0]
        if iteration == 0:
            report = {
                "chosen": float(ious.take_along_dim(best, -1).mean()),
                "best": float(ious.amax(-1).mean()),
                "iou_error": float((predicted.detach() - ious).abs().mean()),
            }
        if iteration < iterations - 1:
            new = [
                next_clicks(*arrays, rng, config.center_clicks)
                for arrays in zip(
                    batch.coords,
                    batch.truth,
                    (mask_logits > 0).cpu().numpy(),
                    batch.counted,
                    strict=True,
                )
            ]
            rows = np.concatenate([rows, np.stack([row for row, _ in new])[..., None]], -1)
            labels = np.concatenate([labels, np.stack([kind for _, kind in new])[..., None]], -1)
    if not stage.only_iou:
        whole.embedding.backward(embedding.grad)
    return StepReport(
        total, report["chosen"], report["best"], float(ious.mean()), report["iou_error"]
    )


def _loss(
    logits: Tensor, predicted: Tensor, truth: Tensor, counted: Tensor, config: TrainingConfig
) -> tuple[Tensor, Tensor]:
    """The loss of one iteration and the true IoUs (b, m, c).

    Of several masks the best one learns (hindsight), and so does the one that users would get, of
    the highest predicted IoU; the others learn a little, so that none dies. The IoU head learns
    from all of them: told only of the best, it cannot choose.
    """
    mask_loss = config.focal * focal_loss(logits, truth, counted)
    mask_loss = mask_loss + config.dice * dice_loss(logits, truth, counted)
    with torch.no_grad():
        ious = mask_iou(logits, truth, counted)
    iou_loss = ((predicted - ious) ** 2).mean()
    hindsight = mask_loss.amin(-1).mean()
    if mask_loss.shape[-1] > 1:
        chosen = mask_loss.take_along_dim(predicted.argmax(-1, keepdim=True), -1)
        hindsight = hindsight + config.chosen_mask * chosen.mean()
        hindsight = hindsight + config.other_masks * mask_loss.mean()
    return hindsight + config.iou * iou_loss, ious


def _save_average(state: TrainingState, config: TrainingConfig, path: Path) -> None:
    network = PointSAM(state.network.config)
    network.load_state_dict(state.average)
    about = {
        "command": shlex.join(sys.argv),
        "seed": str(config.seed),
        "steps": str(state.step),
        "training": repr(config),
    }
    save_checkpoint(network, path, dtype=torch.float16, about=about)
