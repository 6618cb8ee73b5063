"""Answers: the instances found in a cloud."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pointsam_interfaces.msg import InstanceArray
from pointsam_ros.clouds.cloud_store import StoredCloud
from pointsam_ros.outputs.found import Found
from pointsam_ros.outputs.mask_msgs import instance_array


@dataclass(frozen=True, eq=False)
class Answer:
    """The instances found in a cloud, highest score first.

    `empty` lists the object_ids whose masks contain no point.
    """

    cloud: StoredCloud
    found: list[Found]
    empty: list[int]

    @cached_property
    def message(self) -> InstanceArray:
        """The answer as a message, made once for the client and the subscribers."""
        return instance_array(self.cloud.msg.header, self.cloud.size, self.found)
