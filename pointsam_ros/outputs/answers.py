"""What was found in a cloud."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pointsam_interfaces.msg import InstanceArray
from pointsam_ros.clouds.cloud_store import StoredCloud
from pointsam_ros.outputs.found import Found
from pointsam_ros.outputs.mask_msgs import instance_array


@dataclass(frozen=True, eq=False)
class Answer:
    """What was found in which cloud; instances of the highest score first.

    `empty` are the objects whose mask holds no point.
    """

    cloud: StoredCloud
    found: list[Found]
    empty: list[int]

    @cached_property
    def message(self) -> InstanceArray:
        """The same as a message, made once: who asked gets it, and who listens."""
        return instance_array(self.cloud.msg.header, self.cloud.size, self.found)
