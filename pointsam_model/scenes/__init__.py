"""Generated scenes with instance and part labels, as simulated sensors see them."""

from pointsam_model.scenes.config import (
    AppearanceConfig,
    CameraConfig,
    SceneConfig,
    TabletopConfig,
)
from pointsam_model.scenes.mixture import KINDS, MIXTURE, MixtureConfig, generate, kind_of
from pointsam_model.scenes.places.bins import BinConfig
from pointsam_model.scenes.places.rooms import RoomConfig
from pointsam_model.scenes.places.single import SingleConfig
from pointsam_model.scenes.places.small_parts import PartsConfig
from pointsam_model.scenes.places.street import StreetConfig
from pointsam_model.scenes.scene import Scene, generate_scene, generate_scenes

__all__ = [
    "KINDS",
    "MIXTURE",
    "AppearanceConfig",
    "BinConfig",
    "CameraConfig",
    "MixtureConfig",
    "PartsConfig",
    "RoomConfig",
    "Scene",
    "SceneConfig",
    "SingleConfig",
    "StreetConfig",
    "TabletopConfig",
    "generate",
    "generate_scene",
    "generate_scenes",
    "kind_of",
]
