"""How good masks and proposals are: the paper's clicks, IoU@k and average recall."""

from pointsam_model.evaluation.clicks import first_click, next_click
from pointsam_model.evaluation.data import LabelledCloud, find_labelled, read_labelled
from pointsam_model.evaluation.methods import Method
from pointsam_model.evaluation.proposals import (
    ProposalResult,
    average_recall,
    best_ious,
    evaluate_proposals,
)
from pointsam_model.evaluation.protocol import ObjectResult, evaluate_cloud, iou
from pointsam_model.evaluation.report import write_json
from pointsam_model.evaluation.summary import Recall, Summary, losses, summarise, table

__all__ = [
    "LabelledCloud",
    "Method",
    "ObjectResult",
    "ProposalResult",
    "Recall",
    "Summary",
    "average_recall",
    "best_ious",
    "evaluate_cloud",
    "evaluate_proposals",
    "find_labelled",
    "first_click",
    "iou",
    "losses",
    "next_click",
    "read_labelled",
    "summarise",
    "table",
    "write_json",
]
