"""Requests while they are open: counted, asked of the model, and refused where they must be."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

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
OVERLOADED_S = 0.01  # of rest after a refusal: the model's thread needs the interpreter more
REFUSAL_LOGGED_S = 0.1  # from one line to the next: writing a line takes longer than to refuse


@dataclass
class Open:
    """A request that has no answer yet.

    Attributes:
        refusal: why it is not answered, once that is known.
        cancelled: whether who asked has taken it back.
    """

    refusal: Refusal | None = None
    cancelled: bool = False


class Requests:
    """All that is asked of the model.

    Args:
        node: in whose executor they wait.
        model: answers them.
        lookup: where coordinate frames are.
        config: the parameters as they are now.
        tally: counts what becomes of them.
        not_ready: says why there is no model.
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
        """How many wait for the model, of a rank."""
        worker = self._model.worker
        return worker.waiting(rank) if worker else 0

    @property
    def waiting_for_transforms(self) -> int:
        """How many wait for a transform."""
        return self._waiting.count

    @asynccontextmanager
    async def opened(self, what: str) -> AsyncIterator[Open]:
        """A request, from its coming to its answer; what it raises is its refusal.

        It counts as open meanwhile, as answered afterwards, or as refused, and the log tells of
        refusals, but no flood of them.

        Args:
            what: what the log calls it: a request, a goal, a click.
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
                time.sleep(OVERLOADED_S)  # awaited, the flood had a third fewer answers
        finally:
            self.open -= 1

    def loaded(self) -> Loaded:
        """The model.

        Raises:
            Refusal: NOT_READY; says what the node is doing instead.
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
        """Has the model's thread do a job; waits for its answer without holding up the executor.

        A job that misses a transform is asked again when that has come: neither the model nor the
        executor is held up meanwhile, and whoever needs no transform is answered.

        Args:
            job: what answers the request; may run twice, the first time as far as the transform.
            then: called with the answer in the model's thread.
            rank: PROMPT, or GOAL for one that takes long.
            on_queued: given the future of the answer, by which the job can be cancelled.

        Raises:
            Refusal: OVERLOADED; NOT_READY, where the node is deactivated meanwhile.
            MissingTransform: it has not come within `transforms.timeout_s`.
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
        """Counts and logs why `what` is not answered. The error's traceback is gone afterwards."""
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
