"""Whether the user has chosen how Fast DDS carries messages."""

from __future__ import annotations

import os

PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE"  # read by every Fast DDS that ROS 2 has come with
NEWER_PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE"  # the same, by newer ones only


def profile_is_chosen() -> bool:
    """Whether the environment names a profile; it is then not ours to set."""
    return any(os.environ.get(name) for name in (PROFILE, NEWER_PROFILE))
