"""How good masks are: the paper's clicks and IoU@k on labelled clouds."""

from pointsam_model.evaluation.clicks import first_click, next_click
from pointsam_model.evaluation.data import LabelledCloud, find_labelled, read_labelled
from pointsam_model.evaluation.protocol import ObjectResult, evaluate_cloud, iou
from pointsam_model.evaluation.summary import Summary, summarise, write_json

__all__ = [
    "LabelledCloud",
    "ObjectResult",
    "Summary",
    "evaluate_cloud",
    "find_labelled",
    "first_click",
    "iou",
    "next_click",
    "read_labelled",
    "summarise",
    "write_json",
]
