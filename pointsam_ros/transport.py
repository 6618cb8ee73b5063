"""How messages travel: the quality of service of requests, and what Fast DDS is told."""

from __future__ import annotations

import os

from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

# Of both ends. With ROS's default of the last ten, requests that come in one burst would be lost
# without a word, and so would a client's answer: each client hears the answers to all of them.
SERVICE_QOS = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)
PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE"  # what Fast DDS 2 reads, that of Jazzy
NEWER_PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE"  # its later name


def profile_is_chosen() -> bool:
    """Whether the environment names a profile; it is then not ours to set."""
    return any(os.environ.get(name) for name in (PROFILE, NEWER_PROFILE))
