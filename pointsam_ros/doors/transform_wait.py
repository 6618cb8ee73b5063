"""Requests in another coordinate frame wait for their transform here, not in the worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.task import Future as RosFuture

from pointsam_ros.refusal import forget_frames
from pointsam_ros.requests.transforms import Lookup, MissingTransform, found

if TYPE_CHECKING:
    from pointsam_ros.segment_node import SegmentNode

Result = TypeVar("Result")
POLL_S = 0.02


class TransformWait:
    """Asks the worker at once; where only a transform is missing, waits for it and asks again.

    Neither the worker nor the executor is held up: whoever needs no transform is answered
    meanwhile. As many requests as may wait for the worker (`limits.max_pending`) may wait for a
    transform; a further one is refused without waiting, so that a flood of them costs nothing.

    Args:
        node: whose requests wait.
        lookup: where coordinate frames are.
    """

    def __init__(self, node: SegmentNode, lookup: Lookup) -> None:
        self._node = node
        self._lookup = lookup
        self._waiting = 0
        self._group = ReentrantCallbackGroup()
        self._clock = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still

    @property
    def waiting(self) -> int:
        """How many requests wait for a transform."""
        return self._waiting

    async def ask(
        self, job: Callable[[], Result], then: Callable[[Result], None] | None = None
    ) -> Result:
        """As the node's `ask`; the job may run twice, the first time as far as the transform.

        Raises:
            MissingTransform: it has not come within `transforms.timeout_s`.
            Refusal, Exception: see `SegmentNode.ask`.
        """
        try:
            return await self._node.ask(job, then)
        except MissingTransform as missing:
            await self._until_known(missing)
            forget_frames(missing)
        return await self._node.ask(job, then)

    async def _until_known(self, missing: MissingTransform) -> None:
        config = self._node.config
        if self._waiting >= config.limits.max_pending:
            raise missing
        deadline = time.monotonic() + config.transforms.timeout_s
        self._waiting += 1
        try:
            while not self._known(missing, is_last=time.monotonic() >= deadline):
                await self._pause()
                self._node.loaded()  # nobody waits on for a node that ends
        finally:
            self._waiting -= 1

    def _known(self, missing: MissingTransform, is_last: bool) -> bool:
        try:
            found(missing.way, self._lookup)
        except MissingTransform:
            if is_last:
                raise
            return False
        return True

    async def _pause(self) -> None:
        over = RosFuture(executor=self._node.executor)
        timer = self._node.create_timer(
            POLL_S, lambda: over.set_result(None), callback_group=self._group, clock=self._clock
        )
        try:
            await over
        finally:
            self._node.destroy_timer(timer)
