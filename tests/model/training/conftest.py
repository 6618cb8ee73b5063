"""What most tests of training begin with; a file's own `config` says how its runs are."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_runs import first_batch, new_network, small_pool

from pointsam_model.nn import PointSAM
from pointsam_model.training import TrainingConfig
from pointsam_model.training.batches import Batch


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One shard of four small scenes; nobody adds to it."""
    return small_pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture
def network() -> PointSAM:
    """A tiny network that knows nothing, the same each time."""
    return new_network()


@pytest.fixture
def batch(config: TrainingConfig) -> Batch:
    """The first that a run draws."""
    return first_batch(config)
