"""Whether the user has chosen how Fast DDS carries messages."""

from __future__ import annotations

import os

PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE"  # what Fast DDS 2 reads, that of Jazzy
NEWER_PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE"  # its later name


def profile_is_chosen() -> bool:
    """Whether the environment names a profile; it is then not ours to set."""
    return any(os.environ.get(name) for name in (PROFILE, NEWER_PROFILE))
