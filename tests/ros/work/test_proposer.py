"""Goals: proposals are made by the node's own predictor, with its settings."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from node_process import RANDOM_MODEL, TINY
from published import PUBLISHED
from std_msgs.msg import Header

from pointsam_model import (
    Predictor,
    PredictorConfig,
    ProposalConfig,
    ProposalGenerator,
    ReductionConfig,
    load_model,
)
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.clouds.cloud_store import CloudStore, StoredCloud
from pointsam_ros.config import LimitSettings, NodeConfig
from pointsam_ros.health.tally import Tally
from pointsam_ros.requests.transforms import Lookup
from pointsam_ros.work.proposer import Goal, Proposer
from pointsam_ros.work.tracks import Tracks

# Masks of random weights are neither sure nor small: all of them may stay.
ALL = ProposalConfig(points=64, min_score=0.0, min_stability=0.0, max_share=1.0, nms_iou=0.95)

with np.load(TINY / "raw_input.npz", allow_pickle=False) as raw:
    XYZ = raw["raw_xyz"].astype(np.float32)
    RGB = raw["raw_rgb"].astype(np.uint8)


@pytest.mark.parametrize(
    "config", [PredictorConfig(), PUBLISHED], ids=["as users run it", "the network alone"]
)
def test_a_goal_is_carried_out_by_the_nodes_predictor(config: PredictorConfig) -> None:
    model = load_model(RANDOM_MODEL["model.preset"], RANDOM_MODEL["model.checkpoint"], device="cpu")
    predictor = Predictor(model, config, ReductionConfig(max_points=800))
    store, tally, nowhere = CloudStore("/points"), Tally(), cast("Lookup", None)
    tracks = Tracks(predictor, store, NodeConfig, nowhere, tally, lambda _: None)
    proposer = Proposer(
        predictor,
        lambda cloud: predictor.embed(cloud.read()),
        store,
        NodeConfig,
        lambda: 0,
        tally,
        tracks,
    )
    msg = cloud_msgs.write(Header(frame_id="camera"), XYZ, RGB)
    cloud = StoredCloud.from_msg(msg, 0, LimitSettings(), attached=True)
    answer = proposer.propose(Goal(cloud, ALL), None, lambda: False)
    wanted = ProposalGenerator(model, ALL, config, predictor.reduction).generate(cloud.read())
    assert len(answer.found) == len(wanted) > 1
    for found, right in zip(answer.found, wanted, strict=True):
        np.testing.assert_array_equal(found.instance.indices, right.indices)
        assert found.instance.score == right.score
