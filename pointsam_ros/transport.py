"""Transport settings: the quality of service of requests, and the Fast DDS profile."""

from __future__ import annotations

import os

from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

# For both ends. With ROS's default of keeping the last ten, requests in a burst would be lost
# silently, and so would a client's answer: each client receives the answers for all clients.
SERVICE_QOS = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)
PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE"  # read by Fast DDS 2, in Jazzy
NEWER_PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE"  # its newer name


def profile_is_chosen() -> bool:
    """Whether the environment already names a profile, which then must not be overridden."""
    return any(os.environ.get(name) for name in (PROFILE, NEWER_PROFILE))
