"""Public functions that read clouds from files; `data/readers/` has a module for each format."""

from pointsam_model.data.readers import READ, LabelledCloud, SensorCloud, read_cloud, read_clouds

__all__ = ["READ", "LabelledCloud", "SensorCloud", "read_cloud", "read_clouds"]
