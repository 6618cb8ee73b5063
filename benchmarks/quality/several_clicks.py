"""Several clicks at once without a mask: as good as one by one?

    python -m benchmarks.quality.several_clicks FOLDER

Clicks are the evaluation's: each corrects the mask that the clicks before it gave. They are then
given all at once to the default predictor, and to the network alone: decoding the first click by
itself (`first_click_mask`) and not.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pointsam_model import Cloud, Predictor, PredictorConfig, Prompt, load_model
from pointsam_model.cli.options import LABELLED
from pointsam_model.evaluation import evaluate_cloud, find_labelled, read_labelled
from pointsam_model.evaluation.protocol import iou


def main(
    data: Annotated[Path, typer.Argument(help=LABELLED)],
    clicks: Annotated[int, typer.Option(min=2, help="most clicks given at once")] = 5,
    checkpoint: Annotated[Path | None, typer.Option(help="weights; default: the shipped")] = None,
) -> None:
    """Prints the mean IoU of 2 to `clicks` clicks given at once, both ways."""
    model = load_model("tiny", checkpoint)
    alone = PredictorConfig(geometry=False, looks="whole")
    ways = {
        "with geometry": Predictor(model),
        "network, first click's mask as prompt": Predictor(model, alone),
        "network, single pass": Predictor(model, replace(alone, first_click_mask=False)),
    }
    predictor = Predictor(model)
    ious: dict[str, list[list[float]]] = {name: [] for name in ways}
    for path in track(find_labelled(data), "clouds"):
        cloud = read_labelled(path)
        embedding = predictor.embed(Cloud(cloud.xyz, cloud.rgb))
        for result in evaluate_cloud(predictor, cloud, clicks):
            rows, labels = (np.array(column) for column in zip(*result.clicks, strict=True))
            truth = cloud.instance == result.label
            several = range(2, clicks + 1)
            prompts = [Prompt(cloud.xyz[rows[:k]], labels[:k]) for k in several]
            for name, way in ways.items():
                answers = way.segment(embedding, prompts)
                ious[name].append(
                    [iou(answer.masks[0], truth, cloud.counted) for answer in answers]
                )
    table = Table("mean IoU [%]", *[f"{k} clicks" for k in range(2, clicks + 1)])
    for name, values in ious.items():
        table.add_row(name, *[f"{100 * mean:.1f}" for mean in np.mean(values, 0)])
    Console().print(table, f"{len(values)} objects")


if __name__ == "__main__":
    typer.run(main)
