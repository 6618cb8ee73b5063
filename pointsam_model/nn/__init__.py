"""The Point-SAM network, one file per part; attributes are named as in released checkpoints."""

from pointsam_model.nn.patches import Patches, make_patches
from pointsam_model.nn.point_sam import CloudEncoding, PointSAM

__all__ = ["CloudEncoding", "Patches", "PointSAM", "make_patches"]
