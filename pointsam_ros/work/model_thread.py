"""The model's life beside the node's: its thread, what is loaded there, and who waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from rclpy.executors import Executor
from rclpy.task import Future as RosFuture

from pointsam_model.errors import CancelledError
from pointsam_ros.refusal import Code, Refusal
from pointsam_ros.work.loaded import Loaded
from pointsam_ros.work.worker import OverloadedError, Rank, Worker

Result = TypeVar("Result")


class ModelThread:
    """A worker and what it has loaded, from `start` to `stop`, and again.

    Args:
        load: loads in the worker's thread.
        on_loaded: called there once `loaded` is set.
        on_failed: called with what `load` raised. Neither is called after `stop`, which waits while
            they run.
        on_error: called in the worker's thread with what an offered job raised.

    Attributes:
        worker: that of the last `start`; None before the first.
        loaded: None while there is nothing to work with.
    """

    def __init__(
        self,
        load: Callable[[Worker], Loaded],
        on_loaded: Callable[[], None],
        on_failed: Callable[[BaseException], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._load = load
        self._on_loaded = on_loaded
        self._on_failed = on_failed
        self._on_error = on_error
        self._switch = threading.Lock()  # what is loaded comes in one thread and goes in another
        self.worker: Worker | None = None
        self.loaded: Loaded | None = None

    def start(self) -> None:
        """Begins to load, after the last job of an earlier worker has ended."""
        previous, worker = self.worker, Worker(self._on_error)
        self.worker = worker

        def load() -> Loaded:
            if previous is not None:
                previous.join()  # one model at a time
            if worker.stopped:
                raise CancelledError("the node was deactivated before its model was loaded")
            return self._load(worker)

        loading = worker.ask(load, then=lambda it: self._has_loaded(worker, it))
        loading.add_done_callback(lambda it: self._has_failed(worker, it))

    def stop(self, why: str) -> None:
        """Lets go of what is loaded; whoever waits is refused with NOT_READY and told why."""
        if self.worker is not None:
            self.worker.stop(lambda: Refusal(Code.NOT_READY, why))
        with self._switch:
            self.loaded = None

    def waiting(self, rank: Rank) -> int:
        """How many requests of a rank wait."""
        return self.worker.waiting(rank) if self.worker else 0

    async def ask(
        self,
        executor: Executor,
        job: Callable[[], Result],
        then: Callable[[Result], None] | None,
        max_pending: int,
        rank: Rank,
        on_queued: Callable[[Future], None] | None,
    ) -> Result:
        """Has the worker do a job; waits for its answer without holding up the executor.

        Args:
            executor: of the coroutine that waits.
            job, then, max_pending, rank: as `Worker.ask` takes them.
            on_queued: given the future of the answer, by which the job can be cancelled.

        Raises:
            Refusal: OVERLOADED; or NOT_READY, where the node is deactivated meanwhile.
            CancelledError: of concurrent.futures; the job was cancelled.
            Exception: what the job raised.
        """
        assert self.worker is not None, "something is loaded"
        try:
            answer = self.worker.ask(job, then, max_pending, rank)
        except OverloadedError as error:
            raise Refusal(
                Code.OVERLOADED, f"{error}; ask again later, or raise limits.max_pending"
            ) from error
        if on_queued is not None:
            on_queued(answer)
        done = RosFuture(executor=executor)

        def tell(_: Future) -> None:
            done.set_result(None)
            executor.wake()

        answer.add_done_callback(tell)
        await done
        return answer.result()

    def _has_loaded(self, worker: Worker, loaded: Loaded) -> None:
        with self._switch:
            if worker.stopped:
                return
            self.loaded = loaded
            self._on_loaded()

    def _has_failed(self, worker: Worker, loading: Future) -> None:
        error = loading.exception()
        with self._switch:
            if error is not None and not worker.stopped:
                self._on_failed(error)
