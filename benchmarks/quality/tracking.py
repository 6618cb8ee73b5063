"""Do ids stay with objects, and are prompted objects followed? On generated sequences.

    python -m benchmarks.quality.tracking

A camera goes around generated tabletops, 5 clouds a second, while one object is carried aside.

Tracking: masks are the true ones, faulty ones (the true ones with errors as segmentation makes
them), and the proposals of a checkpoint. Beside the tracker stands what these masks would give if
every id were right. Following: objects are prompted in the first cloud with up to 5 clicks, as a
user would until the mask is good, and followed from there; MOTA and IDF1 of these count the
prompted objects in the later clouds. Where camera and objects stand still, only the sensor's noise
differs from cloud to cloud: the masks' IoU tells whether they drift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.quality.tracking_sequences import (
    MovingCloud,
    faulty_masks,
    moving_sequence,
    true_masks,
)
from pointsam_model import (
    Cloud,
    Embedding,
    Follower,
    Instance,
    Prediction,
    Predictor,
    Prompt,
    ProposalGenerator,
    Tracker,
    load_model,
)
from pointsam_model.data.clouds import IGNORED
from pointsam_model.evaluation import LabelledCloud, evaluate_cloud, iou
from pointsam_model.evaluation.tracking import TrackedCloud, TrackingResult, evaluate_tracking

CLICKS = 5
RESTING, RESTING_SEED = 41, 10  # clouds in which all rests, and the first of their tables
GOOD = 0.7  # IoU of a mask that a user goes on with
SAME = 0.5  # IoU from which an object is found


def main(
    sequences: Annotated[int, typer.Option(min=1, help="tables, each with its own seed")] = 20,
    clouds: Annotated[int, typer.Option(min=2, help="clouds per sequence")] = 12,
    proposed: Annotated[int, typer.Option(min=0, help="how many with proposals; slow")] = 3,
    followed: Annotated[int, typer.Option(min=0, help="how many with prompted objects")] = 10,
    standing: Annotated[int, typer.Option(min=0, help="tables with everything at rest")] = 3,
    checkpoint: Annotated[Path | None, typer.Option(help="weights; default: the shipped")] = None,
) -> None:
    """Prints MOTA and IDF1 for each kind of masks, and how many objects were followed."""
    generator = ProposalGenerator(load_model("tiny", checkpoint))
    predictor = generator.predictor
    tracked: dict[str, list[TrackingResult]] = {}
    outcomes: list[str] = []
    for seed in track(range(sequences), "sequences"):
        rng = Random(seed)
        sequence = moving_sequence(seed, clouds)
        kinds: dict[str, list[Sequence[Any]]] = {
            "true": [list(true_masks(cloud)) for cloud in sequence],
            "faulty": [list(faulty_masks(cloud, rng)) for cloud in sequence],
        }
        if seed < proposed:
            kinds["proposed"] = [
                generator.generate(Cloud(cloud.xyz, cloud.rgb)) for cloud in sequence
            ]
        for name, masks in kinds.items():
            tracked.setdefault(name, []).append(_tracked(sequence, masks))
        if seed < followed:
            embeddings = [predictor.embed(Cloud(cloud.xyz, cloud.rgb)) for cloud in sequence]
            became, result = _followed(predictor, sequence, embeddings)
            outcomes += became
            tracked.setdefault("followed", []).append(result)
    ious: list[list[float]] = []
    for seed in track(range(RESTING_SEED, RESTING_SEED + standing), "all rests"):
        ious += _at_rest(predictor, moving_sequence(seed, RESTING, turn_deg=0.0, carried_m=0.0))
    Console().print(_tracking_table(tracked))
    if outcomes:
        Console().print(_following_table(outcomes))
    if ious:
        Console().print(_drift_table(np.array(ious)))


def _tracked(sequence: Sequence[MovingCloud], masks: Sequence[Sequence[Any]]) -> TrackingResult:
    """The tracker on the masks of each cloud."""
    tracker = Tracker()
    clouds = []
    for cloud, found in zip(sequence, masks, strict=True):
        ids = tracker.update(found, cloud.stamp_s, cloud.transform)
        rows = {known: mask.indices for known, mask in zip(ids, found, strict=True)}
        clouds.append(TrackedCloud(cloud.label, rows))
    return evaluate_tracking(clouds)


def _followed(
    predictor: Predictor, sequence: Sequence[MovingCloud], embeddings: Sequence[Embedding]
) -> tuple[list[str], TrackingResult]:
    """Prompts objects in the first cloud and follows those whose mask is good.

    Returns:
        What became of each in each later cloud, and the same as tracks: truth is these objects, and
        all else is background.
    """
    prompted = _prompted(predictor, sequence[0], embeddings[0])
    followers = {
        label: Follower(prediction, sequence[0].stamp_s, sequence[0].transform)
        for label, prediction in prompted.items()
    }
    outcomes, clouds = [], []
    for cloud, embedding in zip(sequence[1:], embeddings[1:], strict=True):
        found = _seen(followers, predictor, cloud, embedding)
        lost = {label for label, follower in followers.items() if follower.lost(cloud.stamp_s)}
        outcomes += [_outcome(cloud, label, found.get(label), label in lost) for label in followers]
        truth = np.where(np.isin(cloud.label, [*followers, IGNORED]), cloud.label, 0)
        clouds.append(
            TrackedCloud(truth, {label: instance.indices for label, instance in found.items()})
        )
    return [outcome for outcome in outcomes if outcome], evaluate_tracking(clouds)


def _prompted(
    predictor: Predictor, cloud: MovingCloud, embedding: Embedding
) -> dict[int, Prediction]:
    """The good masks of a cloud's objects, each after as few clicks as it takes."""
    first = LabelledCloud(cloud.xyz, cloud.rgb, 1, len(cloud.xyz), "", instance=cloud.label)
    good = {}
    for result in evaluate_cloud(predictor, first, CLICKS):
        needed = next((k for k, value in enumerate(result.ious, 1) if value >= GOOD), None)
        if needed is None:
            continue
        rows, labels = (np.array(column) for column in zip(*result.clicks[:needed], strict=True))
        (prediction,) = predictor.segment(embedding, [Prompt(first.xyz[rows], labels)])
        if iou(prediction.masks[0], first.instance == result.label, first.counted) >= GOOD:
            good[result.label] = prediction
    return good


