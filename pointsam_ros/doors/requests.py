"""Open requests: counted, passed to the model, and answered or refused."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from rclpy.task import Future as RosFuture

from pointsam_ros.codes import Code
from pointsam_ros.config import NodeConfig
from pointsam_ros.doors.transform_wait import TransformWait
from pointsam_ros.health.tally import Tally
from pointsam_ros.process.process import WorkNode
from pointsam_ros.refusal import Refusal, forget_frames, refusal_of, trace_of
from pointsam_ros.requests.transforms import Lookup, MissingTransform
from pointsam_ros.work.loaded import Loaded
from pointsam_ros.work.model_thread import ModelThread
from pointsam_ros.work.worker import OverloadedError, Rank

Result = TypeVar("Result")
OVERLOADED_S = 0.01  # pause after a refusal [s]: the model's thread needs the interpreter more
REFUSAL_LOGGED_S = 0.1  # least time between log lines [s]: logging takes longer than refusing


@dataclass
class Open:
    """A request that is not answered yet.

    Attributes:
        refusal: why it is refused, once known; None: not refused.
        cancelled: whether the client has cancelled it.
    """

    refusal: Refusal | None = None
    cancelled: bool = False

    def refuse(self, response: Any) -> None:
        """Writes the refusal into a response or result; does nothing if there is none."""
        if self.refusal is None:
            return
        response.success, response.message = False, self.refusal.message
        if hasattr(response, "code"):
            response.code = int(self.refusal.code)


class Requests:
    """All requests to the model.

    Args:
        node: the node in whose executor requests wait.
        model: answers them.
        lookup: finds transforms between coordinate frames.
        config: returns the current parameters.
        tally: counts requests and their outcomes.
        not_ready: returns why there is no model.
    """

    def __init__(
        self,
        node: WorkNode,
        model: ModelThread,
        lookup: Lookup,
        config: Callable[[], NodeConfig],
        tally: Tally,
        not_ready: Callable[[], str],
    ) -> None:
        self._node = node
        self._model = model
        self._config = config
        self._tally = tally
        self._not_ready = not_ready
        self._next_logged = 0.0
        self._waiting = TransformWait(node, lookup, config, self.loaded)
        self.open = 0

    def waiting(self, rank: Rank) -> int:
        """Number of requests of a rank that wait for the model."""
        worker = self._model.worker
        return worker.waiting(rank) if worker else 0

    @property
    def waiting_for_transforms(self) -> int:
        """Number of requests that wait for a transform."""
        return self._waiting.count

    @asynccontextmanager
    async def opened(self, what: str) -> AsyncIterator[Open]:
        """Context of a request from arrival to answer; an exception in it becomes its refusal.

        The request counts as open inside, and as answered or refused afterwards. Refusals are
        logged, at a limited rate.

        Args:
            what: its kind, for the log: request, goal, or click.
        """
        request = Open()
        self.open += 1
        try:
            yield request
            self._tally.request(Code.OK)
        except CancelledError:
            request.cancelled = True
        except Exception as error:
            request.refusal = self._refused(error, what)
            if request.refusal.code == Code.OVERLOADED:
                time.sleep(OVERLOADED_S)  # not awaited: a third fewer of a flood would be answered
        finally:
            self.open -= 1

    def loaded(self) -> Loaded:
        """The loaded model.

        Raises:
            Refusal: NOT_READY; says what state the node is in.
        """
        loaded = self._model.loaded
        if loaded is None:
            raise Refusal(Code.NOT_READY, self._not_ready())
        return loaded

    async def ask(
        self,
        job: Callable[[], Result],
        then: Callable[[Result], None] | None = None,
        rank: Rank = Rank.PROMPT,
        on_queued: Callable[[Future], None] | None = None,
    ) -> Result:
        """Runs a job in the model's thread and waits for its answer without blocking the executor.

        A job that lacks a transform is run again once that has arrived; meanwhile neither the model
        nor the executor is blocked, and other requests are answered.

        Args:
            job: computes the answer; may run twice, the first time until the missing transform.
            then: called with the answer in the model's thread.
            rank: PROMPT, or GOAL for a long job.
            on_queued: called with the future of the answer, which can be used to cancel the job.

        Raises:
            Refusal: OVERLOADED; or NOT_READY, if the node is deactivated meanwhile.
            MissingTransform: it did not arrive within `transforms.timeout_s`.
            CancelledError: of concurrent.futures; the job was cancelled.
            Exception: what the job raised.
        """
        try:
            return await self._answer(job, then, rank, on_queued)
        except MissingTransform as missing:
            await self._waiting.until_known(missing)
            forget_frames(missing)
        return await self._answer(job, then, rank, on_queued)

    async def _answer(
        self,
        job: Callable[[], Result],
        then: Callable[[Result], None] | None,
        rank: Rank,
        on_queued: Callable[[Future], None] | None,
    ) -> Result:
        worker = self._model.worker
        assert worker is not None, "something is loaded"
        try:
            answer = worker.ask(job, then, self._config().limits.max_pending, rank)
        except OverloadedError as error:
            raise Refusal(
                Code.OVERLOADED, f"{error}; ask again later, or raise limits.max_pending"
            ) from error
        if on_queued is not None:
            on_queued(answer)
        executor = self._node.executor
        done = RosFuture(executor=executor)

        def tell(_: Future) -> None:
            done.set_result(None)
            executor.wake()

        answer.add_done_callback(tell)
        await done
        return answer.result()

    def _refused(self, error: Exception, what: str) -> Refusal:
        """Counts and logs why `what` is refused; drops the error's traceback."""
        refusal, log = refusal_of(error), self._node.get_logger()
        self._tally.request(refusal.code)
        if refusal.code == Code.FAILED:
            self._tally.failure(refusal.message)
            log.error(f"a {what} failed:\n{trace_of(error)}")
        elif time.monotonic() >= self._next_logged:
            self._next_logged = time.monotonic() + REFUSAL_LOGGED_S
            log.info(f"{what} refused, {refusal.code.name}: {refusal.message}")
        forget_frames(error)
        return refusal
