"""How good masks and proposals are: the paper's clicks, IoU@k and average recall."""

from pointsam_model.data.clicks import first_click, first_clicks, next_click
from pointsam_model.data.clouds import LabelledCloud
from pointsam_model.data.labelled import find_labelled, read_labelled
from pointsam_model.evaluation.methods import Method
from pointsam_model.evaluation.proposals import (
    ProposalResult,
    average_recall,
    evaluate_proposals,
    overlaps,
)
from pointsam_model.evaluation.protocol import ObjectResult, evaluate_cloud, iou
from pointsam_model.evaluation.report import write_json
from pointsam_model.evaluation.score import ScoreQuality, score_quality
from pointsam_model.evaluation.summary import Bare, Recall, Spread, Summary, summarise
from pointsam_model.evaluation.tables import details, losses, table

__all__ = [
    "Bare",
    "LabelledCloud",
    "Method",
    "ObjectResult",
    "ProposalResult",
    "Recall",
    "ScoreQuality",
    "Spread",
    "Summary",
    "average_recall",
    "details",
    "evaluate_cloud",
    "evaluate_proposals",
    "find_labelled",
    "first_click",
    "first_clicks",
    "iou",
    "losses",
    "next_click",
    "overlaps",
    "read_labelled",
    "score_quality",
    "summarise",
    "table",
    "write_json",
]
