"""The interface of the node to its doors."""

from __future__ import annotations

from typing import Protocol

from pointsam_ros.config import NodeConfig
from pointsam_ros.doors.requests import Requests
from pointsam_ros.health.tally import Tally
from pointsam_ros.outputs.answers import Answer
from pointsam_ros.process.process import WorkNode


class Host(Protocol):
    """The node that the doors belong to.

    Attributes:
        tally: counts clouds, requests and their outcomes.
        requests: the open requests, through which the model is asked.
    """

    tally: Tally
    requests: Requests

    @property
    def node(self) -> WorkNode:
        """The ROS node, for topics, services, logging and time."""

    @property
    def config(self) -> NodeConfig:
        """The current parameters."""

    def publish(self, answer: Answer) -> None:
        """Publishes an answer on the topics with subscribers."""