def _seen(
    followers: Mapping[int, Follower],
    predictor: Predictor,
    cloud: MovingCloud,
    embedding: Embedding,
) -> dict[int, Instance]:
    """The followed objects that are found in a cloud, asked for in one batch."""
    place = cloud.stamp_s, cloud.transform
    prompts = {
        label: prompt
        for label, follower in followers.items()
        if (prompt := follower.prompt(embedding, *place)) is not None
    }
    answers = predictor.segment(embedding, list(prompts.values()))
    seen = {
        label: followers[label].see(answer, *place)
        for label, answer in zip(prompts, answers, strict=True)
    }
    return {label: instance for label, instance in seen.items() if instance is not None}


def _at_rest(predictor: Predictor, sequence: Sequence[MovingCloud]) -> list[list[float]]:
    """IoU of each prompted object's masks in the clouds of a camera that stands still."""
    first, *later = sequence
    prompted = _prompted(predictor, first, predictor.embed(Cloud(first.xyz, first.rgb)))
    followers = {label: Follower(answer, first.stamp_s) for label, answer in prompted.items()}
    ious = {
        label: [iou(answer.masks[0], first.label == label, first.label >= 0)]
        for label, answer in prompted.items()
    }
    for cloud in later:
        known = replace(cloud, transform=np.eye(4))
        found = _seen(followers, predictor, known, predictor.embed(Cloud(cloud.xyz, cloud.rgb)))
        for label, values in ious.items():
            values.append(_iou(cloud, label, found[label]) if label in found else 0.0)
    return list(ious.values())


def _outcome(cloud: MovingCloud, label: int, instance: Instance | None, is_lost: bool) -> str:
    """What `_following_table` counts; "" where there was nothing to find and nothing was."""
    truth: NDArray[np.bool_] = cloud.label == label
    if instance is None:
        if not truth.any():
            return ""
        return "lost" if is_lost else "not seen"
    covered = _iou(cloud, label, instance)
    return "found" if covered >= SAME else "in part" if covered > 0.1 else "wrong"


def _iou(cloud: MovingCloud, label: int, instance: Instance) -> float:
    mask = np.zeros(len(cloud.label), bool)
    mask[instance.indices] = True
    return iou(mask, cloud.label == label, cloud.label >= 0)


def _tracking_table(results: dict[str, list[TrackingResult]]) -> Table:
    columns = ("masks", "sequences", "objects", "lost", "false", "switches", "MOTA", "IDF1")
    table = Table(*columns, caption="(in brackets: with the same masks and every id right)")
    for name, parts in results.items():
        total = sum(parts[1:], parts[0])
        right = total.with_right_ids()
        table.add_row(
            name,
            *map(str, (len(parts), total.objects, total.lost, total.false, total.switches)),
            f"{100 * total.mota:.1f} ({100 * right.mota:.1f})",
            f"{100 * total.idf1:.1f} ({100 * right.idf1:.1f})",
        )
    return table


def _following_table(outcomes: Sequence[str]) -> Table:
    kinds = ("found", "in part", "wrong", "not seen", "lost")
    table = Table("followed, clouds", *(f"{kind} [%]" for kind in kinds))
    shares = (100 * outcomes.count(kind) / len(outcomes) for kind in kinds)
    table.add_row(str(len(outcomes)), *(f"{share:.1f}" for share in shares))
    table.caption = "found: IoU 0.5 or more; in part: above 0.1"
    return table


def _drift_table(ious: NDArray[np.float64]) -> Table:
    """Of objects (rows) the IoU in each cloud (columns)."""
    clouds = (0, 1, 10, 20, 40)
    table = Table("at rest, objects", *(f"cloud {number}" for number in clouds), "found [%]")
    found = 100 * np.mean(ious[:, 1:] >= SAME)
    table.add_row(
        str(len(ious)), *(f"{ious[:, number].mean():.2f}" for number in clouds), f"{found:.1f}"
    )
    table.caption = "mean IoU; the first is the prompted mask's"
    return table


if __name__ == "__main__":
    typer.run(main)
