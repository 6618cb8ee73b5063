"""Training: losses, simulated clicks, the pool of scenes and the loop."""

from pointsam_model.training.config import TrainingConfig
from pointsam_model.training.loop import train
from pointsam_model.training.step import StepReport

__all__ = ["StepReport", "TrainingConfig", "train"]
