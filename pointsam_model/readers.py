"""Clouds from files, by their public name; `data/readers/` has a file for each format."""

from pointsam_model.data.readers import READ, LabelledCloud, SensorCloud, read_cloud, read_clouds

__all__ = ["READ", "LabelledCloud", "SensorCloud", "read_cloud", "read_clouds"]
