"""The Point-SAM network, one file a part; module names are those of the released checkpoints."""

from pointsam_model.nn.patches import Patches, make_patches
from pointsam_model.nn.point_sam import CloudEncoding, PointSAM

__all__ = ["CloudEncoding", "Patches", "PointSAM", "make_patches"]
