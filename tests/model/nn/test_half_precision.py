"""The network's masks in bfloat16 are those in float32: generated scenes, real ones, all clicks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import places
import pytest
import torch
from published import PUBLISHED

from pointsam_model import Cloud, Prediction, Predictor, Prompt, load_model
from pointsam_model.data.clicks import first_click, next_click
from pointsam_model.scenes import SceneConfig, generate_scene

TABLETOP = places.SHARED / "data" / "tabletop"
CLICKS = 3
LEAST_POINTS = 1000  # of the source cloud: an object


@dataclass
class Agreement:
    """What half precision made of the clicks of float32."""

    ious: dict[int, list[float]] = field(default_factory=lambda: {k: [] for k in (1, 2, 3)})
    differences: list[float] = field(default_factory=list)

    def compare(self, click: int, half: Prediction, exact: Prediction) -> None:
        assert len(half) == len(exact)
        # By mask token, not by rank: two scores that nearly agree may change places.
        for mask, score in zip(exact.device_logits > 0, exact.device_scores, strict=True):
            ious = [_iou(mask, other) for other in half.device_logits > 0]
            best = int(np.argmax(ious))
            self.ious[click].append(ious[best])
            self.differences.append(abs(float(score - half.device_scores[best])))

    def __str__(self) -> str:
        per_click = [f"click {k}: {np.mean(v):.4f}" for k, v in self.ious.items()]
        return f"mask IoU {', '.join(per_click)}; predicted IoU {max(self.differences):.4f}"


def _iou(mask: torch.Tensor, other: torch.Tensor) -> float:
    either = int((mask | other).sum())
    return int((mask & other).sum()) / either if either else 1.0


def agreement(scenes: Iterator[tuple[Cloud, np.ndarray]]) -> Agreement:
    """The paper's clicks on every object; each precision refines its own masks."""
    exact, half = (
        Predictor(load_model("tiny", device="cpu", dtype=each), PUBLISHED)
        for each in ("float32", "bfloat16")
    )
    found = Agreement()
    for cloud, label in scenes:
        embedding, rough = exact.embed(cloud), half.embed(cloud)
        counted = cloud.valid & (label >= 0)
        for number in np.unique(label[label > 0]):
            truth = label == number
            if np.count_nonzero(truth & counted) < LEAST_POINTS:
                continue
            row = first_click(cloud.xyz, truth, counted)
            assert row is not None
            rows, labels = [row], [1]
            mine = others = None
            for click in range(1, CLICKS + 1):
                asked = cloud.xyz[rows].astype(np.float64), np.array(labels)
                (mine,) = exact.segment(embedding, [Prompt(*asked, mine)])
                (others,) = half.segment(rough, [Prompt(*asked, others)])
                found.compare(click, others, mine)
                mine, others = mine.best(), others.best()
                following = next_click(cloud.xyz, truth, mine.masks[0], counted)
                if following is None:
                    break
                rows.append(following[0])
                labels.append(following[1])
    return found


def check(found: Agreement, least: float) -> None:
    assert all(np.mean(ious) >= least for ious in found.ious.values()), str(found)
    assert max(found.differences) <= 0.01, str(found)


def test_on_generated_scenes() -> None:
    made = (generate_scene(seed, SceneConfig(width=320, height=240)) for seed in range(4))
    found = agreement((Cloud(each.xyz, each.rgb), each.instance) for each in made)
    assert len(found.ious[1]) >= 24, "three masks of eight objects"
    check(found, 0.993)


@pytest.mark.skipif(not TABLETOP.exists(), reason="shared sensor clouds not here")
def test_on_real_tabletops() -> None:
    files = sorted(TABLETOP.glob("*.npz"))[::4]

    def scenes() -> Iterator[tuple[Cloud, np.ndarray]]:
        for path in files:
            with np.load(path, allow_pickle=False) as file:
                yield Cloud(file["xyz"], file["rgb"]), file["label"].astype(np.int64)

    found = agreement(scenes())
    assert len(found.ious[1]) >= 60
    check(found, 0.995)
