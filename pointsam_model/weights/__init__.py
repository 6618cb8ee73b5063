"""Checkpoints: safe reading and writing, and the one that is shipped."""

from pointsam_model.weights.loading import check_model, load_model, load_network
from pointsam_model.weights.saving import save_checkpoint

__all__ = ["check_model", "load_model", "load_network", "save_checkpoint"]
