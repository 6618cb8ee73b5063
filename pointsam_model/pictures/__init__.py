"""Pictures of clouds with masks in colour, for visual inspection."""

from pointsam_model.pictures.masks import DrawnMask, draw_masks
from pointsam_model.pictures.palette import color_of
from pointsam_model.pictures.sheet import draw_sheet

__all__ = ["DrawnMask", "color_of", "draw_masks", "draw_sheet"]
