"""What the node is to its doors."""

from __future__ import annotations

from typing import Protocol

from pointsam_ros.config import NodeConfig
from pointsam_ros.doors.requests import Requests
from pointsam_ros.health.tally import Tally
from pointsam_ros.outputs.answers import Answer
from pointsam_ros.process.process import WorkNode


class Host(Protocol):
    """Who has the doors.

    Attributes:
        tally: what became of clouds and requests.
        requests: those that are open; they ask the model.
    """

    tally: Tally
    requests: Requests

    @property
    def node(self) -> WorkNode:
        """For ROS: its topics and services, its log, its time."""

    @property
    def config(self) -> NodeConfig:
        """The parameters as they are now."""

    def publish(self, answer: Answer) -> None:
        """Publishes an answer for those who listen."""
