"""Requests in another coordinate frame wait for their transform here, not in the worker."""

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

    As many requests as may wait for the worker (`limits.max_pending`) may wait for a transform; a
    further one is refused without waiting, so that a flood of them costs nothing.

    Args:
        node: in whose executor they wait.
        lookup: where coordinate frames are.
        config: the parameters as they are now.
        loaded: raises what ends the waiting: nobody waits on for a node that ends.

    Attributes:
        count: how many requests wait.
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
        """Waits until a transform has come.

        Raises:
            MissingTransform: it has not within `transforms.timeout_s`, or too many wait.
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
