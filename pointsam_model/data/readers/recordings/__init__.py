"""Recordings: files of ROS 2, ROS 1 and Foxglove, read without ROS."""

from pointsam_model.data.readers.recordings.recording import read_recording

__all__ = ["read_recording"]
