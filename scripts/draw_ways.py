"""Draws docs/images/way_of_a_cloud.png and way_of_a_click.png from what the code is called.

    python scripts/draw_ways.py

Each step names a file and something defined in it; a step that the code no longer has is an error.
`tests/project/test_ways.py` looks, too.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"


class Step(NamedTuple):
    """A place in the code, and what happens there."""

    file: str
    name: str
    does: str


ROS, MODEL = "pointsam_ros", "pointsam_model"
WAYS: dict[str, list[Step]] = {
    "way_of_a_cloud": [
        Step(f"{ROS}/doors/points_topic.py", "PointsTopic._on_cloud", "a message comes"),
        Step(f"{ROS}/clouds/cloud_store.py", "StoredCloud.from_msg", "its form is checked"),
        Step(f"{ROS}/segment_node.py", "SegmentNode._offer_newest", "it is left to the worker"),
        Step(f"{ROS}/work/worker.py", "Worker.offer", "waits while anybody asks"),
        Step(f"{ROS}/work/segmenter.py", "Segmenter.embed_newest", "its turn has come"),
        Step(f"{MODEL}/cloud/cloud.py", "Cloud.from_buffer", "bytes become points"),
        Step(f"{ROS}/work/viewpoints.py", "Viewpoints.viewed", "where the sensor stood"),
        Step(f"{MODEL}/segment/predictor.py", "Predictor.embed", ""),
        Step(f"{MODEL}/cloud/reduction.py", "reduce", "few enough points, spread evenly"),
        Step(f"{MODEL}/nn/point_sam.py", "PointSAM.encode", "the network's tokens"),
        Step(f"{MODEL}/geometry/partition.py", "partition", "parts of the surface"),
        Step(f"{MODEL}/segment/embedding.py", "Embedding", "kept while there is room"),
    ],
    "way_of_a_click": [
        Step(f"{ROS}/doors/prompt_service.py", "PromptService._on_request", "a request comes"),
        Step(f"{ROS}/requests/clicks.py", "parse", "checked by itself: Clicks"),
        Step(f"{ROS}/work/segmenter.py", "Segmenter.prepare", "its cloud is fetched: PromptJob"),
        Step(f"{ROS}/doors/requests.py", "Requests.ask", "waits for answer or transform"),
        Step(f"{ROS}/work/worker.py", "Worker.ask", "first of all that waits"),
        Step(f"{ROS}/requests/transforms.py", "into", "into the cloud's coordinate frame"),
        Step(f"{ROS}/requests/sessions.py", "Session", "with what was clicked before"),
        Step(f"{MODEL}/segment/prompt.py", "Prompt", "one an object"),
        Step(f"{MODEL}/segment/resolving.py", "Resolver.resolve", "on which look it is answered"),
        Step(f"{MODEL}/segment/choosing.py", "Choosing.answers", "candidates; the best is chosen"),
        Step(f"{MODEL}/segment/prediction.py", "Prediction", "logits and scores"),
        Step(f"{MODEL}/instances/instance.py", "Instance", "rows, score, box"),
        Step(f"{ROS}/outputs/answers.py", "Answer", "the message, for who asked and who listens"),
    ],
}


def missing(step: Step) -> str:
    """What of a step the code does not have; empty: all is there."""
    path = ROOT / step.file
    if not path.is_file():
        return f"no file {step.file}"
    body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    for part in step.name.split("."):
        found = [each for each in body if getattr(each, "name", None) == part]
        if not found:
            return f"{step.file} has no {step.name}"
        body = getattr(found[0], "body", [])
    return ""


def draw(steps: list[Step], path: Path) -> None:
    """One box below the other, the node's and the model's in colours of their own."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 0.52 * len(steps) + 0.3), dpi=110)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(-len(steps) + 0.4, 0.6)
    for row, step in enumerate(steps):
        color = "#dbe9f6" if step.file.startswith(ROS) else "#e6f2dc"
        box = {"boxstyle": "round,pad=0.35", "facecolor": color, "edgecolor": "#888888"}
        axes.text(0.03, -row, step.file, family="monospace", size=9, va="center", bbox=box)
        text = f"{step.name.split('.')[-1]}" + (f": {step.does}" if step.does else "")
        axes.text(0.46, -row, text, size=9.5, va="center")
        if row:
            axes.annotate(
                "", (0.06, -row + 0.3), (0.06, -row + 0.7), arrowprops={"arrowstyle": "->"}
            )
    figure.savefig(path)


def main() -> int:
    """Draws both; 1 where the code has gone another way."""
    wrong = [text for steps in WAYS.values() for step in steps if (text := missing(step))]
    for text in wrong:
        print(text, file=sys.stderr)
    if wrong:
        return 1
    for name, steps in WAYS.items():
        draw(steps, IMAGES / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
