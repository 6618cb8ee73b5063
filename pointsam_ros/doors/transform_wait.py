"""Lets requests wait for the transform of their coordinate frame without blocking the worker."""

from __future__ import annotations

import time
from collections.abc import Callable

from pointsam_ros.config import NodeConfig
from pointsam_ros.process.process import WorkNode
from pointsam_ros.requests.transforms import Lookup, MissingTransform, look_up
from pointsam_ros.waiting import until

POLL_S = 0.02


class TransformWait:
    """Waits for missing transforms.

    At most `limits.max_pending` requests wait for a transform; further ones are refused at once, so
    that a flood of them costs nothing.

    Args:
        node: the node in whose executor requests wait.
        lookup: finds transforms between coordinate frames.
        config: returns the current parameters.
        loaded: called while waiting; raises if the node is deactivated, which ends the wait.

    Attributes:
        count: number of waiting requests.
    """

    def __init__(
        self,
        node: WorkNode,
        lookup: Lookup,
        config: Callable[[], NodeConfig],
        loaded: Callable[[], object],
    ) -> None:
        self._node = node
        self._lookup = lookup
        self._config = config
        self._loaded = loaded
        self.count = 0

    async def until_known(self, missing: MissingTransform) -> None:
        """Waits until a transform has arrived.

        Raises:
            MissingTransform: it did not within `transforms.timeout_s`, or too many requests wait.
        """
        config = self._config()
        if self.count >= config.limits.max_pending:
            raise missing
        deadline = time.monotonic() + config.transforms.timeout_s
        self.count += 1
        try:
            while not self._known(missing, is_last=time.monotonic() >= deadline):
                await until(self._node, None, POLL_S)
                self._loaded()
        finally:
            self.count -= 1

    def _known(self, missing: MissingTransform, is_last: bool) -> bool:
        try:
            look_up(missing.query, self._lookup)
        except MissingTransform:
            if is_last:
                raise
            return False
        return True
