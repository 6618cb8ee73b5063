"""Generated tabletop scenes with instance and part labels, seen by a simulated depth camera."""

from pointsam_model.scenes.config import SceneConfig
from pointsam_model.scenes.scene import Scene, generate_scene, generate_scenes

__all__ = ["Scene", "SceneConfig", "generate_scene", "generate_scenes"]
